#include "data/rows/rejected.h"

#include <utility>

#include "base/json.h"

namespace fettle::data {
namespace {

OrderedJson to_line(const Rejection& rejection) {
  OrderedJson line;
  line["file"] = rejection.file;
  if (rejection.line > 0) line["line"] = rejection.line;
  line["reason"] = rejection.reason;
  if (!rejection.detail.empty()) line["detail"] = rejection.detail;
  if (!rejection.id.empty()) line["id"] = rejection.id;
  return line;
}

}  // namespace

RejectedRows::RejectedRows(const fs::path& path) : file_(std::make_unique<AtomicFile>(path)) {}

void RejectedRows::add(Rejection rejection) {
  constexpr size_t examples = 5;
  std::string line;
  if (file_) {
    line = dump_json(to_line(rejection));
    line.pop_back();
    // A row that is JSON stands as itself, so that a repaired file can be made from this one.
    if (Json::accept(rejection.text) && rejection.text.find('\n') == std::string::npos) {
      line += ",\"row\":" + rejection.text + "}\n";
    } else {
      line += ",\"text\":" + dump_json(Json(rejection.text)) + "}\n";
    }
  }
  const std::lock_guard lock(mutex_);
  ++count_;
  ++by_reason_[rejection.reason];
  if (file_) file_->write(line);
  if (first_.size() < examples) {
    rejection.text.clear();
    first_.push_back(std::move(rejection));
  }
}

int64_t RejectedRows::count() const {
  const std::lock_guard lock(mutex_);
  return count_;
}

std::map<std::string, int64_t> RejectedRows::by_reason() const {
  const std::lock_guard lock(mutex_);
  return by_reason_;
}

std::vector<Rejection> RejectedRows::first() const {
  const std::lock_guard lock(mutex_);
  return first_;
}

void RejectedRows::commit() {
  const std::lock_guard lock(mutex_);
  if (!file_) return;
  file_->commit();
  file_.reset();
}

}  // namespace fettle::data
