// Any bytes as a judge's reply, under every form of reply.
#include "feedback/reply_rules.h"

#include <cmath>
#include <cstdint>

#include "base/error.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  using namespace fettle::feedback;
  ReplyRules rules;
  rules.form = static_cast<ReplyForm>(data[0] % 12);
  rules.as_published = (data[0] & 0x80) != 0;
  rules.one_as_ten = (data[0] & 0x40) != 0;
  rules.low = 0;
  rules.high = 10;
  rules.names = {"a", "b"};
  fettle::ChatChoice reply;
  reply.text.assign(reinterpret_cast<const char*>(data) + 2, size - 2);
  reply.logprobs.push_back({reply.text.substr(0, 1), -1.0, {{reply.text.substr(0, 2), -0.5}, {"m", -2.0}, {"7", -3.0}}});
  const size_t texts = data[1] % 5;
  if (const auto reading = read_verdict(rules, reply, texts)) {
    if (reading->preference) FETTLE_CHECK(*reading->preference >= 1.0 && *reading->preference <= 2.0);
    if (!reading->preference) FETTLE_CHECK(reading->texts.size() == texts);
    for (const auto& text : reading->texts)
      if (text.score) FETTLE_CHECK(*text.score >= 0.0 && *text.score <= 10.0);
  }
  return 0;
}
