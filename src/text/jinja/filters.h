#pragma once
// The two tables of filters.
#include <span>

#include "text/jinja/ast.h"

namespace fettle::jinja {

struct FilterEntry {
  std::string_view name;
  FilterFunction function;
};
std::span<const FilterEntry> sequence_filters();

}  // namespace fettle::jinja
