#pragma once
// The files of starter/, embedded in the program at build time.
#include <string_view>
#include <vector>

namespace fettle {

struct EmbeddedFile {
  std::string_view name;  ///< relative, such as "model/config.json"
  std::string_view bytes;
};
/// Lives as long as the program.
const std::vector<EmbeddedFile>& starter_files();

}  // namespace fettle
