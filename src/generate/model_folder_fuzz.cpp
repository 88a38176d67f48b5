// Any bytes as the small files of a model's folder, beside good weights: an Error, or a model that opens.
#include <array>
#include <cstdint>
#include <fstream>

#include "base/error.h"
#include "checkpoint/load.h"
#include "generate/sampling_defaults.h"
#include "text/chat/chat_template.h"
#include "text/chat/openchat.h"

namespace {

namespace fs = fettle::fs;

constexpr std::array names{"config.json",           "model.safetensors.index.json", "generation_config.json", "tokenizer_config.json",
                           "special_tokens_map.json", "chat_template.jinja",          "openchat.json"};

/// A folder with the weights and the tokenizer, which stay as they are.
const fs::path& folder() {
  static const fettle::TemporaryFolder made;
  static const bool written = [] {
    const fs::path golden = fs::path(FETTLE_SOURCE_DIR) / "tests/golden/checkpoint/hf";
    fs::copy_file(golden / "model.safetensors", made.path() / "model.safetensors");
    fs::copy_file(golden / "model.safetensors", made.path() / "model-00001-of-00001.safetensors");
    fettle::OrderedJson vocabulary{{"<unk>", 0}, {"<s>", 1}, {"</s>", 2}};
    for (int i = 3; i < 40; ++i) vocabulary[fmt::format("<0x{:02X}>", i + 60)] = i;
    const fettle::OrderedJson json{{"model", {{"type", "BPE"}, {"unk_token", "<unk>"}, {"vocab", vocabulary}, {"merges", fettle::OrderedJson::array()}}}};
    fettle::write_file(made.path() / "tokenizer.json", json.dump());
    return true;
  }();
  static_cast<void>(written);
  return made.path();
}

void use(const fettle::LoadedModel& model) {
  fettle::sampling_defaults(model.generation_config, "generation_config.json");
  if (model.tokenizer == nullptr) return;
  model.tokenizer->config_json();
  fettle::ChatTemplate::of(*model.tokenizer);
}

}  // namespace

// The input is the files one after another, a zero byte between two; what is empty is not there.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  for (const char* name : names) {
    const std::string_view part = rest.substr(0, rest.find('\0'));
    rest.remove_prefix(std::min(rest.size(), part.size() + 1));
    if (part.empty()) {
      fs::remove(folder() / name);
    } else {
      std::ofstream(folder() / name, std::ios::binary) << part;
    }
  }
  try {
    fettle::openchat_type_of(folder());
  } catch (const fettle::Error&) {
  }
  try {
    use(fettle::load_model(folder()));
  } catch (const fettle::Error&) {
  }
  return 0;
}
