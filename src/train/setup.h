#pragma once
// The model as training holds it: what is trained in f32, what is frozen as its file has it, a decoder over
// both.
#include <memory>
#include <optional>
#include <string>

#include "checkpoint/load.h"
#include "model/decoder.h"
#include "text/chat/chat_template.h"
#include "train/config.h"

namespace fettle::train {

/// Addresses are stable once made: the decoder keeps references into it.
struct TrainModel {
  LoadedModel loaded;              ///< parameters: the trained f32 weights, or the frozen base of `adapter`
  std::optional<Adapter> adapter;  ///< the one that is trained
  std::vector<int32_t> new_tokens;  ///< that `tokens` of the config added
  int32_t base_vocabulary = 0;      ///< rows that the model had before
  std::optional<ChatTemplate> chat;
  std::string chat_source;  ///< of a template that the config brings along, else empty
  std::unique_ptr<Backend> backend;
  std::unique_ptr<Decoder> decoder;
  Product product = Product::f32;
  DType activations = DType::f32;  ///< see DecoderOptions
  std::string hash;  ///< of every file the weights came from

  TrainModel() = default;
  TrainModel(const TrainModel&) = delete;
  TrainModel& operator=(const TrainModel&) = delete;
  Parameters& trained() { return adapter ? adapter->parameters : loaded.parameters; }
};

/// Opens the model, makes or opens the adapter, marks what is trained. A model that is itself an adapter's
/// folder: with `adapter:` (and no init) that adapter is trained on; without, it is merged into the weights
/// first. Throws Error as load_model does.
std::unique_ptr<TrainModel> open_train_model(const TrainConfig& config);

}  // namespace fettle::train
