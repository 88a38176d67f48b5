// Any bytes as CSV: every row is a JSON object or named, and rows do not depend on how the bytes were cut.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "base/json.h"
#include "data/files/csv.h"
#include "text/unicode/unicode.h"

namespace {

std::vector<std::string> rows_of(std::string_view bytes, size_t step) {
  std::vector<std::string> rows;
  fettle::data::CsvSplitter splitter(1 << 12, [&](fettle::data::ValueText&& piece) {
    const bool whole = piece.problem.empty();
    if (whole && !fettle::Json::accept(fettle::unicode::lossy(piece.text))) std::abort();
    // Where a row is too long, what is kept of it and where it ends depends on the pieces.
    rows.push_back(fmt::format("{}|{}|{}", piece.line, piece.problem, whole ? piece.text : ""));
  });
  for (size_t at = 0; at < bytes.size(); at += step) splitter.feed(bytes.substr(at, step));
  splitter.finish("");
  return rows;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const auto whole = rows_of(bytes, size);
  if (bytes.size() < 1 << 12 && whole != rows_of(bytes, 1 + data[0] % 7)) std::abort();
  fettle::data::guess_csv(bytes, data[0] % 2 == 0);
  return 0;
}
