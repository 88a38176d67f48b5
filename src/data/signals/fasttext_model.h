#pragma once
// A user's own fastText model that tells languages (lid.176, with which OpenChat's language step was run).
#include <memory>
#include <string_view>

#include "base/file.h"
#include "data/signals/language.h"

namespace fettle::data {

/// Safe to use from many threads.
class FastTextModel {
 public:
  /// Error when the file is no fastText model.
  explicit FastTextModel(const fs::path& path);
  ~FastTextModel();
  /// The likeliest label without its "__label__", and its probability; "un" when there is none. Line ends are
  /// taken out first, as OpenChat does.
  Language detect(std::string_view text) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace fettle::data
