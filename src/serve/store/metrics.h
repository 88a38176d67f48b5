#pragma once
// Counters and histograms in Prometheus' text format.
#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace fettle::serve {

/// Seconds, in fixed buckets. Thread-safe.
class Histogram {
 public:
  void add(double seconds);
  /// name{le="…"} lines with _sum and _count.
  void write(std::string& out, const std::string& name, const std::string& help) const;

 private:
  static constexpr std::array<double, 14> bounds{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5,
                                                 1,     2.5,  5,     10,   30,  60,   300};
  mutable std::mutex mutex_;
  std::array<int64_t, bounds.size() + 1> counts_{};
  double sum_ = 0.0;
  int64_t total_ = 0;
};

/// What the server counts by itself; the engine's numbers come beside it. Thread-safe.
class Metrics {
 public:
  void request(const std::string& method, const std::string& route, int status);
  void write(std::string& out) const;

  Histogram first_token, answer;
  std::atomic<int64_t> left{0};  ///< clients that went away before their answer was whole

 private:
  mutable std::mutex mutex_;
  std::map<std::string, int64_t> requests_;
};

/// Adds "# HELP", "# TYPE" and one line.
void write_metric(std::string& out, const char* type, const std::string& name, const std::string& help,
                  double value);

/// Bytes of memory this process has in use now.
int64_t resident_bytes();

}  // namespace fettle::serve
