// Bytes from the network are a request or refused, and what they are does not depend on the pieces in which they come.
#include "base/error.h"
#include "serve/http/body_reader.h"
#include "serve/http/message.h"
#include "serve/http/own_hosts.h"
#include "serve/http/request_head.h"

namespace {

using namespace fettle;
using namespace fettle::serve;

struct Outcome {
  int status = 0;  ///< 0: the body is not whole
  size_t taken = 0;
  std::string body;
  bool operator==(const Outcome&) const = default;
};

Outcome read_body(const std::optional<uint64_t>& length, std::string_view bytes, size_t piece) {
  Outcome outcome;
  BodyReader reader(length, 4096);
  try {
    while (outcome.taken < bytes.size() && !reader.whole()) {
      const size_t taken = reader.take(bytes.substr(outcome.taken, piece));
      FETTLE_CHECK(taken > 0);
      outcome.taken += taken;
    }
  } catch (const ApiError& error) {
    return {error.status(), 0, {}};
  }
  FETTLE_CHECK(reader.body().size() <= 4096);
  outcome.status = reader.whole() ? 200 : 0;
  outcome.body = reader.take_body();
  return outcome;
}

void check_body(const std::optional<uint64_t>& length, std::string_view bytes) {
  const Outcome whole = read_body(length, bytes, bytes.size() + 1);
  for (const size_t piece : {size_t{1}, size_t{2}, size_t{7}}) FETTLE_CHECK(read_body(length, bytes, piece) == whole);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const OwnHosts hosts("127.0.0.1", {"own.example"});
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  check_body(std::nullopt, text);
  const size_t end = head_end(text);
  if (end == std::string_view::npos) return 0;
  HeadLimits limits;
  limits.body = 4096;
  try {
    const RequestHead head = parse_head(text.substr(0, end), limits);
    const HttpRequest request(head, {});
    FETTLE_CHECK(request.path.size() <= head.target.size() && request.method == head.method);
    hosts.has(head.host, "127.0.0.1");
    if (head.has_body()) check_body(head.length, text.substr(end));
  } catch (const ApiError&) {
  }
  return 0;
}
