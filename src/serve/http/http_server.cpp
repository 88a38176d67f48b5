#include "serve/http/http_server.h"

#include "base/log.h"
#include "serve/http/answers.h"
#include "serve/http/memory_reserve.h"
#include "serve/http/poller.h"
#include "serve/http/workers.h"

namespace fettle::serve {

namespace {

/// What the worker's thread is answering; the HTTP library's handlers do not pass it on.
struct Current {
  Incoming* incoming = nullptr;
  std::string route;
  int status = 0;
  bool handled = false;  ///< a route, or a preflight, had the whole request
  bool closing = false;  ///< the HTTP library says so already
};
thread_local Current current;

void add_headers(httplib::Response& response, const Headers& headers) {
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

  void dispatch(const httplib::Request& request, httplib::Response& response);
  const HttpHandler& find(HttpCall& call) const;

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
    connection.begin_request(head.text);
    const bool keep = head.keep_alive && !ending && (!head.has_body() || takes_body(head.method));
    current = {&incoming, {}, 0, false, !keep};
    bool closed = false;
    const bool served = process(connection, !keep, closed);
    if (observer) {
      observer(head.method, current.route.empty() ? "other" : current.route, current.status,
               std::chrono::duration<double>(Clock::now() - incoming.begin).count());
    }
    const bool handled = current.handled && connection.request_read();
    current = {};
    return served && keep && handled && !closed && !connection.broken();
  }

  HttpOptions options;
  std::map<std::string, std::map<std::string, HttpHandler>> exact;  ///< path → method → handler
  std::map<std::string, std::map<std::string, HttpHandler>> prefix;
  std::function<void(const RequestHead&)> guard;
  std::function<void(const std::string&, const std::string&, int, double)> observer;
  std::function<bool(Connection&, bool, bool&)> process;
  std::atomic<bool> ending{false};
  Poller poller;
  Workers workers;  ///< last: its threads use the others
};

/// The route's handler, or the answer that says why there is none. Nothing is thrown but std::bad_alloc.
void HttpServer::Impl::dispatch(const httplib::Request& request, httplib::Response& response) {
  Incoming& incoming = *current.incoming;
  const auto refuse = [&](const ApiError& error) { answer_error(response, error.in_shape(shape_of(request.path))); };
  try {
    if (is_preflight(options.cors_origin, incoming.head)) {
      current.route = "preflight";
      current.handled = true;
      response.status = 204;
      return;
    }
    HttpCall call{request, response, *incoming.connection, incoming.head, {}};
    const HttpHandler& handler = find(call);
    current.handled = true;
    handler(call);
  } catch (const ApiError& error) {
    refuse(error);
  } catch (const Error& error) {
    const bool ours = error.kind() == Error::Kind::io;
    refuse({ours ? 500 : 400, ours ? "internal_error" : "invalid_request", "", error.what()});
  } catch (const std::bad_alloc&) {
    refuse({503, "out_of_memory", "", "the server has no memory for this request; try again later"});
  } catch (const std::exception& error) {
    log_warning("{} {}: {}", request.method, current.route, error.what());
    refuse({500, "internal_error", "", "the server failed at this request; its log says why"});
  }
}

/// Throws ApiError 404 and 405.
const HttpHandler& HttpServer::Impl::find(HttpCall& call) const {
  const std::string& path = call.request.path;
  const std::map<std::string, HttpHandler>* methods = nullptr;
  if (const auto found = exact.find(path); found != exact.end()) {
    methods = &found->second;
    current.route = found->first;
  } else {
    for (const auto& [front, handlers] : prefix) {
      if (!path.starts_with(front) || path.size() == front.size()) continue;
      methods = &handlers;
      current.route = front + "*";
      call.name = path.substr(front.size());
    }
  }
  if (methods == nullptr) throw ApiError(404, "not_found", "", fmt::format("there is no {}", path));
  const std::string method = call.request.method == "HEAD" ? "GET" : call.request.method;
  const auto handler = methods->find(method);
  if (handler == methods->end()) throw ApiError(405, "method_not_allowed", "", fmt::format("{} does not take {}", current.route, method));
  return handler->second;
}

HttpServer::HttpServer(HttpOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {
  const auto dispatch = [this](const httplib::Request& request, httplib::Response& response) {
    // The library's own object, which it hands on as const; it was told of no body, and this one is read already.
    const_cast<httplib::Request&>(request).body = std::move(current.incoming->body);
    impl_->dispatch(request, response);
    add_headers(response, impl_->headers_of(current.incoming->head));
    if (!current.handled && !current.closing) response.set_header("Connection", "close");
    current.status = response.status;
  };
  Get("/.*", dispatch);
  Post("/.*", dispatch);
  Delete("/.*", dispatch);
  Options("/.*", dispatch);
  Put("/.*", dispatch);
  Patch("/.*", dispatch);
  // What the library itself refuses.
  set_error_handler([this](const httplib::Request& request, httplib::Response& response) {
    if (current.status != 0 || !response.body.empty()) return;
    if (current.incoming != nullptr) add_headers(response, impl_->headers_of(current.incoming->head));
    current.status = response.status;
    const ApiError error(response.status, "bad_request", "", "the request could not be served");
    answer_json(response, response.status, error.in_shape(shape_of(request.path)).body());
  });
  set_exception_handler([](const httplib::Request&, httplib::Response& response, const std::exception_ptr&) { response.status = 503; });
  set_keep_alive_timeout(
      std::chrono::duration_cast<std::chrono::seconds>(impl_->options.idle_timeout).count());
  set_keep_alive_max_count(100000);
  impl_->process = [this](Connection& connection, bool close, bool& closed) {
    return process_request(connection, close, closed, nullptr);
  };
}

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
  const int port = impl_->poller.bind();
  svr_sock_ = impl_->poller.listener();  // by which the HTTP library knows that streams may go on
  return port;
}

void HttpServer::run(const std::function<bool()>& ended) {
  struct End {
    ~End() {
      impl.ending = true;
      impl.poller.close_all();
      impl.workers.end();
      socket = INVALID_SOCKET;
    }
    Impl& impl;
    std::atomic<socket_t>& socket;
  } end{*impl_, svr_sock_};
  impl_->poller.run(impl_->hooks(), ended);
}

HttpServer::Load HttpServer::load() const {
  return {impl_->poller.open(), impl_->workers.active(), impl_->poller.refused()};
}

}  // namespace fettle::serve
