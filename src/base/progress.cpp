#include "base/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <mutex>

#include "base/log.h"

namespace fettle {

using Clock = std::chrono::steady_clock;

struct Progress::State {
  std::mutex mutex;
  std::string label, unit, note;
  uint64_t total = 0, done = 0;
  Clock::time_point start = Clock::now(), shown = start;
  bool drawn = false, finished = false;
  bool terminal = isatty(STDERR_FILENO) != 0;

  std::string describe(Clock::time_point now) const {
    const double seconds = std::chrono::duration<double>(now - start).count();
    const double rate = seconds > 0 ? static_cast<double>(done) / seconds : 0;
    const bool bytes = unit == "bytes";
    const auto human = [&](double count) { return bytes ? human_bytes(count) : human_count(count); };
    std::string text = fmt::format("{} {}", label, human(static_cast<double>(done)));
    if (total > 0) text += fmt::format("/{}", human(static_cast<double>(total)));
    const std::string of_what = bytes || unit.empty() ? "" : " " + unit;
    text += fmt::format("{}, {}{}/s", of_what, human(rate), of_what);
    if (total > 0 && rate > 0 && done < total) {
      text += fmt::format(", {} left", human_seconds(static_cast<double>(total - std::min(done, total)) / rate));
    }
    if (!note.empty()) text += ", " + note;
    return text;
  }

  void draw(Clock::time_point now) {
    shown = now;
    drawn = true;
    if (!terminal) {
      log_line(LogLevel::info, describe(now));
      return;
    }
    std::string bar;
    if (total > 0) {
      constexpr int width = 24;
      const int filled = static_cast<int>(width * std::min(done, total) / total);
      bar = "[" + std::string(static_cast<size_t>(filled), '=') + std::string(static_cast<size_t>(width - filled), ' ') + "] ";
    }
    winsize size{};
    const size_t columns = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 20 ? size.ws_col : 100;
    const std::string line = (bar + describe(now)).substr(0, columns - 1);
    std::fprintf(stderr, "\r\x1b[K%s", line.c_str());
    std::fflush(stderr);
  }
};

Progress::Progress(std::string label, uint64_t total, std::string unit) : state_(new State) {
  state_->label = std::move(label);
  state_->unit = std::move(unit);
  state_->total = total;
}

Progress::~Progress() {
  finish();
  delete state_;
}

void Progress::advance(uint64_t count) {
  const std::lock_guard lock(state_->mutex);
  state_->done += count;
  if (log_level() > LogLevel::info) return;
  const auto now = Clock::now();
  const auto pause = std::chrono::milliseconds(state_->terminal ? 100 : 5000);
  if (now - state_->start > std::chrono::seconds(2) && now - state_->shown >= pause) state_->draw(now);
}

void Progress::note(std::string text) {
  const std::lock_guard lock(state_->mutex);
  state_->note = std::move(text);
}

void Progress::finish() {
  const std::lock_guard lock(state_->mutex);
  if (state_->finished) return;
  state_->finished = true;
  if (!state_->drawn || log_level() > LogLevel::info) return;
  state_->draw(Clock::now());
  if (state_->terminal) std::fputc('\n', stderr);
}

std::string human_bytes(double bytes) {
  const char* units[] = {"B", "kB", "MB", "GB", "TB"};
  size_t unit = 0;
  while (bytes >= 1000 && unit + 1 < std::size(units)) {
    bytes /= 1000;
    ++unit;
  }
  return unit == 0 ? fmt::format("{:.0f} {}", bytes, units[unit]) : fmt::format("{:.2f} {}", bytes, units[unit]);
}

std::string human_count(double count) {
  if (count < 1000) {
    const bool fraction = count < 10 && count != static_cast<double>(static_cast<int64_t>(count));
    return fraction ? fmt::format("{:.1f}", count) : fmt::format("{:.0f}", count);
  }
  if (count < 1e6) return fmt::format("{:.1f}k", count / 1e3);
  if (count < 1e9) return fmt::format("{:.2f}M", count / 1e6);
  return fmt::format("{:.2f}B", count / 1e9);
}

std::string human_seconds(double seconds) {
  if (seconds < 1) return fmt::format("{:.0f} ms", seconds * 1000);
  if (seconds < 60) return fmt::format("{:.0f} s", seconds);
  const auto total = static_cast<int64_t>(seconds);
  if (total < 3600) return fmt::format("{} min {:02d} s", total / 60, total % 60);
  return fmt::format("{} h {:02d} min", total / 3600, total % 3600 / 60);
}

}  // namespace fettle
