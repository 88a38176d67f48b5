// The engine here as a ChatClient.
#include <mutex>
#include <optional>
#include <thread>

#include "base/interrupt.h"
#include "generate/chat_client.h"
#include "generate/engine.h"
#include "text/chat/chat_template.h"

namespace fettle {
namespace {

class LocalChatClient final : public ChatClient {
 public:
  LocalChatClient(Engine& engine, LocalChatOptions options)
      : engine_(engine), options_(std::move(options)), tokenizer_(engine.tokenizer()) {
    if (tokenizer_ == nullptr) fail(options_.name, "a model without a tokenizer cannot chat");
    for (const std::string& token : options_.stop_tokens) {
      const auto id = tokenizer_->id(token);
      if (!id) fail(options_.name, "'{}' is no token of this model", token);
      stop_tokens_.push_back(*id);
    }
  }

  std::string name() const override { return options_.name; }

  ChatReply complete(const Messages& messages, const ChatOptions& options) override {
    const ChatTask task{messages, options};
    ChatOutcome outcome = std::move(complete_batch({&task, 1}, {}).front());
    if (!outcome.ok()) fail(options_.name, "{}", outcome.error);
    return std::move(outcome.reply);
  }

  std::vector<ChatOutcome> complete_batch(
      std::span<const ChatTask> tasks,
      const std::function<void(size_t, const ChatOutcome&)>& on_done) override {
    std::vector<ChatOutcome> outcomes(tasks.size());
    std::mutex turn;
    const auto done = [&](size_t i, ChatOutcome&& outcome) {
      std::lock_guard lock(turn);
      outcomes[i] = std::move(outcome);
      if (on_done) on_done(i, outcomes[i]);
    };
    RequestGroup group(engine_);
    for (size_t i = 0; i < tasks.size(); ++i) {
      throw_if_interrupted();
      try {
        GenerationRequest request = make_request(tasks[i]);
        request.on_done = [&, i](GenerationResult&& result) { done(i, outcome_of(std::move(result))); };
        submit(group, std::move(request));
      } catch (const std::exception& error) {
        if (interrupted()) throw;
        done(i, {{}, error.what()});
      }
    }
    while (!group.wait(std::chrono::milliseconds(100))) throw_if_interrupted();
    throw_if_interrupted();
    return outcomes;
  }

 private:
  /// A full queue is no error for a batch: it waits its turn.
  static void submit(RequestGroup& group, GenerationRequest request) {
    for (;;) {
      try {
        group.submit(request);
        return;
      } catch (const QueueFull&) {
        throw_if_interrupted();
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
      }
    }
  }

  std::vector<int32_t> encode(const ChatTask& task) {
    if (task.options.raw) {
      std::string text;
      for (const Message& message : task.messages) text += message.content;
      return tokenizer_->encode(text, {.add_special = true, .parse_special = false});
    }
    std::call_once(parsed_, [&] { template_.emplace(ChatTemplate::of(*tokenizer_)); });
    RenderOptions render;
    render.add_generation_prompt = true;
    render.variables = task.options.template_variables;
    return encode_chat(*tokenizer_, *template_, task.messages, render);
  }

  GenerationRequest make_request(const ChatTask& task) {
    const ChatOptions& o = task.options;
    GenerationRequest request;
    request.prompt = encode(task);
    request.sampling = o.sampling;
    request.n = o.n;
    request.max_tokens = o.max_tokens;
    request.stop = o.stop;
    request.stop_tokens = stop_tokens_;
    request.logprobs = o.logprobs;
    request.top_logprobs = o.top_logprobs;
    request.adapters = options_.adapters;
    if (o.on_text) {
      request.on_delta = [on_text = o.on_text](const GenerationDelta& delta) {
        if (!delta.text.empty()) on_text(delta.sample, delta.text);
      };
    }
    return request;
  }

  ChatTokenLogProb token_of(const TokenInfo& info) const {
    ChatTokenLogProb token{tokenizer_->bytes(info.token), static_cast<double>(info.logp), {}};
    for (const TokenLogProb& other : info.top) {
      token.top.emplace_back(tokenizer_->bytes(other.token), static_cast<double>(other.logp));
    }
    return token;
  }

  ChatOutcome outcome_of(GenerationResult&& result) const {
    ChatOutcome outcome;
    outcome.reply.model = options_.name;
    outcome.reply.prompt_tokens = result.prompt_tokens;
    outcome.reply.completion_tokens = result.completion_tokens;
    for (GenerationSample& sample : result.samples) {
      ChatChoice choice{std::move(sample.text), std::string(finish_reason_name(sample.finish)), {}};
      for (const TokenInfo& info : sample.infos) choice.logprobs.push_back(token_of(info));
      outcome.reply.choices.push_back(std::move(choice));
      if (sample.finish == FinishReason::error) outcome.error = result.error;
      if (sample.finish == FinishReason::cancelled) outcome.error = "cancelled";
    }
    return outcome;
  }

  Engine& engine_;
  LocalChatOptions options_;
  std::shared_ptr<const Tokenizer> tokenizer_;
  std::vector<int32_t> stop_tokens_;
  std::once_flag parsed_;
  std::optional<ChatTemplate> template_;
};

}  // namespace

std::unique_ptr<ChatClient> make_local_chat_client(Engine& engine, EngineThread&, LocalChatOptions options) {
  return std::make_unique<LocalChatClient>(engine, std::move(options));
}

}  // namespace fettle
