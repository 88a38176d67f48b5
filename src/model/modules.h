#pragma once
// The one table of what a model is made of: which modules it has under which names, in which shapes. Parameters,
// families' weight maps, files and the network are all made from it. A module `M` has the parameters M.weight and, with
// a bias, M.bias:
//   embed  position  layers.N.{norm1,norm1_after,norm2,norm2_after,norm_q,norm_k}  layers.N.{q,k,v,o}
//   layers.N.{gate,up,down}  layers.N.router  layers.N.experts.E.{gate,up,down}  norm  head (absent when tied)
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "model/config.h"

namespace fettle {

enum class ModuleKind : uint8_t { table, norm, linear };

/// What a module is to the network.
enum class ModulePart : uint8_t {
  embed,
  position,
  norm1,        ///< before the first branch (attention), before both of a parallel block that shares it
  norm1_after,  ///< of what the first branch gives
  norm2,        ///< before the second branch (the MLP)
  norm2_after,
  norm_q,  ///< of every head
  norm_k,
  q,
  k,
  v,
  o,
  gate,
  up,
  down,
  router,  ///< [experts, hidden]
  norm,  ///< before the head
  head,
};

/// "q"; the last component of a module's name.
std::string_view part_name(ModulePart part);

struct ModuleSpec {
  std::string name;  ///< "layers.3.q"
  ModulePart part;
  ModuleKind kind;
  int32_t layer = -1;          ///< none: the model's own
  int64_t rows = 0, cols = 0;  ///< of the weight: [out, in]; a norm's is [1, columns]
  bool bias = false;
  int32_t expert = -1;  ///< none: of the layer itself
};

/// In the order of the forward pass.
std::vector<ModuleSpec> modules_of(const ModelConfig& config);

}  // namespace fettle
