#pragma once
// A request that came whole, on its way from the poller to the worker that answers it.
#include <atomic>
#include <memory>
#include <string>

#include "serve/http/connection.h"
#include "serve/http/request_head.h"

namespace fettle::serve {

/// What one request holds of the bytes that all bodies may hold together. The counter must outlive it.
class BodyCharge {
 public:
  explicit BodyCharge(std::atomic<uint64_t>& total) : total_(total) {}
  ~BodyCharge() { total_ -= held_; }
  BodyCharge(const BodyCharge&) = delete;
  BodyCharge& operator=(const BodyCharge&) = delete;
  void raise_to(uint64_t bytes) {
    total_ += bytes - held_;
    held_ = bytes;
  }

 private:
  std::atomic<uint64_t>& total_;
  uint64_t held_ = 0;
};

struct Incoming {
  Incoming(RequestHead h, Clock::time_point b, std::atomic<uint64_t>& bodies) : head(std::move(h)), begin(b), charge(bodies) {}

  std::unique_ptr<Connection> connection;
  RequestHead head;
  std::string body;
  Clock::time_point begin;  ///< its first byte came
  BodyCharge charge;
};

}  // namespace fettle::serve
