#pragma once
// What the tests of this module share.
#include <functional>
#include <span>
#include <string>

#include "base/error.h"

namespace fettle {

/// The message of the Error that `action` throws, empty when it throws none.
inline std::string error_text(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

inline std::span<const std::byte> bytes_of(const std::string& text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

}  // namespace fettle
