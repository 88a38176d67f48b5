// Any bytes as a data file: splitting, parsing and conversion must count or reject them, never crash, and
// what is accepted must not depend on how the bytes were cut into chunks.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "data/files/reader.h"
#include "data/files/splitter.h"
#include "data/rows/example.h"
#include "data/rows/row_view.h"
#include "text/unicode/unicode.h"

namespace {

std::vector<std::string> split(std::string_view bytes, size_t step) {
  std::vector<std::string> pieces;
  fettle::data::Splitter splitter(1 << 12, [&](fettle::data::ValueText&& piece) {
    pieces.push_back(
        fmt::format("{}|{}|{}", piece.line, piece.problem, piece.problem.empty() ? piece.text : ""));
  });
  for (size_t at = 0; at < bytes.size(); at += step) splitter.feed(bytes.substr(at, step));
  splitter.finish("");
  return pieces;
}

/// What a row means, in whole and as a prompt, and its texts as passes see them.
void read(fettle::data::Row& row) {
  using fettle::data::Format;
  const auto value = fettle::data::parse_row(row);
  fettle::dump_json(value);
  for (const auto reading : {fettle::data::example_from_row, fettle::data::prompt_from_row}) {
    try {
      const auto example = reading(value, Format::automatic, {}, "row", nullptr);
      if (example.id.empty()) std::abort();
    } catch (const fettle::Error&) {
    }
  }
  fettle::data::RowView view;
  view.open(row);
  for (const auto& part : view.texts()) {
    if (part.field.empty() || part.role.empty()) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (split(bytes, size) != split(bytes, 1 + data[0] % 7)) std::abort();
  fettle::data::Splitter splitter(1 << 20, [](fettle::data::ValueText&& piece) {
    if (!piece.problem.empty()) return;
    fettle::data::Row row{fettle::unicode::lossy(piece.text), 0, piece.line, nullptr};
    try {
      read(row);
    } catch (const fettle::Error&) {
    }
  });
  splitter.feed(bytes);
  splitter.finish("");
  return 0;
}
