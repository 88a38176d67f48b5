#include "serve/http/http_server.h"

#include "base/log.h"
#include "serve/http/answers.h"
#include "serve/http/memory_reserve.h"
#include "serve/http/poller.h"
#include "serve/http/workers.h"

namespace fettle::serve {

namespace {

/// What became of one request.
struct Outcome {
  std::string route = "other";
  bool handled = false;  ///< a route, or a preflight, had the whole request
};

void add_headers(HttpResponse& response, const Headers& headers) {
  for (const auto& [name, value] : headers) {
    if (name == "Vary" || !response.has_header(name)) response.set_header(name, value);
  }
}

/// A body that no route was given is not read as one, though the poller took it.
bool takes_body(const std::string& method) { return method == "POST" || method == "PUT" || method == "PATCH"; }

}  // namespace

struct HttpServer::Impl {
  explicit Impl(HttpOptions o)
      : options(std::move(o)),
        poller(options),
        workers(options.max_active, options.max_pending, [this](std::unique_ptr<Incoming> incoming) { answer(std::move(incoming)); }) {}

  void dispatch(HttpCall& call, Outcome& outcome);
  const HttpHandler& find(HttpCall& call, Outcome& outcome) const;

  Poller::Hooks hooks() {
    return {guard, has_room_for_json, [this](std::unique_ptr<Incoming>& incoming) { return workers.offer(incoming); },
            [this](const ApiError& error, const RequestHead& head) {
              return plain_answer(error.in_shape(shape_of(head.target)), headers_of(head));
            },
            [this](const RequestHead& head, int status, double seconds) {
              if (observer) observer(head.method.empty() ? "-" : head.method, "refused", status, seconds);
            }};
  }

  Headers headers_of(const RequestHead& head) const {
    Headers headers = common_headers();
    for (auto& header : cors_headers(options.cors_origin, head)) headers.push_back(std::move(header));
    return headers;
  }

  void answer(std::unique_ptr<Incoming> incoming) {
    const bool again = answer_one(*incoming);
    std::unique_ptr<Connection> connection = std::move(incoming->connection);
    incoming.reset();  // its body's memory is others' now
    if (again) poller.give_back(std::move(connection));
  }

  /// True when the connection can take another request.
  bool answer_one(Incoming& incoming) {
    const RequestHead& head = incoming.head;
    Connection& connection = *incoming.connection;
    connection.set_write_timeout(options.write_timeout);
    const bool keep = head.keep_alive && !ending && (!head.has_body() || takes_body(head.method));
    const HttpRequest request(head, std::move(incoming.body));
    HttpResponse response;
    HttpCall call{request, response, connection, head, {}};
    Outcome outcome;
    dispatch(call, outcome);
    add_headers(response, headers_of(head));
    const bool again = response.send(connection, head, !keep || !outcome.handled);
    if (observer)
      observer(head.method, outcome.route, response.status, std::chrono::duration<double>(Clock::now() - incoming.begin).count());
    return again && !connection.broken();
  }

  HttpOptions options;
  std::map<std::string, std::map<std::string, HttpHandler>> exact;  ///< path → method → handler
  std::map<std::string, std::map<std::string, HttpHandler>> prefix;
  std::function<void(const RequestHead&)> guard;
  std::function<void(const std::string&, const std::string&, int, double)> observer;
  std::atomic<bool> ending{false};
  Poller poller;
  Workers workers;  ///< last: its threads use the others
};

/// The route's answer, or the one that says why there is none. Nothing is thrown but std::bad_alloc.
void HttpServer::Impl::dispatch(HttpCall& call, Outcome& outcome) {
  const auto refuse = [&](const ApiError& error) { answer_error(call.response, error.in_shape(shape_of(call.request.path))); };
  try {
    if (is_preflight(options.cors_origin, call.head)) {
      outcome = {"preflight", true};
      call.response.status = 204;
      return;
    }
    const HttpHandler& handler = find(call, outcome);
    outcome.handled = true;
    handler(call);
  } catch (const ApiError& error) {
    refuse(error);
  } catch (const Error& error) {
    const bool ours = error.kind() == Error::Kind::io;
    refuse({ours ? 500 : 400, ours ? "internal_error" : "invalid_request", "", error.what()});
  } catch (const std::bad_alloc&) {
    refuse({503, "out_of_memory", "", "the server has no memory for this request; try again later"});
  } catch (const std::exception& error) {
    log_warning("{} {}: {}", call.request.method, outcome.route, error.what());
    refuse({500, "internal_error", "", "the server failed at this request; its log says why"});
  }
}

/// Throws ApiError 404 and 405.
const HttpHandler& HttpServer::Impl::find(HttpCall& call, Outcome& outcome) const {
  const std::string& path = call.request.path;
  const std::map<std::string, HttpHandler>* methods = nullptr;
  if (const auto found = exact.find(path); found != exact.end()) {
    methods = &found->second;
    outcome.route = found->first;
  } else {
    for (const auto& [front, handlers] : prefix) {
      if (!path.starts_with(front) || path.size() == front.size()) continue;
      methods = &handlers;
      outcome.route = front + "*";
      call.name = path.substr(front.size());
    }
  }
  if (methods == nullptr) throw ApiError(404, "not_found", "", fmt::format("there is no {}", path));
  const std::string method = call.request.method == "HEAD" ? "GET" : call.request.method;
  const auto handler = methods->find(method);
  if (handler == methods->end()) throw ApiError(405, "method_not_allowed", "", fmt::format("{} does not take {}", outcome.route, method));
  return handler->second;
}

HttpServer::HttpServer(HttpOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {}
HttpServer::~HttpServer() = default;

void HttpServer::route(const std::string& method, const std::string& path, HttpHandler handler) {
  const bool is_prefix = path.size() > 1 && path.ends_with('/');
  (is_prefix ? impl_->prefix : impl_->exact)[path][method] = std::move(handler);
}

void HttpServer::set_guard(std::function<void(const RequestHead&)> guard) {
  impl_->guard = std::move(guard);
}
void HttpServer::set_observer(
    std::function<void(const std::string&, const std::string&, int, double)> observer) {
  impl_->observer = std::move(observer);
}

int HttpServer::bind() {
  set_memory_aside();
  return impl_->poller.bind();
}

void HttpServer::run(const std::function<bool()>& ended) {
  struct End {
    ~End() {
      impl.ending = true;
      impl.poller.close_all();
      impl.workers.end();
    }
    Impl& impl;
  } end{*impl_};
  impl_->poller.run(impl_->hooks(), ended);
}

HttpServer::Load HttpServer::load() const {
  return {impl_->poller.open(), impl_->workers.active(), impl_->poller.refused()};
}

}  // namespace fettle::serve
