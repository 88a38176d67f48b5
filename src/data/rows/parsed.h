#pragma once
// What simdjson answers when there is no memory is no fault of the text.
#include <simdjson.h>

#include <new>

namespace fettle::data {

/// Whether the text could be parsed. Throws std::bad_alloc when memory was lacking.
inline bool parsed(simdjson::error_code code) {
  if (code == simdjson::MEMALLOC) throw std::bad_alloc();
  return code == simdjson::SUCCESS;
}

}  // namespace fettle::data
