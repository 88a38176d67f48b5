#pragma once
// A wheel is a zip archive (PEP 427) whose RECORD lists its files with their hashes (PEP 376). What it says of itself is not believed:
// names, sizes and ratios are bounded before anything is unpacked.
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "base/file.h"

namespace fettle::hub {

/// An open wheel; for one thread. Every function throws Error with the wheel's path when the archive is damaged or over a bound.
class Wheel {
 public:
  explicit Wheel(const fs::path& path);
  ~Wheel();
  Wheel(const Wheel&) = delete;
  Wheel& operator=(const Wheel&) = delete;

  /// The names in it, each once, with the bytes that they say they unpack to. Symbolic links, names twice, too many files and more than a
  /// hundred times the archive's own size are errors.
  std::map<std::string, uint64_t> names();

  /// Feeds the file's bytes, at most `most`, to `sink`; returns their SHA-256 as RECORD writes it (base64url without padding).
  std::string extract(const std::string& name, uint64_t most, const std::function<void(std::string_view)>& sink);

  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
  void* zip_;  ///< unzFile
};

/// Name → SHA-256 as RECORD has it; files without one are left out.
std::map<std::string, std::string> recorded_hashes(Wheel& wheel, const std::map<std::string, uint64_t>& names);

}  // namespace fettle::hub
