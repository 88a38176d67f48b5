#pragma once
// One thread that watches every connection until its request is whole: TLS handshakes, heads and bodies are read here as they
// come, so that slow and idle clients hold no other thread.
#include <openssl/ssl.h>

#include <list>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "serve/http/body_reader.h"
#include "serve/http/incoming.h"
#include "serve/http/options.h"

namespace fettle::serve {

class Poller {
 public:
  struct Hooks {
    /// Looks at a head before its body is read; throws ApiError to refuse it.
    std::function<void(const RequestHead&)> guard;
    /// Whether there is memory to read the bodies that are held, which are so many bytes. Asked before a body is taken and
    /// before its request is.
    std::function<bool(uint64_t bytes)> has_room;
    /// Takes a whole request; false, and it stays, when the server is busy.
    std::function<bool(std::unique_ptr<Incoming>&)> take;
    /// The bytes that refuse a request; `head` is empty when it could not be read.
    std::function<std::string(const ApiError&, const RequestHead& head)> refusal;
    /// Called for each refusal that a head was the reason of.
    std::function<void(const RequestHead&, int status, double seconds)> refused;
  };

  /// Throws Error: files that are no certificate and key.
  explicit Poller(const HttpOptions& options);
  ~Poller();
  Poller(const Poller&) = delete;
  Poller& operator=(const Poller&) = delete;

  /// Throws Error(io) when the address is taken. Returns the port.
  int bind();
  int listener() const { return listener_; }
  /// Until `ended` says true, which is asked ten times a second. Lack of memory ends single connections.
  void run(const Hooks& hooks, const std::function<bool()>& ended);
  /// Takes no more connections and closes those that it watches.
  void close_all();
  /// A connection that can take another request. From any thread; after close_all it is closed.
  void give_back(std::unique_ptr<Connection> connection);

  int64_t open() const { return open_; }
  int64_t refused() const { return refused_; }

 private:
  enum class Phase : uint8_t { handshake, head, body, lingering };
  struct Waiting {
    std::unique_ptr<Connection> connection;
    Phase phase = Phase::head;
    Clock::time_point begin, deadline;
    std::list<int>::iterator place;  ///< in silent_
    size_t seen = 0;                 ///< bytes in which no head ends; while lingering, bytes that were thrown away
    std::unique_ptr<Incoming> incoming;
    std::unique_ptr<BodyReader> reader;
  };

  void accept_all();
  void listen(bool on);
  Waiting* watch(std::unique_ptr<Connection> connection, Phase phase, std::chrono::milliseconds limit);
  std::unique_ptr<Connection> unwatch(int fd);
  void drop(int fd) { unwatch(fd); }
  void on_event(int fd, bool came);
  void look_at(int fd, bool came);
  bool greet(Waiting& w);
  void linger(Waiting& w);
  bool read_head(Waiting& w);
  bool read_body(Waiting& w);
  bool make_room(int fd);
  void hand_over(int fd);
  void refuse(int fd, const ApiError& error, bool of_head = false);
  void end_late(Clock::time_point now);
  void take_back();

  const HttpOptions& options_;
  std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> tls_;
  const Hooks* hooks_ = nullptr;
  int listener_ = -1, wake_ = -1, poller_ = -1;
  bool listening_ = false;
  std::atomic<int64_t> open_{0}, refused_{0};
  std::atomic<uint64_t> bodies_{0};  ///< bytes of bodies, also of those that workers have
  std::unordered_map<int, Waiting> waiting_;
  std::list<int> silent_;  ///< sockets in waiting_, the one watched longest first
  std::mutex mutex_;
  bool closed_ = false;
  std::vector<std::unique_ptr<Connection>> returned_;
};

}  // namespace fettle::serve
