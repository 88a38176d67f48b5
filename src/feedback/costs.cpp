#include "feedback/costs.h"

#include "base/error.h"
#include "base/progress.h"

namespace fettle::feedback {

void Costs::reserve(double most) {
  const std::lock_guard lock(mutex_);
  if (budget_ > 0.0 && spent_ + reserved_ + most > budget_)
    throw Error(Error::Kind::io, fmt::format("budget: {:.2f} of {:.2f} are spent and {:.2f} are under way, and the next call may cost {:.4f}; with a higher budget "
                                             "the same command goes on, and asks for nothing again", spent_, budget_, reserved_, most));
  reserved_ += most;
}

void Costs::settle(double reserved, const Price& price, const ChatReply& reply) {
  const std::lock_guard lock(mutex_);
  reserved_ -= reserved;
  spent_ += price.of(reply.prompt_tokens, reply.completion_tokens);
  priced_ = priced_ || price.input > 0.0 || price.output > 0.0;
  ++asked_;
  prompt_tokens_ += reply.prompt_tokens;
  completion_tokens_ += reply.completion_tokens;
}

void Costs::release(double reserved) {
  const std::lock_guard lock(mutex_);
  reserved_ -= reserved;
}

void Costs::count_stored() {
  const std::lock_guard lock(mutex_);
  ++stored_;
}

int64_t Costs::asked() const {
  const std::lock_guard lock(mutex_);
  return asked_;
}

OrderedJson Costs::to_json() const {
  const std::lock_guard lock(mutex_);
  OrderedJson json = {{"asked", asked_}, {"stored", stored_}, {"prompt_tokens", prompt_tokens_}, {"completion_tokens", completion_tokens_}};
  if (priced_) json["cost"] = spent_;
  if (budget_ > 0.0) json["budget"] = budget_;
  return json;
}

std::string Costs::line() const {
  const std::lock_guard lock(mutex_);
  std::string line = fmt::format("{} asked, {} stored, {} tokens", asked_, stored_, human_count(static_cast<double>(prompt_tokens_ + completion_tokens_)));
  if (priced_) line += fmt::format(", {:.2f}", spent_);
  if (priced_ && budget_ > 0.0) line += fmt::format(" of {:.2f}", budget_);
  return line;
}

}  // namespace fettle::feedback
