#pragma once
// Any chat model: the engine here, or an OpenAI-compatible endpoint. Ensembles, judges and evaluators know
// only this.
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "generate/request.h"
#include "text/chat/message.h"

namespace fettle {

struct ChatOptions {
  SamplingOptions sampling;  ///< the endpoint gets the fields that differ from their defaults, temperature
                             ///< and seed always
  int64_t max_tokens = 0;    ///< 0: the model's own limit
  std::vector<std::string> stop;
  int32_t n = 1;
  bool logprobs = false;
  int32_t top_logprobs = 0;
  Json template_variables = Json::object();  ///< for the local template (tools, enable_thinking, …)
  Json extra = Json::object();               ///< further fields of a remote request's body, as they are
  /// The conversation as one text without a template: the contents joined, nothing added (`--raw`). Local
  /// only.
  bool raw = false;
  /// Text as it appears, with the number of the choice; called from another thread. Remote endpoints are then
  /// asked to stream.
  std::function<void(int32_t choice, std::string_view text)> on_text;
};

struct ChatTokenLogProb {
  std::string token;
  double logp = 0.0;
  std::vector<std::pair<std::string, double>> top;
};

struct ChatChoice {
  std::string text;
  std::string finish_reason;  ///< "stop", "length", … as the endpoint says
  std::vector<ChatTokenLogProb> logprobs;
};

struct ChatReply {
  std::vector<ChatChoice> choices;  ///< n of them
  std::string model;
  int64_t prompt_tokens = 0, completion_tokens = 0;
  const std::string& text() const { return choices.at(0).text; }
};

struct ChatTask {
  Messages messages;
  ChatOptions options;
};

/// One of a batch: either a reply or what went wrong.
struct ChatOutcome {
  ChatReply reply;
  std::string error;  ///< empty: the reply stands
  bool ok() const { return error.empty(); }
};

/// Safe to use from many threads.
class ChatClient {
 public:
  virtual ~ChatClient() = default;
  virtual std::string name() const = 0;  ///< the model's name, for reports and cache keys
  /// Throws Error when the reply cannot be had (after retries), naming the client and the reason.
  virtual ChatReply complete(const Messages& messages, const ChatOptions& options = {}) = 0;
  /// Runs all, as many at once as the client bears; outcomes in the order of the tasks. A task that fails
  /// does not stop the others. `on_done` is called as each ends, from any thread, one call at a time.
  virtual std::vector<ChatOutcome> complete_batch(
      std::span<const ChatTask> tasks,
      const std::function<void(size_t, const ChatOutcome&)>& on_done = {}) = 0;
};

struct LocalChatOptions {
  std::string name;                  ///< what name() says
  std::vector<AdapterUse> adapters;  ///< registered with the engine
  /// End-of-turn strings of the template that are no end-of-sequence token of the model, such as
  /// "<|im_end|>".
  std::vector<std::string> stop_tokens;
};

class Engine;
class EngineThread;

/// `engine` is stepped by `thread`; both must outlive the client.
std::unique_ptr<ChatClient> make_local_chat_client(Engine& engine, EngineThread& thread,
                                                   LocalChatOptions options = {});

struct RemoteChatOptions {
  std::string base_url;  ///< "https://api.openai.com/v1", "http://127.0.0.1:18888/v1"
  std::string model;
  std::string api_key_variable =
      "OPENAI_API_KEY";            ///< environment variable that holds the key; unset: no key is sent
  int32_t concurrency = 8;         ///< requests under way at once, over all threads
  int32_t retries = 6;             ///< after the first try: on no connection, timeout, 408, 409, 429 and 5xx
  double timeout_seconds = 600.0;  ///< of one try
  double backoff_seconds =
      1.0;  ///< first pause; doubles up to a minute, times a random 0.5–1; Retry-After wins
};
std::unique_ptr<ChatClient> make_remote_chat_client(RemoteChatOptions options);

}  // namespace fettle
