#pragma once
// A file that the build put into the program (cmake/EmbedFiles.cmake).
#include <string_view>

namespace fettle {

struct EmbeddedFile {
  std::string_view name;  ///< relative, such as "model/config.json"
  std::string_view bytes;
};

}  // namespace fettle
