#include "data/signals/fasttext_model.h"

#include <fasttext/fasttext.h>

#include <algorithm>
#include <sstream>

#include "base/error.h"

namespace fettle::data {

struct FastTextModel::Impl {
  ::fasttext::FastText model;
};

FastTextModel::FastTextModel(const fs::path& path) : impl_(std::make_unique<Impl>()) {
  if (!fs::is_regular_file(path)) fail(path.string(), "there is no such fastText model");
  try {
    impl_->model.loadModel(path.string());
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const std::exception& error) {
    fail(path.string(), "cannot be read as a fastText model: {}", error.what());
  }
}

FastTextModel::~FastTextModel() = default;

Language FastTextModel::detect(std::string_view text) const {
  constexpr std::string_view mark = "__label__";
  std::string line(text);
  std::erase(line, '\n');
  std::istringstream stream(line + "\n");
  std::vector<std::pair<::fasttext::real, std::string>> found;
  impl_->model.predictLine(stream, found, 1, 0.0);
  if (found.empty()) return {"un", 0};
  const auto& [probability, label] = found.front();
  return {label.starts_with(mark) ? label.substr(mark.size()) : label, std::min(1.0, static_cast<double>(probability))};
}

}  // namespace fettle::data
