#pragma once
// Shared by the tests of data/: files in a temporary folder, and the real data where they are.
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "base/file.h"

namespace fettle::data {

struct Folder {
  TemporaryFolder folder;
  std::string file(const std::string& name, std::string_view bytes) const {
    const fs::path path = folder.path() / name;
    fs::create_directories(path.parent_path());
    write_file(path, bytes);
    return path.string();
  }
  std::string path(const std::string& name) const { return (folder.path() / name).string(); }
};

inline fs::path shared_data() {
  const char* named = std::getenv("FETTLE_SHARED");
  return fs::path(named != nullptr ? named : "../shared") / "data";
}

#define FETTLE_NEED_SHARED_DATA() \
  if (!fs::is_directory(::fettle::data::shared_data())) GTEST_SKIP() << "skipped: no shared data"

}  // namespace fettle::data
