// Any bytes as what an endpoint answers: as a whole response, and as a stream of events.
#include "generate/remote_reply.h"

#include <cstdint>

#include "base/error.h"
#include "generate/event_stream.h"

namespace {

using namespace fettle;

void read(std::string_view bytes, ReplyPart part, ChatReply& reply) {
  size_t said = 0;
  read_reply(parse_json(std::string(bytes), "fuzz"), part, reply, [&](int32_t choice, std::string_view text) {
    FETTLE_CHECK(choice >= 0 && choice < 2);
    said += text.size();
  }, "fuzz");
  FETTLE_CHECK(said <= bytes.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  ChatReply reply;
  reply.choices.resize(2);
  endpoint_reason(bytes);
  try {
    if (data[0] % 2 == 0) {
      read(bytes, ReplyPart::message, reply);
    } else {
      EventStream events;
      for (const std::string& event : events.push(bytes)) read(event, ReplyPart::delta, reply);
    }
  } catch (const Error&) {
  }
  return 0;
}
