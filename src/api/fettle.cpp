#include "fettle/fettle.h"

#include "base/error.h"
#include "generate/chat_client.h"
#include "generate/engine.h"
#include "generate/open_model.h"
#include "generate/score.h"
#include "hub/pull.h"
#include "train/trainer.h"

namespace fettle {
inline namespace v1 {

struct Model::Impl {
  explicit Impl(const fs::path& path, const OpenModelOptions& options)
      : open(path, options), engine(open.decoder(), open.tokenizer()), thread(engine) {
    client = make_local_chat_client(engine, thread, {path.filename().string(), {}, {}});
  }
  OpenModel open;
  Engine engine;
  EngineThread thread;
  std::unique_ptr<ChatClient> client;

  std::string ask(const Messages& messages, const AnswerOptions& options, bool raw) {
    ChatOptions chat;
    chat.max_tokens = options.max_tokens;
    chat.sampling.temperature = static_cast<float>(options.temperature);
    chat.sampling.top_p = static_cast<float>(options.top_p);
    chat.sampling.seed = options.seed;
    chat.stop = options.stop;
    chat.raw = raw;
    if (options.on_text) chat.on_text = [&](int32_t, std::string_view text) { options.on_text(text); };
    return client->complete(messages, chat).text();
  }
};

Model::Model(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Model::Model(Model&&) noexcept = default;
Model& Model::operator=(Model&&) noexcept = default;
Model::~Model() = default;

Model Model::load(const std::string& path, const std::string& adapter) {
  OpenModelOptions options;
  options.adapter = adapter;
  options.resolve = [](const std::string& name) { return hub::pull(name).path; };
  return Model(std::make_unique<Impl>(hub::pull(path).path, options));
}

std::string Model::answer(const std::vector<Turn>& conversation, const AnswerOptions& options) {
  Messages messages;
  for (const auto& turn : conversation) messages.push_back({turn.role, turn.content, 1.0, nullptr});
  return impl_->ask(messages, options, false);
}

std::string Model::complete(const std::string& text, const AnswerOptions& options) {
  return impl_->ask({{"user", text, 1.0, nullptr}}, options, true);
}

Scored Model::score(const std::string& prompt, const std::string& completion) {
  Scored result;
  const auto& tokenizer = *impl_->open.tokenizer();
  const ScoreRow row{tokenizer.encode(prompt, {true, false}), tokenizer.encode(completion)};
  const Score score = fettle::score(impl_->open.decoder(), std::span(&row, 1)).front();
  result.logp = score.logp;
  result.tokens = score.tokens;
  result.greedy = score.greedy;
  result.logps.assign(score.logps.begin(), score.logps.end());
  return result;
}

std::vector<int32_t> Model::tokenize(const std::string& text) const { return impl_->open.tokenizer()->encode(text); }

int64_t Model::parameter_count() const { return impl_->open.loaded().config.parameter_count(); }

std::string train_model(const std::string& config_path, const std::vector<std::string>& overrides,
                        const std::function<void(const TrainingStep&)>& on_step) {
  auto config = train::load_train_config(config_path, overrides);
  config.model_path = hub::pull(config.model).path;
  train::TrainCallbacks callbacks;
  if (on_step) {
    callbacks.on_step = [&](const train::StepMetrics& step) {
      on_step({step.step, step.loss, step.learning_rate, step.grad_norm, step.tokens_per_second});
    };
  }
  train::train(config, callbacks);
  return config.out.string();
}

const char* version() { return FETTLE_VERSION; }

}  // namespace v1
}  // namespace fettle
