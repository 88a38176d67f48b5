#include "serve/store/metrics.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

namespace fettle::serve {

void write_metric(std::string& out, const char* type, const std::string& name, const std::string& help,
                  double value) {
  out += fmt::format("# HELP {0} {1}\n# TYPE {0} {2}\n{0} {3}\n", name, help, type, value);
}

void Histogram::add(double seconds) {
  const auto bucket = static_cast<size_t>(std::ranges::lower_bound(bounds, seconds) - bounds.begin());
  std::lock_guard lock(mutex_);
  ++counts_[bucket];
  sum_ += seconds;
  ++total_;
}

void Histogram::write(std::string& out, const std::string& name, const std::string& help) const {
  std::lock_guard lock(mutex_);
  out += fmt::format("# HELP {0} {1}\n# TYPE {0} histogram\n", name, help);
  int64_t below = 0;
  for (size_t i = 0; i < bounds.size(); ++i) {
    below += counts_[i];
    out += fmt::format("{}_bucket{{le=\"{}\"}} {}\n", name, bounds[i], below);
  }
  out += fmt::format("{0}_bucket{{le=\"+Inf\"}} {1}\n{0}_sum {2}\n{0}_count {1}\n", name, total_, sum_);
}

void Metrics::request(const std::string& method, const std::string& route, int status) {
  // Methods are a client's words: only known ones become a label.
  static constexpr std::array<std::string_view, 5> known{"GET", "POST", "DELETE", "OPTIONS", "HEAD"};
  const std::string label = std::ranges::find(known, method) != known.end() ? method : "other";
  std::lock_guard lock(mutex_);
  ++requests_[fmt::format("method=\"{}\",route=\"{}\",status=\"{}\"", label, route, status)];
}

void Metrics::write(std::string& out) const {
  {
    std::lock_guard lock(mutex_);
    out +=
        "# HELP fettle_http_requests_total Requests answered.\n# TYPE fettle_http_requests_total counter\n";
    for (const auto& [labels, count] : requests_)
      out += fmt::format("fettle_http_requests_total{{{}}} {}\n", labels, count);
  }
  first_token.write(out, "fettle_time_to_first_token_seconds",
                    "From a request's arrival to its first token.");
  answer.write(out, "fettle_answer_seconds", "From a request's arrival to the end of its answer.");
  write_metric(out, "counter", "fettle_clients_left_total",
               "Clients that left before their answer was whole.", static_cast<double>(left.load()));
}

int64_t resident_bytes() {
  std::FILE* file = std::fopen("/proc/self/statm", "r");
  if (file == nullptr) return 0;
  long size = 0, resident = 0;
  const int read = std::fscanf(file, "%ld %ld", &size, &resident);
  std::fclose(file);
  return read == 2 ? static_cast<int64_t>(resident) * sysconf(_SC_PAGESIZE) : 0;
}

}  // namespace fettle::serve
