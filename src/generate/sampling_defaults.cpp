#include "generate/sampling_defaults.h"

#include <cmath>
#include <limits>
#include <optional>

#include "base/error.h"
#include "base/ordered_json.h"

namespace fettle {
namespace {

class Config {
 public:
  Config(const Json& values, std::string_view where) : values_(values), where_(where) {}

  /// Nothing when the key is absent or null.
  std::optional<double> number(const char* key, double low, double high) const {
    const Json* value = find(key);
    if (value == nullptr) return std::nullopt;
    if (!value->is_number() || !(value->get<double>() >= low && value->get<double>() <= high))
      fail(where_, "key '{}' should be a number from {:g} to {:g}, found {}", key, low, high,
           value->dump().substr(0, 80));
    return value->get<double>();
  }
  std::optional<bool> boolean(const char* key) const {
    const Json* value = find(key);
    if (value == nullptr) return std::nullopt;
    if (!value->is_boolean())
      fail(where_, "key '{}' should be true or false, found {}", key, value->dump().substr(0, 80));
    return value->get<bool>();
  }

 private:
  const Json* find(const char* key) const {
    const auto found = values_.find(key);
    return found == values_.end() || found->is_null() ? nullptr : &*found;
  }
  const Json& values_;
  std::string_view where_;
};

/// Keys of GenerationConfig that change what is drawn and that this program has no counterpart for, with the
/// value at which they do nothing.
const Json& without_counterpart() {
  static const Json keys{{"num_beams", 1},
                         {"num_beam_groups", 1},
                         {"penalty_alpha", nullptr},
                         {"typical_p", 1.0},
                         {"epsilon_cutoff", 0.0},
                         {"eta_cutoff", 0.0},
                         {"top_h", nullptr},
                         {"diversity_penalty", 0.0},
                         {"encoder_repetition_penalty", 1.0},
                         {"no_repeat_ngram_size", 0},
                         {"encoder_no_repeat_ngram_size", 0},
                         {"bad_words_ids", nullptr},
                         {"force_words_ids", nullptr},
                         {"forced_bos_token_id", nullptr},
                         {"forced_eos_token_id", nullptr},
                         {"suppress_tokens", nullptr},
                         {"begin_suppress_tokens", nullptr},
                         {"sequence_bias", nullptr},
                         {"guidance_scale", nullptr},
                         {"exponential_decay_length_penalty", nullptr},
                         {"min_length", 0},
                         {"min_new_tokens", nullptr},
                         {"max_new_tokens", nullptr},
                         {"stop_strings", nullptr},
                         {"watermarking_config", nullptr},
                         {"dola_layers", nullptr}};
  return keys;
}

std::vector<std::string> ignored_keys(const Json& config) {
  std::vector<std::string> ignored;
  for (const auto& [key, value] : config.items()) {
    const auto neutral = without_counterpart().find(key);
    if (neutral == without_counterpart().end() || value.is_null() || value == *neutral) continue;
    ignored.push_back(key + ": " + value.dump().substr(0, 80));
  }
  return ignored;
}

}  // namespace

SamplingDefaults sampling_defaults(const Json& generation_config, std::string_view where) {
  constexpr double most = std::numeric_limits<int32_t>::max();
  const Config config(generation_config, where);
  const auto wanted = config.boolean("do_sample");
  const auto temperature = config.number("temperature", 0.0, 100.0), top_p = config.number("top_p", 0.0, 1.0);
  const auto top_k = config.number("top_k", -1.0, most), min_p = config.number("min_p", 0.0, 1.0);
  const auto repetition = config.number("repetition_penalty", 0.01, 100.0);

  SamplingDefaults defaults;
  defaults.ignored = ignored_keys(generation_config);
  SamplingOptions& s = defaults.sampling;
  defaults.from_model = wanted || temperature || top_p || top_k || min_p || repetition;
  s.repetition_penalty = static_cast<float>(repetition.value_or(1.0));
  s.temperature = 0.0F;
  if (!wanted.value_or(temperature || top_p || top_k || min_p)) return defaults;
  s.temperature = static_cast<float>(temperature.value_or(1.0));
  s.top_k = std::max(0, static_cast<int32_t>(top_k.value_or(0.0)));
  s.top_p = static_cast<float>(std::max(top_p.value_or(1.0), 1e-9));
  s.min_p = static_cast<float>(min_p.value_or(0.0));
  return defaults;
}

OrderedJson to_json(const SamplingOptions& sampling) {
  // Shortest digits of a float, not those of the double it becomes.
  const auto number = [](float value) { return parse_ordered_json(fmt::format("{}", value), "a number"); };
  return {{"temperature", number(sampling.temperature)},
          {"top_p", number(sampling.top_p)},
          {"top_k", sampling.top_k},
          {"min_p", number(sampling.min_p)},
          {"repetition_penalty", number(sampling.repetition_penalty)}};
}

}  // namespace fettle
