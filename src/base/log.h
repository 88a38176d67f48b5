#pragma once
// Log lines on standard error. Thread-safe.
#include <fmt/format.h>

#include <string>
#include <string_view>

namespace fettle {

enum class LogLevel { debug, info, warning, error, silent };

/// What is written from now on; `--quiet` sets `silent` for everything below error.
void set_log_level(LogLevel level);
LogLevel log_level();

/// One whole line to standard error, prefixed by its level unless info. Clears a progress bar that stands there first.
void log_line(LogLevel level, std::string_view text);

template <typename... Args>
void log_info(fmt::format_string<Args...> format, Args&&... args) {
  if (log_level() <= LogLevel::info) log_line(LogLevel::info, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void log_warning(fmt::format_string<Args...> format, Args&&... args) {
  if (log_level() <= LogLevel::warning) log_line(LogLevel::warning, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace fettle
