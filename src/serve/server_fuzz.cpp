// Any bytes to a whole server over loopback: each input is what one client sends before it hangs up. The server answers, refuses or
// closes, and goes on with the next.
#include "serve/server.h"

#include <cstdint>
#include <cstdlib>

#include "serve/server_test_support.h"

namespace {

using namespace fettle::serve;

ServeOptions options() {
  ServeOptions made;
  made.http.head_timeout = made.http.body_timeout = made.http.idle_timeout = std::chrono::milliseconds(200);
  made.http.max_active = 4;
  made.engine.max_queued = 8;
  made.timeout = std::chrono::milliseconds(100);
  made.votes = folder().file("votes.sqlite");
  return made;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const Running* server = new Running(options());  // ends with the process: libFuzzer leaves by exit
  RawClient client(server->port);
  if (!client.connected()) return 0;
  client.send({reinterpret_cast<const char*>(data), size});
  client.half_close();
  const std::string answer = client.read_all(1000);
  if (!answer.empty() && !answer.starts_with("HTTP/1.")) std::abort();
  return 0;
}
