// A chat model behind an OpenAI-compatible endpoint (POST BASE/chat/completions).
#include <httplib.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <mutex>
#include <random>
#include <semaphore>
#include <thread>

#include "base/interrupt.h"
#include "base/ordered_json.h"
#include "generate/chat_client.h"
#include "generate/event_stream.h"
#include "generate/remote_reply.h"

namespace fettle {
namespace {

constexpr double longest_pause = 60.0;

struct Endpoint {
  std::string origin;  ///< "https://host:port"
  std::string path;    ///< "/v1/chat/completions"
};

Endpoint parse_url(std::string url) {
  const size_t scheme = url.find("://");
  const std::string name = scheme == std::string::npos ? "" : url.substr(0, scheme);
  if (name != "http" && name != "https") {
    fail(url, "expected an address like https://api.openai.com/v1 or http://127.0.0.1:18888/v1");
  }
  const size_t slash = url.find('/', scheme + 3);
  Endpoint endpoint{url.substr(0, slash), slash == std::string::npos ? "" : url.substr(slash)};
  while (endpoint.path.ends_with('/')) endpoint.path.pop_back();
  endpoint.path += "/chat/completions";
  return endpoint;
}

/// What a try that failed says, and whether another may succeed.
struct Failure {
  std::string reason;
  bool again = false;
  double wait = -1.0;  ///< Retry-After, in seconds
  bool whole_endpoint = false;  ///< no other request would fare better: no connection, no such model, a key that is refused
};

bool worth_retrying(int status) {
  return status == 408 || status == 409 || status == 429 || status >= 500;
}

Json sampling_fields(const SamplingOptions& o) {
  const SamplingOptions unset;
  Json body = {{"temperature", o.temperature}, {"seed", o.seed}};
  if (o.top_p != unset.top_p) body["top_p"] = o.top_p;
  if (o.top_k != unset.top_k) body["top_k"] = o.top_k;
  if (o.min_p != unset.min_p) body["min_p"] = o.min_p;
  if (o.repetition_penalty != unset.repetition_penalty) body["repetition_penalty"] = o.repetition_penalty;
  if (o.presence_penalty != unset.presence_penalty) body["presence_penalty"] = o.presence_penalty;
  if (o.frequency_penalty != unset.frequency_penalty) body["frequency_penalty"] = o.frequency_penalty;
  for (const auto& [token, bias] : o.logit_bias) body["logit_bias"][std::to_string(token)] = bias;
  return body;
}

Json request_body(const std::string& model, const Messages& messages, const ChatOptions& o) {
  Json body = sampling_fields(o.sampling);
  body["model"] = model;
  body["messages"] = Json::array();
  for (const Message& message : messages) {
    Json json = message_to_json(message);
    json.erase("weight");
    body["messages"].push_back(std::move(json));
  }
  if (o.max_tokens > 0) body["max_tokens"] = o.max_tokens;
  if (!o.stop.empty()) body["stop"] = o.stop;
  if (o.n != 1) body["n"] = o.n;
  if (o.logprobs) body["logprobs"] = true;
  if (o.top_logprobs > 0) body["top_logprobs"] = o.top_logprobs;
  if (o.on_text) {
    body["stream"] = true;
    body["stream_options"] = {{"include_usage", true}};
  }
  body.update(o.extra);
  return body;
}

/// Empty when the variable is not set.
std::string key_of(const std::string& variable) {
  const char* value = std::getenv(variable.c_str());
  if (value == nullptr) return {};
  const std::string_view text = value;
  const size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) fail("$" + variable, "is set, but holds no key; unset it where an endpoint wants none");
  const std::string key(text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1));
  const bool sendable = std::ranges::all_of(key, [](char c) { return c > 0x20 && c < 0x7f; });
  if (!sendable) fail("$" + variable, "holds a blank, a control character or a letter beyond ASCII, which is no part of a key");
  return key;
}

class RemoteChatClient final : public ChatClient {
 public:
  explicit RemoteChatClient(RemoteChatOptions options)
      : options_(std::move(options)),
        endpoint_(parse_url(options_.base_url)),
        slots_(std::max(1, options_.concurrency)) {
    if (options_.model.empty()) fail(options_.base_url, "name the model that it should answer with");
    if (!options_.api_key_variable.empty()) key_ = key_of(options_.api_key_variable);
  }

  std::string name() const override { return options_.model; }

  ChatReply complete(const Messages& messages, const ChatOptions& options) override {
    const std::string body = dump_json(request_body(options_.model, messages, options));
    slots_.acquire();
    const struct Release {
      std::counting_semaphore<>& slots;
      ~Release() { slots.release(); }
    } release{slots_};
    for (int32_t attempt = 0;; ++attempt) {
      ChatReply reply;
      const auto failure = try_once(body, options, reply);
      if (!failure) return reply;
      if (!failure->again || attempt >= options_.retries) {
        const std::string tries = attempt > 0 ? fmt::format(" (after {} tries)", attempt + 1) : "";
        throw Error(failure->whole_endpoint ? Error::Kind::io : Error::Kind::input,
                    fmt::format("{}: model {}: {}{}", options_.base_url, options_.model, failure->reason, tries));
      }
      pause(failure->wait >= 0.0 ? failure->wait : options_.backoff_seconds * std::exp2(attempt) * jitter());
    }
  }

  std::vector<ChatOutcome> complete_batch(
      std::span<const ChatTask> tasks,
      const std::function<void(size_t, const ChatOutcome&)>& on_done) override {
    std::vector<ChatOutcome> outcomes(tasks.size());
    std::atomic<size_t> next{0};
    std::mutex done;
    const auto work = [&] {
      for (size_t i = next++; i < tasks.size(); i = next++) {
        try {
          outcomes[i].reply = complete(tasks[i].messages, tasks[i].options);
        } catch (const std::exception& error) {
          outcomes[i].error = error.what();
        }
        std::lock_guard lock(done);
        if (on_done) on_done(i, outcomes[i]);
      }
    };
    std::vector<std::thread> threads;
    const size_t count =
        std::min<size_t>(tasks.size(), static_cast<size_t>(std::max(1, options_.concurrency)));
    for (size_t i = 0; i < count; ++i) threads.emplace_back(work);
    for (std::thread& thread : threads) thread.join();
    throw_if_interrupted();
    return outcomes;
  }

 private:
  using Connection = std::unique_ptr<httplib::Client>;

  /// Connections are kept open between requests; each is used by one at a time.
  Connection take_connection() {
    std::lock_guard lock(mutex_);
    if (!idle_.empty()) {
      Connection connection = std::move(idle_.back());
      idle_.pop_back();
      return connection;
    }
    auto connection = std::make_unique<httplib::Client>(endpoint_.origin);
    if (!connection->is_valid()) fail(options_.base_url, "is no address that can be opened");
    const auto seconds = std::chrono::microseconds(static_cast<int64_t>(options_.timeout_seconds * 1e6));
    connection->set_connection_timeout(
        std::min<std::chrono::microseconds>(seconds, std::chrono::seconds(30)));
    connection->set_read_timeout(seconds);
    connection->set_write_timeout(seconds);
    connection->set_keep_alive(true);
    connection->set_tcp_nodelay(true);
    return connection;
  }

  std::optional<Failure> try_once(const std::string& body, const ChatOptions& options, ChatReply& reply) {
    reply.choices.resize(static_cast<size_t>(options.n));
    Connection connection = take_connection();
    httplib::Request request;
    request.method = "POST";
    request.path = endpoint_.path;
    request.headers = {{"Content-Type", "application/json"}};
    if (!key_.empty()) request.headers.emplace("Authorization", "Bearer " + key_);
    request.body = body;
    int status = 0;
    size_t taken = 0;
    bool started = false, whole_stream = false;
    std::string whole;
    EventStream events;
    std::exception_ptr broken;
    request.response_handler = [&](const httplib::Response& response) {
      status = response.status;
      return true;
    };
    const auto take_event = [&](const std::string& event) {
      if (event == "[DONE]") {
        whole_stream = true;
      } else {
        read_reply(parse_json(event, options_.base_url), ReplyPart::delta, reply, options.on_text, options_.base_url);
      }
    };
    request.content_receiver = [&](const char* data, size_t size, uint64_t, uint64_t) {
      try {
        taken += size;
        if (taken > largest_reply) fail(options_.base_url, "model {}: its answer has more than {} bytes", options_.model, largest_reply);
        if (status != 200 || !options.on_text) {
          whole.append(data, size);
        } else {
          started = true;
          for (const std::string& event : events.push({data, size})) take_event(event);
        }
      } catch (...) {
        broken = std::current_exception();
        return false;
      }
      return true;
    };
    const httplib::Result result = connection->send(request);
    if (broken) std::rethrow_exception(broken);
    if (!result) {
      const bool too_late = result.error() == httplib::Error::Read;
      return Failure{fmt::format("no answer: {}{}", httplib::to_string(result.error()),
                                 too_late ? fmt::format(" (nothing came for {} s, or the connection broke)",
                                                        options_.timeout_seconds)
                                          : ""),
                     !started && result.error() != httplib::Error::SSLServerVerification, -1.0, !too_late};
    }
    if (result->status != 200) {
      Failure failure{fmt::format("status {}: {}", result->status, endpoint_reason(whole)),
                      worth_retrying(result->status), -1.0, result->status == 401 || result->status == 403 || result->status == 404};
      const std::string after = result->get_header_value("Retry-After");
      if (!after.empty() && std::isdigit(static_cast<unsigned char>(after[0])) != 0)
        failure.wait = std::min(longest_pause, std::atof(after.c_str()));
      return failure;
    }
    if (!options.on_text) {
      if (auto reason = read_whole(whole, reply)) return Failure{std::move(*reason), true, -1.0};
    } else if (!whole_stream && std::ranges::any_of(reply.choices, [](const ChatChoice& c) { return c.finish_reason.empty(); })) {
      return Failure{"its stream ended before the answer did", !started, -1.0};
    }
    if (reply.model.empty()) reply.model = options_.model;
    std::lock_guard lock(mutex_);
    idle_.push_back(std::move(connection));
    return std::nullopt;
  }

  /// Empty when the answer is whole. One that is cut, or is none, may be better the next time.
  std::optional<std::string> read_whole(const std::string& text, ChatReply& reply) const {
    ChatReply read;
    read.choices.resize(reply.choices.size());
    try {
      const Json json = parse_json(text, "its answer");
      read_reply(json, ReplyPart::message, read, {}, "its answer");
      if (json["choices"].size() < read.choices.size()) return fmt::format("answered with {} of {} choices", json["choices"].size(), read.choices.size());
    } catch (const Error& error) {
      return error.what();
    }
    reply = std::move(read);
    return std::nullopt;
  }

  static double jitter() {
    thread_local std::mt19937 random{std::random_device{}()};
    return std::uniform_real_distribution<>(0.5, 1.0)(random);
  }

  static void pause(double seconds) {
    const auto end =
        std::chrono::steady_clock::now() + std::chrono::duration<double>(std::min(seconds, longest_pause));
    while (std::chrono::steady_clock::now() < end) {
      throw_if_interrupted();
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
  }

  RemoteChatOptions options_;
  Endpoint endpoint_;
  std::string key_;
  std::counting_semaphore<> slots_;
  std::mutex mutex_;
  std::vector<Connection> idle_;
};

}  // namespace

std::unique_ptr<ChatClient> make_remote_chat_client(RemoteChatOptions options) {
  return std::make_unique<RemoteChatClient>(std::move(options));
}

}  // namespace fettle
