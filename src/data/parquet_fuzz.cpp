// Any bytes as a Parquet file: rows that are valid JSON, or an Error.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "base/json.h"
#include "data/parquet_reader.h"
#include "data/utf8.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    fettle::data::ParquetReader reader({reinterpret_cast<const char*>(data), size}, "fuzz");
    std::string text;
    for (int rows = 0; rows < 2000 && reader.next(text, 1 << 16); ++rows) {
      if (!fettle::Json::accept(fettle::data::replace_invalid_utf8(text))) std::abort();
      text.clear();
    }
  } catch (const fettle::Error&) {
  }
  return 0;
}
