#pragma once
// What asking costs: tokens, money where prices are known, and the bound on it.
#include <cstdint>
#include <mutex>
#include <string>

#include "base/json.h"
#include "generate/chat_client.h"

namespace fettle::feedback {

/// Per million tokens, in whatever currency the user counts.
struct Price {
  double input = 0.0, output = 0.0;
  double of(int64_t input_tokens, int64_t output_tokens) const {
    return (input * static_cast<double>(input_tokens) + output * static_cast<double>(output_tokens)) / 1e6;
  }
};

/// Adds up over threads what one command asks for.
class Costs {
 public:
  /// budget 0: no bound.
  explicit Costs(double budget = 0.0) : budget_(budget) {}

  /// Sets aside what a call may cost at most. Throws Error(io), which ends the command, when that would go beyond the budget: with the calls under way
  /// no more than the budget is ever spent, as far as the endpoint keeps to the limit of tokens that it was given.
  void reserve(double most);
  /// The call ended: what it cost takes the place of what was set aside.
  void settle(double reserved, const Price& price, const ChatReply& reply);
  void release(double reserved);
  void count_stored();

  int64_t asked() const;
  /// {"asked", "stored", "prompt_tokens", "completion_tokens", "cost"?, "budget"?}
  OrderedJson to_json() const;
  /// "1,204 asked, 310 stored, 1.2M tokens, 0.84 of 20.00" for the progress line.
  std::string line() const;

 private:
  mutable std::mutex mutex_;
  double budget_, spent_ = 0.0, reserved_ = 0.0;
  bool priced_ = false;
  int64_t asked_ = 0, stored_ = 0, prompt_tokens_ = 0, completion_tokens_ = 0;
};

}  // namespace fettle::feedback
