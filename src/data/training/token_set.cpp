#include "data/training/token_set.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/interrupt.h"
#include "data/training/rejected_texts.h"

namespace fettle::data {
namespace {

constexpr int manifest_format = 1;
/// The system maps so much around a page that is read.
constexpr size_t mapped_around = size_t{64} << 10;

std::string shape_name(RowShape shape) {
  return shape == RowShape::sequence ? "sequences" : shape == RowShape::pair ? "pairs" : "judged";
}

TokenManifest manifest_from_json(const OrderedJson& json) {
  TokenManifest manifest;
  const auto shape = json.at("shape").get<std::string>();
  manifest.shape = shape == "sequences" ? RowShape::sequence : shape == "pairs" ? RowShape::pair : RowShape::judged;
  json.at("piece_length").get_to(manifest.piece_length);
  for (const auto& part : json.at("parts")) manifest.parts.push_back(part_state_from_json(part));
  manifest.facts = token_facts_from_json(json.at("facts"));
  return manifest;
}

TokenManifest read_manifest(const fs::path& folder) {
  const auto json = read_checked(manifest_path(folder));
  if (!json) throw DamagedTokens(Error::Kind::io, fmt::format("{}: is not there, or damaged", manifest_path(folder).string()));
  if (json->value("format", 0) != manifest_format) throw DamagedTokens(Error::Kind::io, fmt::format("{}: is of another version", manifest_path(folder).string()));
  try {
    return manifest_from_json(*json);
  } catch (const nlohmann::json::exception& error) {
    throw DamagedTokens(Error::Kind::io, fmt::format("{}: {}", manifest_path(folder).string(), error.what()));
  }
}

/// What can be worked out again is not worth an error where the folder cannot be written to.
void write_if_possible(const fs::path& path, const OrderedJson& value) {
  try {
    write_checked(path, value);
  } catch (const Error& error) {
    if (error.kind() != Error::Kind::io) throw;
  }
}

}  // namespace

int64_t pieces_of(int64_t length, int64_t piece_length) {
  if (piece_length == 0) return 1;
  return length / piece_length + (length % piece_length >= 2 ? 1 : 0);
}

fs::path part_path(const fs::path& folder, size_t number) {
  return folder / fmt::format("part-{:05}.tokens", number);
}
fs::path part_state_path(const fs::path& folder, size_t number) {
  return folder / fmt::format("part-{:05}.json", number);
}
fs::path part_rejected_path(const fs::path& folder, size_t number) {
  return folder / fmt::format("part-{:05}.rejected", number);
}
fs::path manifest_path(const fs::path& folder) {
  return folder / "set.json";
}

OrderedJson to_json(const PartState& state) {
  return {{"entries", state.entries}, {"records", state.records}, {"size", state.size},  {"inode", state.inode},
          {"seconds", state.seconds}, {"nanoseconds", state.nanoseconds}, {"hash", state.hash}};
}

PartState part_state_from_json(const OrderedJson& json) {
  PartState state;
  json.at("entries").get_to(state.entries);
  json.at("records").get_to(state.records);
  json.at("size").get_to(state.size);
  json.at("inode").get_to(state.inode);
  json.at("seconds").get_to(state.seconds);
  json.at("nanoseconds").get_to(state.nanoseconds);
  json.at("hash").get_to(state.hash);
  return state;
}

OrderedJson to_json(const TokenManifest& manifest) {
  auto parts = OrderedJson::array();
  for (const auto& part : manifest.parts) parts.push_back(to_json(part));
  return {{"format", manifest_format}, {"shape", shape_name(manifest.shape)}, {"piece_length", manifest.piece_length}, {"parts", parts}, {"facts", to_json(manifest.facts)}};
}

std::unique_ptr<TokenPart> open_part(const fs::path& path, PartState& state) {
  PartState now = state;
  if (!now.look(path)) throw DamagedTokens(Error::Kind::io, fmt::format("{}: is not there", path.string()));
  auto part = std::make_unique<TokenPart>(path);
  if (part->size() != state.size || part->entries() != state.entries || part->records() != state.records || part->hash() != state.hash)
    throw DamagedTokens(Error::Kind::io, fmt::format("{}: is another file than the one that was written", path.string()));
  if (!now.same_file(state)) part->verify();
  state = now;
  return part;
}

TokenizedSet::TokenizedSet(const fs::path& folder, std::shared_ptr<const TemporaryFolder> owner)
    : folder_(folder), owner_(std::move(owner)), manifest_(read_manifest(folder)) {
  const auto before = manifest_.parts;
  open_parts(true);
  const bool same = std::equal(before.begin(), before.end(), manifest_.parts.begin(), manifest_.parts.end(),
                               [](const PartState& one, const PartState& other) { return one.same_file(other); });
  // Moved here from elsewhere, and read whole just now: not again next time.
  if (!same) write_if_possible(manifest_path(folder_), to_json(manifest_));
}

TokenizedSet::TokenizedSet(const fs::path& folder, TokenManifest manifest) : folder_(folder), manifest_(std::move(manifest)) {
  open_parts(false);
}

void TokenizedSet::open_parts(bool must_match) {
  for (size_t i = 0; i < manifest_.parts.size(); ++i) {
    begins_.push_back(entries_);
    parts_.push_back(must_match ? open_part(part_path(folder_, i), manifest_.parts[i]) : std::make_unique<TokenPart>(part_path(folder_, i)));
    entries_ += parts_.back()->entries();
  }
}

int64_t TokenizedSet::bytes() const {
  int64_t total = 0;
  std::error_code unknown;
  for (const auto& entry : fs::directory_iterator(folder_, unknown)) {
    const auto size = entry.file_size(unknown);
    if (!unknown) total += static_cast<int64_t>(size);
  }
  return total;
}

size_t TokenizedSet::part_of(int64_t entry) const {
  FETTLE_CHECK(entry >= 0 && entry < entries_);
  return static_cast<size_t>(std::upper_bound(begins_.begin(), begins_.end(), entry) - begins_.begin()) - 1;
}

void TokenizedSet::fail_damaged(size_t part, int64_t entry) const {
  parts_[part]->check();
  std::error_code unknown;
  fs::remove(manifest_path(folder_), unknown);
  fs::remove(part_path(folder_, part), unknown);
  throw Error(Error::Kind::io, fmt::format("{}: row {} is damaged, so the file was removed; start again: it is made anew, and a run goes on from its last state",
                                           part_path(folder_, part).string(), entry));
}

void TokenizedSet::count_touched(size_t bytes) const {
  if (touched_.fetch_add(bytes, std::memory_order_relaxed) + bytes < static_cast<size_t>(most_resident)) return;
  touched_ = 0;
  for (const auto& part : parts_) part->forget();
}

TokenRecord TokenizedSet::record(int64_t entry, TokenRange range) const {
  const size_t number = part_of(entry);
  TokenRecord record;
  size_t size = 0;
  const bool good = parts_[number]->read(entry - begins_[number], range, record, &size);
  if (!good || record.copy_of >= entry) fail_damaged(number, entry);
  parts_[number]->check();
  count_touched(size + mapped_around);
  return record;
}

TokenRow TokenizedSet::read(int64_t entry, bool whole) const {
  const size_t number = part_of(entry);
  const int64_t length = manifest_.piece_length;
  TokenRange range;
  if (!whole && length > 0) {
    range.begin = parts_[number]->piece(entry - begins_[number]) * length;
    range.end = range.begin + length;
  }
  TokenRecord found = record(entry, range);
  if (found.copy_of >= 0) {
    found = record(found.copy_of, range);
    if (found.copy_of >= 0) fail_damaged(number, entry);
  }
  if (!whole && length > 0 && !found.row.weights.empty()) found.row.weights.front() = 0.0F;
  return std::move(found.row);
}

TokenRow TokenizedSet::row(int64_t entry) const {
  return read(entry, false);
}

bool TokenizedSet::continues(int64_t entry) const {
  const size_t number = part_of(entry);
  return parts_[number]->continues(entry - begins_[number]);
}

void TokenizedSet::each_record(int64_t first, int64_t end, const std::function<void(int64_t, TokenRow&&)>& take) const {
  for (int64_t entry = first; entry < end; ++entry) {
    if (entry % 1024 == 0) throw_if_interrupted();
    const size_t number = part_of(entry);
    if (parts_[number]->begins_record(entry - begins_[number])) take(entry, read(entry, true));
  }
}

void TokenizedSet::each_row(const std::function<void(int64_t, TokenRow&&)>& take) const {
  for (int64_t entry = 0; entry < entries_; ++entry) {
    if (entry % 1024 == 0) throw_if_interrupted();
    take(entry, read(entry, false));
  }
}

std::optional<OrderedJson> TokenizedSet::note(const std::string& name) const {
  return read_checked(folder_ / ("note-" + name + ".json"));
}

void TokenizedSet::keep_note(const std::string& name, const OrderedJson& value) const {
  write_if_possible(folder_ / ("note-" + name + ".json"), value);
}

void TokenizedSet::replay_rejected(const std::vector<DataSource>& sources, RejectedRows& to) const {
  RejectedTexts texts(sources);
  for (size_t i = 0; i < manifest_.parts.size(); ++i) {
    replay_rejections(part_rejected_path(folder_, i), [&](Rejection&& rejection, bool has_text) {
      if (!has_text) texts.fill(rejection);
      to.add(std::move(rejection));
    });
  }
}

}  // namespace fettle::data
