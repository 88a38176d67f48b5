// Any bytes as a Parquet file: rows that are valid JSON, or an Error.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "base/json.h"
#include "data/parquet/reader.h"
#include "text/unicode/unicode.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    fettle::data::ParquetReader reader({reinterpret_cast<const char*>(data), size}, "fuzz");
    std::string text;
    for (int rows = 0; rows < 2000 && reader.next(text, 1 << 16); ++rows) {
      if (!fettle::Json::accept(fettle::unicode::lossy(text))) std::abort();
      text.clear();
    }
  } catch (const fettle::Error&) {
  }
  return 0;
}
