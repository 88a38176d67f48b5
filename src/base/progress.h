#pragma once
// A bar with rate and ETA on a terminal, a plain line every few seconds elsewhere; on standard error.
#include <chrono>
#include <cstdint>
#include <string>

namespace fettle {

/// Shows nothing in the first two seconds, and nothing at all under --quiet. Thread-safe: advance() may be called from any
/// thread. `total` 0 means unknown: a count and a rate, no ETA. The unit "bytes" is written as kB, MB, ….
class Progress {
 public:
  Progress(std::string label, uint64_t total, std::string unit = "");
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  void advance(uint64_t count = 1);
  /// A short text behind the bar, such as the current loss.
  void note(std::string text);
  void finish();

 private:
  struct State;
  State* state_;
};

/// "1.5 GB", "12.3 k", "1 h 02 min", "850 ms".
std::string human_bytes(double bytes);
std::string human_count(double count);
std::string human_seconds(double seconds);

}  // namespace fettle
