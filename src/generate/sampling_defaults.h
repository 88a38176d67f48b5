#pragma once
// How a model is sampled when nobody says: by its own generation_config.json, else greedily. One rule for
// every command.
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "generate/sampler.h"

namespace fettle {

struct SamplingDefaults {
  SamplingOptions sampling;
  bool from_model = false;  ///< the model's file says how to sample
  std::vector<std::string>
      ignored;  ///< keys that change sampling elsewhere and have no effect here, with their values
};

/// Reads do_sample, temperature, top_k, top_p, min_p and repetition_penalty of a generation_config.json,
/// under the names and meanings of transformers' GenerationConfig. A file that has one of the first five and
/// not `do_sample: false` asks for sampling, with 1 for a temperature it does not give; any other is greedy.
/// Throws Error naming `where` and the key when a value has the wrong type or lies out of range.
SamplingDefaults sampling_defaults(const Json& generation_config, std::string_view where);

/// The fields that a client may see, for reports and the page.
OrderedJson to_json(const SamplingOptions& sampling);

}  // namespace fettle
