#include "data/training/token_facts.h"

#include <algorithm>
#include "base/hash.h"
#include "base/ordered_json.h"

namespace fettle::data {
namespace {

OrderedJson read_counts(const ReadReport& read) {
  return {{"rows", read.rows}, {"rejected", read.rejected}, {"repaired", read.repaired}, {"bytes", read.bytes}, {"files", read.files}, {"formats", read.formats}};
}

ReadReport read_from_counts(const OrderedJson& json) {
  ReadReport read;
  json.at("rows").get_to(read.rows);
  json.at("rejected").get_to(read.rejected);
  json.at("repaired").get_to(read.repaired);
  json.at("bytes").get_to(read.bytes);
  json.at("files").get_to(read.files);
  json.at("formats").get_to(read.formats);
  return read;
}

TokenizeReport tokenized_from_json(const OrderedJson& json) {
  TokenizeReport report;
  json.at("in").get_to(report.rows);
  json.at("out").get_to(report.kept);
  json.at("reasons").get_to(report.dropped);
  json.at("truncated").get_to(report.truncated);
  json.at("formats").get_to(report.formats);
  json.at("tokens").get_to(report.tokens);
  json.at("supervised_tokens").get_to(report.supervised_tokens);
  json.at("longest").get_to(report.longest);
  json.at("answers").get_to(report.answers);
  json.at("answers_never_served_so").get_to(report.unserved);
  json.at("answers_with_thinking_off").get_to(report.thinking_off);
  json.at("answers_without_the_opened_thought").get_to(report.thoughtless);
  json.at("rows_that_end_a_turn").get_to(report.ended);
  return report;
}

}  // namespace

OrderedJson to_json(const TokenFacts& facts) {
  return {{"tokenized", OrderedJson::parse(dump_json(to_json(facts.report)))},
          {"read", read_counts(facts.read)},
          {"columns", facts.columns.counts()},
          {"equal_answers", facts.equal_answers},
          {"classes", facts.classes},
          {"class_rows", facts.class_rows},
          {"splits", facts.splits},
          {"hash", facts.hash}};
}

TokenFacts token_facts_from_json(const OrderedJson& json) {
  TokenFacts facts;
  facts.report = tokenized_from_json(json.at("tokenized"));
  facts.read = read_from_counts(json.at("read"));
  facts.columns = ColumnReport::from_counts(json.at("columns"));
  json.at("equal_answers").get_to(facts.equal_answers);
  json.at("classes").get_to(facts.classes);
  json.at("class_rows").get_to(facts.class_rows);
  json.at("splits").get_to(facts.splits);
  json.at("hash").get_to(facts.hash);
  return facts;
}

void write_checked(const fs::path& path, const OrderedJson& value) {
  const std::string text = dump_json(value);
  write_file(path, hash_hex(text) + "\n" + text + "\n");
}

std::optional<OrderedJson> read_checked(const fs::path& path) {
  std::error_code unknown;
  if (!fs::is_regular_file(path, unknown)) return std::nullopt;
  const std::string all = read_file(path);
  const size_t end = all.find('\n');
  if (end == std::string::npos || all.back() != '\n' || all.size() < end + 2) return std::nullopt;
  const std::string_view text = std::string_view(all).substr(end + 1, all.size() - end - 2);
  if (hash_hex(text) != std::string_view(all).substr(0, end)) return std::nullopt;
  return parse_ordered_json(text, path.string());
}

void append_rejection(const Rejection& rejection, bool with_text, std::string& to) {
  OrderedJson line{rejection.file, rejection.line, rejection.reason, rejection.detail, rejection.id};
  if (with_text) line.push_back(rejection.text);
  to += dump_json(line) + "\n";
}

void replay_rejections(const fs::path& path, const TakeRejection& take) {
  std::error_code unknown;
  if (!fs::exists(path, unknown)) return;
  const MappedFile file(path);
  const std::string_view all = file.text();
  for (size_t begin = 0; begin < all.size();) {
    const size_t end = std::min(all.find('\n', begin), all.size());
    const Json line = parse_json(all.substr(begin, end - begin), path.string());
    const bool fits = line.is_array() && (line.size() == 5 || line.size() == 6) && line[1].is_number_integer() &&
                      std::ranges::all_of(line, [&](const Json& part) { return part.is_string() || &part == &line[1]; });
    if (!fits) fail(path.string(), "holds a line that is no rejected row; remove it, and start again");
    const auto text = [&](size_t i) { return line[i].get<std::string>(); };
    const bool has_text = line.size() == 6;
    take({text(0), line[1].get<int64_t>(), text(2), text(3), text(4), has_text ? text(5) : ""}, has_text);
    begin = end + 1;
  }
}

}  // namespace fettle::data
