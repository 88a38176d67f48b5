#pragma once
// HTTP/1.1 with bounds. One thread polls the connections whose requests are not whole, so that slow and idle clients hold
// no thread; a whole request goes to a worker, which answers it.
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "serve/http/answers.h"
#include "serve/http/connection.h"
#include "serve/http/message.h"
#include "serve/http/options.h"
#include "serve/http/request_head.h"

namespace fettle::serve {

/// A request on its way through the routes. Valid during the handler; a stream's provider must copy what it
/// needs, but may use `connection`.
struct HttpCall {
  const HttpRequest& request;
  HttpResponse& response;
  Connection& connection;
  const RequestHead& head;
  std::string name;  ///< what stands behind a route's prefix ("/v1/models/" + name), decoded
};

using HttpHandler = std::function<void(HttpCall&)>;

/// What a handler throws becomes an answer: ApiError its own, Error 400, anything else 500 without details.
class HttpServer {
 public:
  explicit HttpServer(HttpOptions options);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  /// path: exact, or a prefix when it ends with '/' and is longer than "/". Before run().
  void route(const std::string& method, const std::string& path, HttpHandler handler);
  /// Looks at every request before its body is read; throws ApiError to refuse it.
  void set_guard(std::function<void(const RequestHead&)> guard);
  /// Called when a request is done: method, route, status, seconds.
  void set_observer(std::function<void(const std::string&, const std::string&, int, double)> observer);

  /// Binds the address. Throws Error(io) when it is taken. Returns the port.
  int bind();
  /// Serves until `ended` says true, which is asked ten times a second; then takes no more requests, lets
  /// those that run finish and returns. Every thread is joined, also when `ended` throws. What the system refuses
  /// (memory, a thread, a descriptor) ends or refuses single connections.
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
