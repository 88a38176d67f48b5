#include "feedback/stored_client.h"

namespace fettle::feedback {
namespace {

// Of both, more is not usual: bytes of a token, and tokens that a model without a limit writes.
constexpr double bytes_of_token = 2.0, tokens_without_limit = 4096.0;

}  // namespace

StoredClient::StoredClient(ChatClient& client, std::string revision, AnswerStore* store, Costs& costs, Price price)
    : client_(client), name_(client.name()), revision_(std::move(revision)), store_(store), costs_(costs), price_(price) {}

double StoredClient::most(const Messages& messages, const ChatOptions& options) const {
  double bytes = 0.0;
  for (const Message& message : messages) bytes += static_cast<double>(message.content.size()) + 16.0;
  const double answer = options.max_tokens > 0 ? static_cast<double>(options.max_tokens) : tokens_without_limit;
  return (price_.input * bytes / bytes_of_token + price_.output * answer * options.n) / 1e6;
}

ChatReply StoredClient::ask(const Messages& messages, const ChatOptions& options, int64_t draw) {
  std::string key;
  if (store_ != nullptr) {
    key = answer_key(name_, revision_, messages, options, draw);
    if (auto found = store_->find(key)) {
      costs_.count_stored();
      return std::move(*found);
    }
  }
  const double reserved = most(messages, options);
  costs_.reserve(reserved);
  ChatReply reply;
  try {
    reply = client_.complete(messages, options);
  } catch (...) {
    costs_.release(reserved);
    throw;
  }
  costs_.settle(reserved, price_, reply);
  if (store_ != nullptr) store_->put(key, reply);
  return reply;
}

}  // namespace fettle::feedback
