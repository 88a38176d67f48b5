#include "data/files/unread_input.h"

#include "data/files/input.h"
#include "data/files/paths.h"
#include "data/files/reader.h"

namespace fettle::data {

std::vector<std::string> InputTally::openable(const std::vector<std::string>& paths) {
  std::vector<std::string> found, files;
  for (const auto& path : paths) {
    try {
      const auto inside = expand_paths({path}, [this](const fs::path& below, const std::string& why) { broken(below.string(), why); });
      found.insert(found.end(), inside.begin(), inside.end());
    } catch (const Error& error) {
      rethrow_unless_of_file(error);
      broken(path, error.what());
    }
  }
  for (auto& file : found) {
    std::error_code unknown;
    // Opening a pipe would take its first bytes away.
    if (file != "-" && fs::is_regular_file(file, unknown)) {
      try {
        const ByteInput input(file);
      } catch (const Error& error) {
        rethrow_unless_of_file(error);
        broken(file, error.what());
        continue;
      }
    }
    files.push_back(std::move(file));
  }
  return files;
}

void InputTally::broken(const std::string& file, const std::string& reason) {
  auto& problem = files_[file].problem;
  if (problem.empty()) problem = reason;
}

OrderedJson InputTally::counts() const {
  auto counts = OrderedJson::object();
  for (const auto& [name, file] : files_) counts[name] = {file.rows, file.problem};
  return counts;
}

InputTally InputTally::from_counts(const OrderedJson& counts) {
  InputTally tally;
  for (const auto& [name, file] : counts.items()) tally.files_[name] = {file.at(0).get<int64_t>(), file.at(1).get<std::string>()};
  return tally;
}

std::vector<UnreadInput> InputTally::unread() const {
  std::vector<UnreadInput> unread;
  for (const auto& [name, file] : files_) {
    if (file.rows == 0 && !file.problem.empty()) unread.push_back({name, file.problem});
  }
  return unread;
}

OrderedJson to_json(const std::vector<UnreadInput>& unread) {
  auto list = OrderedJson::array();
  for (const auto& [file, reason] : unread) list.push_back({{"file", file}, {"reason", reason}});
  return list;
}

std::string unread_text(const std::string& verb, const OrderedJson& report) {
  const auto unread = report.find("unread");
  if (unread == report.end() || unread->empty()) return {};
  constexpr size_t named = 3;
  std::string text;
  for (size_t i = 0; i < unread->size() && i < named; ++i) {
    const auto file = (*unread)[i]["file"].get<std::string>(),
               reason = (*unread)[i]["reason"].get<std::string>();
    text += "\n  " + (reason.starts_with(file) ? reason : file + ": " + reason);
  }
  if (unread->size() > named) text += fmt::format("\n  and {} more", unread->size() - named);
  const bool others = report.value(report.contains("out") ? "out" : "rows", int64_t{0}) > 0;
  return fmt::format("{}: of {} input{} nothing could be read{}{}", verb, unread->size(), unread->size() == 1 ? "" : "s",
                     others ? "; what the others hold is written" : "", text);
}

}  // namespace fettle::data
