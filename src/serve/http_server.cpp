#include "serve/http_server.h"

#include <arpa/inet.h>
#include <openssl/ssl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <list>
#include <mutex>
#include <thread>
#include <unordered_map>

#include "base/log.h"
#include "serve/http_answers.h"
#include "serve/listener.h"

namespace fettle::serve {

namespace {

using ConnectionPtr = std::unique_ptr<Connection>;

/// What the worker's thread is answering; the HTTP library's handlers do not pass it on.
struct Current {
  Connection* connection = nullptr;
  const RequestHead* head = nullptr;
  std::string route;
  int status = 0;
};
thread_local Current current;

}  // namespace

struct HttpServer::Impl {
  explicit Impl(HttpOptions o) : options(std::move(o)), tls(open_tls(options.tls_certificate, options.tls_key), SSL_CTX_free) {}
  ~Impl() {
    for (const int fd : {listener, wake, poller}) {
      if (fd >= 0) close(fd);
    }
  }

  /// A connection that the poller watches.
  struct Waiting {
    ConnectionPtr connection;
    Clock::time_point deadline;
    std::list<int>::iterator place;  ///< in `silent`
  };

  void watch(ConnectionPtr connection) {
    const int fd = connection->socket();
    const bool has_bytes = !connection->received.empty() || connection->buffered();
    silent.push_back(fd);
    const auto limit = connection->received.empty() ? options.idle_timeout : options.head_timeout;
    waiting[fd] = {std::move(connection), Clock::now() + limit, std::prev(silent.end())};
    epoll_event event{EPOLLIN | EPOLLRDHUP, {.fd = fd}};
    epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event);
    if (has_bytes) look_at(fd, false);
  }

  ConnectionPtr unwatch(int fd) {
    const auto found = waiting.find(fd);
    if (found == waiting.end()) return nullptr;
    epoll_ctl(poller, EPOLL_CTL_DEL, fd, nullptr);
    silent.erase(found->second.place);
    ConnectionPtr connection = std::move(found->second.connection);
    waiting.erase(found);
    return connection;
  }

  void accept_all() {
    for (;;) {
      const int fd = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd < 0) {
        if ((errno != EMFILE && errno != ENFILE) || silent.empty()) return;
        drop(unwatch(silent.front()));
        continue;
      }
      ++open;
      if (open > options.max_connections) {
        if (silent.empty()) {
          refuse(std::make_unique<Connection>(fd),
                 {503, "queue_full", "", "too many connections; try again"});
          continue;
        }
        drop(unwatch(silent.front()));
      }
      watch(std::make_unique<Connection>(fd, tls.get()));
    }
  }

  void drop(ConnectionPtr connection) {
    connection.reset();
    --open;
  }

  void refuse(ConnectionPtr connection, const ApiError& error) {
    ++refused;
    // A client that is refused gets what fits into its socket's buffer and is not waited for.
    connection->set_write_timeout(std::chrono::milliseconds(1));
    if (tls == nullptr) {
      const std::string answer = plain_answer(error);
      connection->write(answer.data(), answer.size());
      // Closing with unread bytes would reset the connection before the client reads why.
      ::shutdown(connection->socket(), SHUT_WR);
      connection->receive();
    }
    drop(std::move(connection));
  }

  /// Something came, or the client left.
  void look_at(int fd, bool read) {
    const auto found = waiting.find(fd);
    if (found == waiting.end()) return;
    Waiting& w = found->second;
    if (tls != nullptr) return hand_over(unwatch(fd));  // a worker shakes hands and reads the head
    const bool first = w.connection->received.empty();
    if (read && !w.connection->receive()) return drop(unwatch(fd));
    const std::string& bytes = w.connection->received;
    if (first && !bytes.empty()) w.deadline = Clock::now() + options.head_timeout;
    if (head_end(bytes) != std::string::npos) return hand_over(unwatch(fd));
    if (bytes.size() > options.head.bytes)
      refuse(unwatch(fd), {431, "bad_request", "", "the head of the request is too large"});
  }

  void hand_over(ConnectionPtr connection) {
    std::unique_lock lock(mutex);
    if (static_cast<int>(ready.size()) >= options.max_pending) {
      lock.unlock();
      return refuse(std::move(connection), {503, "queue_full", "", "the server is busy; try again later"});
    }
    ready.push_back(std::move(connection));
    if (idle_workers < static_cast<int>(ready.size()) &&
        static_cast<int>(workers.size()) < options.max_active)
      workers.emplace_back([this] { work(); });
    some_ready.notify_one();
  }

  void end_late(Clock::time_point now) {
    std::vector<int> late;
    for (const auto& [fd, w] : waiting) {
      if (w.deadline <= now) late.push_back(fd);
    }
    for (const int fd : late) {
      ConnectionPtr connection = unwatch(fd);
      if (connection->received.empty()) {
        drop(std::move(connection));
      } else {
        refuse(std::move(connection), {408, "timeout", "", "the head of the request did not come in time"});
      }
    }
  }

  void take_back() {
    std::vector<ConnectionPtr> back;
    {
      std::lock_guard lock(mutex);
      back.swap(returned);
    }
    for (ConnectionPtr& connection : back) watch(std::move(connection));
  }

  void work() {
    std::unique_lock lock(mutex);
    for (;;) {
      ++idle_workers;
      some_ready.wait(lock, [&] { return !ready.empty() || ending; });
      --idle_workers;
      if (ready.empty()) return;
      ConnectionPtr connection = std::move(ready.front());
      ready.pop_front();
      ++active;
      lock.unlock();
      const bool again = serve_one(*connection);
      lock.lock();
      --active;
      if (again && !ending) {
        returned.push_back(std::move(connection));
        const uint64_t one = 1;
        [[maybe_unused]] const ssize_t written = ::write(wake, &one, sizeof one);
      } else {
        lock.unlock();
        drop(std::move(connection));
        lock.lock();
      }
    }
  }

  /// Answers one request; true when the connection can take another.
  bool serve_one(Connection& connection) {
    const auto begin = Clock::now();
    if (!connection.greet(begin + options.head_timeout)) return false;
    size_t end = head_end(connection.received);
    while (end == std::string::npos && connection.received.size() <= options.head.bytes) {
      if (!connection.receive(begin + options.head_timeout)) return false;
      end = head_end(connection.received);
    }
    connection.set_write_timeout(options.write_timeout);
    RequestHead head;
    try {
      head = parse_head(std::string_view(connection.received).substr(0, end), options.head);
      if (guard) guard(head);
    } catch (const ApiError& error) {
      return send_refusal(connection, error, head, begin);
    }
    connection.received.erase(0, end);
    connection.begin_request(head.text, options.head.body + (options.head.body >> 3) + 65536,
                             Clock::now() + options.body_timeout);
    current = {&connection, &head, {}, 0};
    bool closed = false;
    // The HTTP library leaves a body unread that these methods do not have.
    const bool unread =
        head.has_body && (head.method == "GET" || head.method == "HEAD" || head.method == "OPTIONS");
    const bool keep = head.keep_alive && !unread && !ending;
    const bool served = process(connection, !keep, closed);
    if (observer) {
      observer(head.method, current.route.empty() ? "other" : current.route, current.status,
               std::chrono::duration<double>(Clock::now() - begin).count());
    }
    current = {};
    return served && keep && !closed && !connection.broken();
  }

  bool send_refusal(Connection& connection, const ApiError& error, const RequestHead& head,
                    Clock::time_point begin) {
    const std::string answer = plain_answer(error.in_shape(shape_of(head.target)), cors_headers(options.cors_origin, head));
    connection.write(answer.data(), answer.size());
    // What the client still sends is read for a moment, so that it gets to read the answer.
    ::shutdown(connection.socket(), SHUT_WR);
    const auto until = Clock::now() + std::chrono::milliseconds(500);
    for (int i = 0; i < 64 && connection.receive(until); ++i) connection.received.clear();
    if (observer) {
      observer(head.method.empty() ? "-" : head.method, "refused", error.status(),
               std::chrono::duration<double>(Clock::now() - begin).count());
    }
    return false;
  }

  void loop(const std::function<bool()>& ended) {
    epoll_event events[256];
    auto next_sweep = Clock::now();
    while (!ended()) {
      const int count = epoll_wait(poller, events, 256, 100);
      for (int i = 0; i < count; ++i) {
        const int fd = events[i].data.fd;
        if (fd == listener) {
          accept_all();
        } else if (fd == wake) {
          uint64_t value = 0;
          [[maybe_unused]] const ssize_t got = ::read(wake, &value, sizeof value);
          take_back();
        } else {
          look_at(fd, true);
        }
      }
      if (Clock::now() >= next_sweep) {
        end_late(Clock::now());
        next_sweep = Clock::now() + std::chrono::milliseconds(250);
      }
    }
  }

  HttpOptions options;
  std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> tls;
  std::map<std::string, std::map<std::string, HttpHandler>> exact;  ///< path → method → handler
  std::map<std::string, std::map<std::string, HttpHandler>> prefix;
  std::function<void(const RequestHead&)> guard;
  std::function<void(const std::string&, const std::string&, int, double)> observer;
  std::function<bool(Connection&, bool, bool&)> process;

  int listener = -1, wake = -1, poller = -1;
  std::unordered_map<int, Waiting> waiting;  ///< the poller's own
  std::list<int> silent;                     ///< sockets in `waiting`, the one watched longest first

  std::mutex mutex;
  std::condition_variable some_ready;
  std::deque<ConnectionPtr> ready;
  std::vector<ConnectionPtr> returned;
  std::vector<std::thread> workers;
  int idle_workers = 0;
  std::atomic<bool> ending{false};
  std::atomic<int64_t> open{0}, active{0}, refused{0};
};

HttpServer::HttpServer(HttpOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {
  const auto dispatch = [this](const httplib::Request& request, httplib::Response& response) {
    response.set_header("X-Content-Type-Options", "nosniff");
    const std::string& origin = impl_->options.cors_origin;
    for (const auto& [name, value] : cors_headers(origin, *current.head)) response.set_header(name, value);
    if (is_preflight(origin, *current.head)) {
      current.route = "preflight";
      current.status = response.status = 204;
      return;
    }
    HttpCall call{request, response, *current.connection, *current.head, {}};
    const std::map<std::string, HttpHandler>* methods = nullptr;
    if (const auto found = impl_->exact.find(request.path); found != impl_->exact.end()) {
      methods = &found->second;
      current.route = found->first;
    } else {
      for (const auto& [path, handlers] : impl_->prefix) {
        if (!request.path.starts_with(path) || request.path.size() == path.size()) continue;
        methods = &handlers;
        current.route = path + "*";
        call.name = request.path.substr(path.size());
      }
    }
    const auto refuse = [&](const ApiError& error) {
      answer_error(response, error.in_shape(shape_of(request.path)));
    };
    try {
      if (methods == nullptr)
        throw ApiError(404, "not_found", "", fmt::format("there is no {}", request.path));
      const std::string method = request.method == "HEAD" ? "GET" : request.method;
      const auto handler = methods->find(method);
      if (handler == methods->end()) {
        throw ApiError(405, "method_not_allowed", "",
                       fmt::format("{} does not take {}", current.route, method));
      }
      handler->second(call);
    } catch (const ApiError& error) {
      refuse(error);
    } catch (const Error& error) {
      const bool ours = error.kind() == Error::Kind::io;
      refuse({ours ? 500 : 400, ours ? "internal_error" : "invalid_request", "", error.what()});
    } catch (const std::exception& error) {
      log_warning("{} {}: {}", request.method, current.route, error.what());
      refuse({500, "internal_error", "", "the server failed at this request; its log says why"});
    }
    current.status = response.status;
  };
  Get("/.*", dispatch);
  Post("/.*", dispatch);
  Delete("/.*", dispatch);
  Options("/.*", dispatch);
  Put("/.*", dispatch);
  Patch("/.*", dispatch);
  set_error_handler([this](const httplib::Request& request, httplib::Response& response) {
    if (current.status != 0 || !response.body.empty()) return;
    if (current.head != nullptr) {
      for (const auto& [name, value] : cors_headers(impl_->options.cors_origin, *current.head)) response.set_header(name, value);
    }
    current.status = response.status;
    const char* why = response.status == 413 ? "the body is too large"
                      : response.status == 400
                          ? "the request could not be read, or did not come whole in time"
                          : "the request could not be served";
    const ApiError error(response.status, "bad_request", "", why);
    answer_json(response, response.status, error.in_shape(shape_of(request.path)).body());
  });
  set_payload_max_length(impl_->options.head.body);
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
  Impl& i = *impl_;
  i.listener = open_listener(i.options.host, i.options.port);
  svr_sock_ = i.listener;  // by which the HTTP library knows that streams may go on
  i.poller = epoll_create1(EPOLL_CLOEXEC);
  i.wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  for (const int fd : {i.listener, i.wake}) {
    epoll_event event{EPOLLIN, {.fd = fd}};
    epoll_ctl(i.poller, EPOLL_CTL_ADD, fd, &event);
  }
  std::string ip;
  int port = i.options.port;
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  if (getsockname(i.listener, reinterpret_cast<sockaddr*>(&address), &size) == 0) {
    port = ntohs(address.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6*>(&address)->sin6_port
                                               : reinterpret_cast<sockaddr_in*>(&address)->sin_port);
  }
  return port;
}

void HttpServer::run(const std::function<bool()>& ended) {
  Impl& i = *impl_;
  i.loop(ended);
  close(i.listener);
  i.listener = -1;
  {
    std::lock_guard lock(i.mutex);
    i.ending = true;
    i.some_ready.notify_all();
  }
  while (!i.silent.empty()) i.drop(i.unwatch(i.silent.front()));
  for (std::thread& worker : i.workers) worker.join();
  i.workers.clear();
  for (ConnectionPtr& connection : i.returned) i.drop(std::move(connection));
  i.returned.clear();
  svr_sock_ = INVALID_SOCKET;
}

HttpServer::Load HttpServer::load() const {
  return {impl_->open, impl_->active, impl_->refused};
}

}  // namespace fettle::serve
