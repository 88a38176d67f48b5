#include "serve/http/poller.h"

#include <arpa/inet.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>

#include "serve/http/listener.h"

namespace fettle::serve {
namespace {

constexpr std::chrono::milliseconds linger_time{500};
constexpr size_t linger_bytes = 64 << 20;
constexpr int most_accepted = 256;  ///< before other connections are looked at again

int port_of(int socket, int otherwise) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  if (getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size) != 0) return otherwise;
  return ntohs(address.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6*>(&address)->sin6_port
                                             : reinterpret_cast<sockaddr_in*>(&address)->sin_port);
}

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

}  // namespace

Poller::Poller(const HttpOptions& options)
    : options_(options), tls_(open_tls(options.tls_certificate, options.tls_key), SSL_CTX_free) {}

Poller::~Poller() {
  close_all();
  for (const int fd : {wake_, poller_}) {
    if (fd >= 0) close(fd);
  }
}

int Poller::bind() {
  listener_ = open_listener(options_.host, options_.port);
  poller_ = epoll_create1(EPOLL_CLOEXEC);
  wake_ = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  epoll_event event{EPOLLIN, {.fd = wake_}};
  if (poller_ < 0 || wake_ < 0 || epoll_ctl(poller_, EPOLL_CTL_ADD, wake_, &event) != 0)
    fail_io("the server", "cannot watch its connections");
  listen(true);
  return port_of(listener_, options_.port);
}

void Poller::listen(bool on) {
  if (listening_ == on || listener_ < 0) return;
  epoll_event event{EPOLLIN, {.fd = listener_}};
  const bool done = epoll_ctl(poller_, on ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, listener_, &event) == 0;
  if (done) listening_ = on;
}

Poller::Waiting* Poller::watch(std::unique_ptr<Connection> connection, Phase phase, std::chrono::milliseconds limit) {
  const int fd = connection->socket();
  const auto now = Clock::now();
  silent_.push_back(fd);
  try {
    Waiting& w = waiting_[fd];
    w = Waiting{std::move(connection), phase, now, now + limit, std::prev(silent_.end()), 0, nullptr, nullptr};
    epoll_event event{EPOLLIN, {.fd = fd}};
    if (epoll_ctl(poller_, EPOLL_CTL_ADD, fd, &event) == 0) return &w;
  } catch (const std::bad_alloc&) {
    silent_.pop_back();
    throw;
  }
  drop(fd);
  return nullptr;
}

std::unique_ptr<Connection> Poller::unwatch(int fd) {
  const auto found = waiting_.find(fd);
  if (found == waiting_.end()) return nullptr;
  epoll_ctl(poller_, EPOLL_CTL_DEL, fd, nullptr);
  silent_.erase(found->second.place);
  std::unique_ptr<Connection> connection = std::move(found->second.connection);
  waiting_.erase(found);
  return connection;
}

void Poller::accept_all() {
  for (int i = 0; i < most_accepted; ++i) {
    const int fd = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
      if (errno != EMFILE && errno != ENFILE && errno != ENOBUFS && errno != ENOMEM) return;
      // No descriptor or no memory for it: the longest silent one makes room, or nobody is let in for a moment.
      if (silent_.empty()) return listen(false);
      drop(silent_.front());
      continue;
    }
    if (open_ >= options_.max_connections && !silent_.empty()) drop(silent_.front());
    std::unique_ptr<Connection> connection;
    try {
      connection = std::make_unique<Connection>(fd, tls_.get(), open_);
    } catch (const std::bad_alloc&) {
      close(fd);
      throw;
    }
    const bool too_many = open_ > options_.max_connections;
    if (watch(std::move(connection), tls_ == nullptr ? Phase::head : Phase::handshake, options_.idle_timeout) != nullptr && too_many)
      refuse(fd, {503, "queue_full", "", "too many connections; try again"});
  }
}

/// The answer, as far as the socket's buffer takes it: a client that is refused is not waited for. What it still sends is read
/// for a moment, for closing with unread bytes would take the answer from it.
void Poller::refuse(int fd, const ApiError& error, bool of_head) {
  Waiting& w = waiting_.at(fd);
  const int status = error.status();
  if (status == 408 || status == 431 || status == 503) ++refused_;
  const RequestHead none;
  const RequestHead& head = w.incoming ? w.incoming->head : none;
  if (w.phase == Phase::handshake) return drop(fd);
  const std::string answer = hooks_->refusal(error, head);
  w.connection->set_write_timeout(std::chrono::milliseconds(0));
  w.connection->write(answer);
  w.connection->end_sending();
  if (of_head && hooks_->refused) hooks_->refused(head, status, seconds_since(w.begin));
  w.phase = Phase::lingering;
  w.deadline = Clock::now() + linger_time;
  w.seen = 0;
  w.incoming.reset();
  w.reader.reset();
  std::string().swap(w.connection->received);
}

void Poller::on_event(int fd, bool came) {
  try {
    look_at(fd, came);
  } catch (const ApiError& error) {
    try {
      if (waiting_.contains(fd)) refuse(fd, error, true);
    } catch (const std::exception&) {
      drop(fd);
    }
  } catch (const std::exception&) {  // no memory
    drop(fd);
  }
}

/// Something came, or the client left, or bytes are there that came with an earlier request. Throws ApiError for the request,
/// std::bad_alloc.
void Poller::look_at(int fd, bool came) {
  const auto found = waiting_.find(fd);
  if (found == waiting_.end()) return;
  Waiting& w = found->second;
  if (w.phase == Phase::handshake && !greet(w)) return;
  if (came || w.connection->buffered()) {
    if (!w.connection->receive()) {
      if (w.phase == Phase::body) throw ApiError(400, "bad_request", "", "the body ends before its length");
      return drop(fd);
    }
  }
  if (w.phase == Phase::lingering) return linger(w);
  if (w.phase == Phase::head && !read_head(w)) return;
  if (w.phase == Phase::body && !read_body(w)) return;
  hand_over(fd);
}

/// False: the handshake goes on, or the connection is gone.
bool Poller::greet(Waiting& w) {
  const int fd = w.connection->socket();
  if (w.seen++ == 0) w.deadline = Clock::now() + options_.head_timeout;
  const Connection::Greeting greeting = w.connection->greet();
  if (greeting == Connection::Greeting::failed) {
    drop(fd);
    return false;
  }
  const uint32_t wanted = greeting == Connection::Greeting::wants_write ? EPOLLOUT : EPOLLIN;
  epoll_event event{wanted, {.fd = fd}};
  epoll_ctl(poller_, EPOLL_CTL_MOD, fd, &event);
  if (greeting != Connection::Greeting::done) return false;
  w.phase = Phase::head;
  w.seen = 0;
  return true;
}

void Poller::linger(Waiting& w) {
  w.seen += w.connection->received.size();
  w.connection->received.clear();
  if (w.seen > linger_bytes) drop(w.connection->socket());
}

/// True: the head is whole and good, and what follows is w.phase.
bool Poller::read_head(Waiting& w) {
  std::string& bytes = w.connection->received;
  if (bytes.empty()) return false;
  if (w.seen == 0) {
    w.begin = Clock::now();
    w.deadline = w.begin + options_.head_timeout;
  }
  const size_t end = head_end(bytes, w.seen);
  w.seen = bytes.size();
  if (end == std::string::npos) {
    if (bytes.size() > options_.head.bytes) throw ApiError(431, "bad_request", "", "the head of the request is too large");
    return false;
  }
  RequestHead head = parse_head(std::string_view(bytes).substr(0, end), options_.head);
  head.local_address = w.connection->local_address();
  w.incoming = std::make_unique<Incoming>(std::move(head), w.begin, bodies_);
  if (hooks_->guard) hooks_->guard(w.incoming->head);
  bytes.erase(0, end);
  if (!w.incoming->head.has_body()) return true;
  if (hooks_->has_room && !hooks_->has_room(0)) throw ApiError(503, "out_of_memory", "", "the server is short of memory; try again later");
  w.reader = std::make_unique<BodyReader>(w.incoming->head.length, options_.head.body);
  w.phase = Phase::body;
  w.deadline = Clock::now() + options_.body_timeout;
  if (w.incoming->head.expects_continue && bytes.empty()) {
    constexpr std::string_view go_on = "HTTP/1.1 100 Continue\r\n\r\n";
    w.connection->set_write_timeout(std::chrono::milliseconds(0));
    w.connection->write(go_on);
  }
  return true;
}

/// True: the body is whole.
bool Poller::read_body(Waiting& w) {
  const int fd = w.connection->socket();
  w.connection->received.erase(0, w.reader->take(w.connection->received));
  w.incoming->charge.raise_to(w.reader->body().size());
  if (!make_room(fd)) return false;
  if (w.reader->whole()) w.incoming->body = w.reader->take_body();
  return w.reader->whole();
}

/// Refuses the largest bodies that are not whole until those that are left fit. False: `fd` was one of them.
bool Poller::make_room(int fd) {
  const uint64_t limit = std::max(options_.body_memory, 2 * options_.head.body);
  while (bodies_ > limit) {
    int largest = fd;
    for (const auto& [other, w] : waiting_) {
      if (w.reader && !w.reader->whole() && w.reader->body().size() > waiting_.at(largest).reader->body().size()) largest = other;
    }
    refuse(largest, {503, "queue_full", "", "the bodies of all requests are too large together; try again later"});
    if (largest == fd) return false;
  }
  return true;
}

void Poller::hand_over(int fd) {
  Waiting& w = waiting_.at(fd);
  std::unique_ptr<Incoming> incoming = std::move(w.incoming);
  incoming->connection = unwatch(fd);
  const bool has_room = incoming->body.empty() || !hooks_->has_room || hooks_->has_room(bodies_);
  if (has_room && hooks_->take(incoming)) return;
  Waiting* back = watch(std::move(incoming->connection), Phase::head, linger_time);
  if (back == nullptr) return;
  back->incoming = std::move(incoming);
  refuse(fd, {503, "queue_full", "", "the server is busy; try again later"});
}

void Poller::end_late(Clock::time_point now) {
  std::vector<int> late;
  for (const auto& [fd, w] : waiting_) {
    if (w.deadline <= now) late.push_back(fd);
  }
  for (const int fd : late) {
    const Waiting& w = waiting_.at(fd);
    if (w.phase == Phase::lingering || w.phase == Phase::handshake || (w.phase == Phase::head && w.connection->received.empty())) {
      drop(fd);
    } else {
      refuse(fd, {408, "timeout", "", w.phase == Phase::body ? "the body did not come whole in time" : "the head of the request did not come in time"});
    }
  }
}

void Poller::give_back(std::unique_ptr<Connection> connection) {
  std::lock_guard lock(mutex_);
  if (closed_) return;
  returned_.push_back(std::move(connection));
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(wake_, &one, sizeof one);
}

void Poller::take_back() {
  std::vector<std::unique_ptr<Connection>> back;
  {
    std::lock_guard lock(mutex_);
    back.swap(returned_);
  }
  for (auto& connection : back) {
    const int fd = connection->socket();
    const bool has_bytes = !connection->received.empty() || connection->buffered();
    try {
      if (watch(std::move(connection), Phase::head, options_.idle_timeout) != nullptr && has_bytes) on_event(fd, false);
    } catch (const std::bad_alloc&) {  // this one is closed
    }
  }
}

void Poller::run(const Hooks& hooks, const std::function<bool()>& ended) {
  hooks_ = &hooks;
  epoll_event events[256];
  auto next_sweep = Clock::now();
  while (!ended()) {
    const int count = epoll_wait(poller_, events, 256, 100);
    for (int i = 0; i < count; ++i) {
      const int fd = events[i].data.fd;
      if (fd != listener_ && fd != wake_) {
        on_event(fd, true);
        continue;
      }
      try {
        if (fd == listener_) {
          accept_all();
        } else {
          uint64_t value = 0;
          [[maybe_unused]] const ssize_t got = ::read(wake_, &value, sizeof value);
          take_back();
        }
      } catch (const std::exception&) {  // no memory: the connection that was at hand is closed
        listen(false);
      }
    }
    if (Clock::now() < next_sweep) continue;
    next_sweep = Clock::now() + std::chrono::milliseconds(250);
    try {
      end_late(Clock::now());
    } catch (const std::exception&) {  // no memory: at the next sweep
    }
    listen(true);
  }
}

void Poller::close_all() {
  if (listener_ >= 0) close(listener_);
  listener_ = -1;
  while (!silent_.empty()) drop(silent_.front());
  std::lock_guard lock(mutex_);
  closed_ = true;
  returned_.clear();
}

}  // namespace fettle::serve
