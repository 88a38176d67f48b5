#include "generate/open_model.h"

#include "base/error.h"
#include "kernels/backends.h"
#include "model/device.h"

namespace fettle {

OpenModel::OpenModel(const fs::path& path, const OpenModelOptions& options) {
  LoadOptions load;
  load.tokenizer = options.tokenizer;
  load.resolve = options.resolve;
  loaded_ = load_model(path, load);
  if (!options.adapter.empty()) {
    if (loaded_.adapter)
      fail(options.adapter.string(), "{} is an adapter already; merge it first (fettle export)",
           path.string());
    attach_adapter(loaded_, options.adapter, !options.tokenizer.empty());
  }
  if (!loaded_.tokenizer) fail(path.string(), "has no tokenizer; name one with --tokenizer");
  backend_ = make_backend(options.device);
  if (loaded_.adapter) move_to(loaded_.adapter->parameters, *backend_);
  move_to(loaded_.parameters, *backend_);
  DecoderOptions decoder;
  decoder.product = options.product;
  decoder_ = std::make_unique<Decoder>(loaded_.config, loaded_.parameters, *backend_, decoder);
  if (loaded_.adapter) decoder_->set_adapters({{&*loaded_.adapter, 1.0F}});
}

const ChatTemplate& OpenModel::chat() const {
  if (!chat_) chat_.emplace(ChatTemplate::of(*loaded_.tokenizer));
  return *chat_;
}

SamplingDefaults OpenModel::sampling_defaults() const {
  return fettle::sampling_defaults(loaded_.generation_config, (loaded_.path / "generation_config.json").string());
}

}  // namespace fettle
