#include "data/html/bounded.h"

#include <algorithm>
#include <cctype>
#include <csetjmp>
#include <ctime>
#include <new>

#include "base/error.h"
#include "base/white_space.h"

namespace fettle::data {
namespace {

/// The end of the tag whose name begins at `at`; counts its attributes.
size_t skip_tag(std::string_view html, size_t at, size_t& attributes) {
  bool blank = false;
  for (; at < html.size() && html[at] != '>'; ++at) {
    const char c = html[at];
    if (is_html_space(c) || c == '/') {
      blank = true;
      continue;
    }
    if (c == '=') {
      while (at + 1 < html.size() && is_html_space(html[at + 1])) ++at;
      const char quote = at + 1 < html.size() ? html[at + 1] : ' ';
      blank = quote == '"' || quote == '\'';
      if (blank) at = std::min(html.find(quote, at + 2), html.size());
      continue;
    }
    if (blank) ++attributes;
    blank = false;
  }
  return at;
}

/// Comparing attributes with each other takes the square of their number. What hides from this look is stopped by its time.
void check_attributes(std::string_view html) {
  for (size_t at = html.find('<'); at != std::string_view::npos; at = html.find('<', at + 1)) {
    const size_t name = at + (at + 1 < html.size() && html[at + 1] == '/' ? 2 : 1);
    if (name >= html.size() || std::isalpha(static_cast<unsigned char>(html[name])) == 0) continue;
    size_t attributes = 0;
    const size_t end = skip_tag(html, name, attributes);
    if (attributes > most_attributes) throw Error(fmt::format("a tag has more than {} attributes (at byte {})", most_attributes, at));
    at = end;
  }
}

double processor_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

enum class Stop : int { none, memory, time, no_memory };

/// gumbo is C and has no way to be stopped but from a call of its allocator, out of which control jumps back. Nothing of what
/// is jumped over has a destructor, and the pool frees what gumbo had.
struct Bounds {
  std::pmr::monotonic_buffer_resource& pool;
  size_t bytes_left;
  double until;
  unsigned calls = 0;
  std::jmp_buf back{};

  Stop take(size_t size, void*& memory) noexcept {
    if (size > bytes_left) return Stop::memory;
    bytes_left -= size;
    if ((++calls & 0xff) == 0 && processor_seconds() > until) return Stop::time;
    try {
      memory = pool.allocate(size, 16);
    } catch (const std::bad_alloc&) {
      return Stop::no_memory;
    }
    return Stop::none;
  }
};

void* take_memory(void* context, size_t size) {
  auto& bounds = *static_cast<Bounds*>(context);
  void* memory = nullptr;
  const Stop stop = bounds.take(size, memory);
  if (stop != Stop::none) std::longjmp(bounds.back, static_cast<int>(stop));
  return memory;
}

Stop run_gumbo(Bounds& bounds, const GumboOptions& options, std::string_view html, const GumboOutput** output) {
  const int stop = setjmp(bounds.back);
  if (stop != 0) return static_cast<Stop>(stop);
  *output = gumbo_parse_with_options(&options, html.data(), html.size());
  return Stop::none;
}

}  // namespace

void tame_references(std::string& html) {
  constexpr std::string_view beyond = "9999999";  // as a hexadecimal number too
  for (size_t at = html.find("&#"); at != std::string::npos; at = html.find("&#", at + 2)) {
    size_t begin = at + 2;
    const bool hexadecimal = begin < html.size() && (html[begin] == 'x' || html[begin] == 'X');
    if (hexadecimal) ++begin;
    const auto is_digit = [&](char c) { return hexadecimal ? std::isxdigit(static_cast<unsigned char>(c)) != 0 : c >= '0' && c <= '9'; };
    size_t end = begin;
    while (end < html.size() && is_digit(html[end])) ++end;
    const size_t first = std::min(html.find_first_not_of('0', begin), end);
    if (end - first <= beyond.size()) continue;
    std::fill(html.begin() + static_cast<std::ptrdiff_t>(first), html.begin() + static_cast<std::ptrdiff_t>(end), '0');
    std::copy(beyond.begin(), beyond.end(), html.begin() + static_cast<std::ptrdiff_t>(end - beyond.size()));
  }
}

const GumboOutput* parse_html_bounded(std::string_view html, std::pmr::monotonic_buffer_resource& pool) {
  check_attributes(html);
  // Honest pages take some 100 bytes of memory and 50 nanoseconds for a byte.
  Bounds bounds{.pool = pool, .bytes_left = (size_t{64} << 20) + 512 * html.size(),
                .until = processor_seconds() + 0.5 + 1e-6 * static_cast<double>(html.size())};
  GumboOptions options = kGumboDefaultOptions;
  options.userdata = &bounds;
  options.allocator = take_memory;
  options.deallocator = [](void*, void*) {};
  options.max_errors = 0;
  const GumboOutput* output = nullptr;
  switch (run_gumbo(bounds, options, html, &output)) {
    case Stop::none:
      return output;
    case Stop::memory:
      throw Error(fmt::format("its {} bytes of HTML take more memory than any page of that size should", html.size()));
    case Stop::time:
      throw Error(fmt::format("its {} bytes of HTML take longer to parse than any page of that size should", html.size()));
    case Stop::no_memory:
      break;
  }
  throw Error(Error::Kind::io, "no memory to parse a page");
}

}  // namespace fettle::data
