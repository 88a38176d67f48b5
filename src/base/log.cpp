#include "base/log.h"

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>

namespace fettle {
namespace {

std::atomic<LogLevel> current_level{LogLevel::info};

spdlog::logger& logger() {
  static const auto instance = [] {
    auto made = spdlog::stderr_color_mt("fettle");
    made->set_pattern("%v");
    made->set_level(spdlog::level::trace);
    made->flush_on(spdlog::level::trace);
    return made;
  }();
  return *instance;
}

}  // namespace

void set_log_level(LogLevel level) { current_level = level; }
LogLevel log_level() { return current_level; }

void log_line(LogLevel level, std::string_view text) {
  if (level < current_level) return;
  static const bool terminal = isatty(STDERR_FILENO) != 0;
  const char* clear = terminal ? "\r\x1b[K" : "";
  const char* prefix = level == LogLevel::warning ? "warning: " : level == LogLevel::error ? "error: " : "";
  logger().info("{}{}{}", clear, prefix, text);
}

}  // namespace fettle
