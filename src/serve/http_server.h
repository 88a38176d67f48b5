#pragma once
// HTTP/1.1 with bounds. One thread polls the connections that are silent or still send their head, so that
// slow and idle clients hold no thread; a whole head goes to a worker, where the HTTP library reads the body
// and writes the answer.
#include <httplib.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/file.h"
#include "serve/connection.h"
#include "serve/http_answers.h"
#include "serve/request_head.h"

namespace fettle::serve {

struct HttpOptions {
  std::string host = "127.0.0.1";
  int port = 18888;            ///< 0: any free one
  int max_connections = 4096;  ///< open sockets; the one that is silent longest makes room for a new one
  int max_active = 256;        ///< requests that are read, answered or streamed at once, a thread each
  int max_pending = 256;       ///< whole heads that wait for a thread; beyond it 503
  HeadLimits head;
  std::chrono::milliseconds head_timeout{10000};   ///< from a request's first byte to the end of its head
  std::chrono::milliseconds idle_timeout{30000};   ///< of a connection that says nothing
  std::chrono::milliseconds body_timeout{30000};   ///< of a whole body
  std::chrono::milliseconds write_timeout{30000};  ///< of one write that the client does not take
  fs::path tls_certificate, tls_key;               ///< both or none
  std::string cors_origin;                         ///< empty: no other origin; "*": all
};

/// A request on its way through the routes. Valid during the handler; a stream's provider must copy what it
/// needs, but may use `connection`.
struct HttpCall {
  const httplib::Request& request;
  httplib::Response& response;
  Connection& connection;
  const RequestHead& head;
  std::string name;  ///< what stands behind a route's prefix ("/v1/models/" + name), decoded
};

using HttpHandler = std::function<void(HttpCall&)>;

/// What a handler throws becomes an answer: ApiError its own, Error 400, anything else 500 without details.
class HttpServer : private httplib::Server {
 public:
  explicit HttpServer(HttpOptions options);
  ~HttpServer() override;

  /// path: exact, or a prefix when it ends with '/' and is longer than "/". Before run().
  void route(const std::string& method, const std::string& path, HttpHandler handler);
  /// Looks at every request before its body is read; throws ApiError to refuse it.
  void set_guard(std::function<void(const RequestHead&)> guard);
  /// Called when a request is done: method, route, status, seconds.
  void set_observer(std::function<void(const std::string&, const std::string&, int, double)> observer);

  /// Binds the address. Throws Error(io) when it is taken. Returns the port.
  int bind();
  /// Serves until `ended` says true, which is asked ten times a second; then takes no more requests, lets
  /// those that run finish and returns.
  void run(const std::function<bool()>& ended);

  struct Load {
    int64_t connections, active, refused;
  };
  Load load() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace fettle::serve
