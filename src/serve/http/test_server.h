#pragma once
// An HttpServer with routes for tests.
#include <atomic>
#include <thread>

#include "serve/http/http_server.h"
#include "serve/http/test_client.h"

namespace fettle::serve {

/// A server with short limits on a port of its own.
class HttpTestServer {
 public:
  explicit HttpTestServer(HttpOptions options = limits()) : server_(options) {
    server_.route("GET", "/hello", [](HttpCall& call) {
      answer_json(call.response, 200, {{"hello", true}});
    });
    server_.route("POST", "/echo", [](HttpCall& call) {
      answer_json(call.response, 200, {{"size", call.request.body.size()}});
    });
    server_.route("GET", "/named/", [](HttpCall& call) {
      answer_json(call.response, 200, {{"name", call.name}});
    });
    server_.route("GET", "/large", [](HttpCall& call) { call.response.set_content(std::string(300000, 'x'), "text/plain"); });
    for (const bool breaks : {false, true}) {
      server_.route("GET", breaks ? "/broken" : "/stream", [breaks](HttpCall& call) {
        const auto source = [breaks, count = 0](AnswerStream& stream) mutable {
          if (count == 1 && breaks) return HttpResponse::Next::broken;
          stream.write(count == 0 ? "one" : "two");
          return ++count == 2 ? HttpResponse::Next::ended : HttpResponse::Next::more;
        };
        call.response.set_stream(source, "text/plain");
      });
    }
    server_.route("GET", "/no-memory", [](HttpCall&) { throw std::bad_alloc(); });
    server_.route("GET", "/error", [](HttpCall&) { throw std::runtime_error("secret"); });
    server_.route("GET", "/slow", [this](HttpCall& call) {
      started = true;
      for (int i = 0; i < 40 && !left; ++i) {
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
        left = call.connection.client_left();
      }
      answer_json(call.response, 200, {{"slow", true}});
    });
    server_.set_guard([](const RequestHead& head) {
      if (head.target == "/secret") throw ApiError(401, "invalid_api_key", "", "no");
    });
    port = server_.bind();
    thread_ = std::thread([this] { server_.run([this] { return ended.load(); }); });
  }
  ~HttpTestServer() { stop(); }
  HttpServer::Load load() const { return server_.load(); }
  void stop() {
    ended = true;
    if (thread_.joinable()) thread_.join();
  }
  static HttpOptions limits() {
    HttpOptions options;
    options.port = 0;
    options.head.body = 1000;
    options.head_timeout = std::chrono::milliseconds(300);
    options.idle_timeout = std::chrono::milliseconds(600);
    options.body_timeout = std::chrono::milliseconds(300);
    return options;
  }

  int port = 0;
  std::atomic<bool> ended{false}, started{false}, left{false};

 private:
  HttpServer server_;
  std::thread thread_;
};

}  // namespace fettle::serve
