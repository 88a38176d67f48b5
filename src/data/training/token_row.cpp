#include "data/training/token_row.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/error.h"
#include "base/hash.h"

namespace fettle::data {
namespace {

/// What a record says of its row.
constexpr uint32_t row_desirable = 1, has_prompt = 2, has_rejected = 4, has_weights = 8, is_weighted = 16, has_group = 32, has_conversation = 64, has_notes = 128, comes_again = 256, is_copy = 512;

/// A run of equal weights is its length and what they are.
constexpr uint64_t run_of_zeros = 0, run_of_ones = 1, run_of_others = 2;

void put_number(uint64_t value, std::string& to) {
  for (; value >= 0x80; value >>= 7) to.push_back(static_cast<char>(value | 0x80));
  to.push_back(static_cast<char>(value));
}

template <typename T>
void put_raw(const T* values, size_t count, std::string& to) {
  to.append(reinterpret_cast<const char*>(values), count * sizeof(T));
}

void put_ids(const std::vector<int32_t>& ids, int width, const std::string& id, std::string& to) {
  if (width == 4) return put_raw(ids.data(), ids.size(), to);
  const size_t begin = to.size();
  to.resize(begin + ids.size() * 2);
  uint32_t all = 0;
  for (size_t i = 0; i < ids.size(); ++i) {
    const auto narrow = static_cast<uint16_t>(ids[i]);
    all |= static_cast<uint32_t>(ids[i]);
    std::memcpy(to.data() + begin + 2 * i, &narrow, 2);
  }
  if (all > 0xFFFF) fail(fmt::format("row {}", id), "holds a token beyond 65535, though the tokenizer has fewer");
}

void put_weights(const std::vector<float>& weights, std::string& to) {
  for (size_t begin = 0, end; begin < weights.size(); begin = end) {
    const float value = weights[begin];
    end = begin + 1;
    while (end < weights.size() && std::memcmp(&weights[end], &value, sizeof value) == 0) ++end;
    const float none = 0.0F;
    const uint64_t kind = std::memcmp(&value, &none, sizeof value) == 0 ? run_of_zeros : value == 1.0F ? run_of_ones : run_of_others;
    put_number((end - begin) << 2 | kind, to);
    if (kind == run_of_others) put_raw(&value, 1, to);
  }
}

uint32_t checksum(std::string_view body) {
  return static_cast<uint32_t>(hash64(body));
}

void put_record(const std::string& body, std::string& to) {
  put_number(body.size(), to);
  to += body;
  const uint32_t sum = checksum(body);
  put_raw(&sum, 1, to);
}

/// Takes values off the front of some bytes; `good` turns false where there are too few.
class Taker {
 public:
  explicit Taker(std::span<const std::byte> bytes) : bytes_(bytes) {}
  bool good() const { return good_; }
  size_t left() const { return bytes_.size(); }

  uint64_t number() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (bytes_.empty()) return bad();
      const auto byte = static_cast<uint8_t>(bytes_.front());
      bytes_ = bytes_.subspan(1);
      value |= static_cast<uint64_t>(byte & 0x7F) << shift;
      if (byte < 0x80) return value;
    }
    return bad();
  }
  std::span<const std::byte> raw(uint64_t size) {
    if (size > bytes_.size()) {
      bad();
      return {};
    }
    const auto taken = bytes_.first(static_cast<size_t>(size));
    bytes_ = bytes_.subspan(static_cast<size_t>(size));
    return taken;
  }
  template <typename T>
  T value() {
    T value{};
    const auto bytes = raw(sizeof(T));
    if (!bytes.empty()) std::memcpy(&value, bytes.data(), sizeof(T));
    return value;
  }
  uint64_t bad() {
    good_ = false;
    return 0;
  }

 private:
  std::span<const std::byte> bytes_;
  bool good_ = true;
};

void take_ids(Taker& from, uint64_t count, int width, TokenRange range, std::vector<int32_t>& to) {
  if (count > from.left()) {
    from.bad();
    return;
  }
  const auto bytes = from.raw(count * static_cast<uint64_t>(width));
  if (!from.good()) return;
  const auto begin = static_cast<size_t>(range.begin), end = static_cast<size_t>(range.end);
  to.resize(end - begin);
  if (width == 4) {
    if (!to.empty()) std::memcpy(to.data(), bytes.data() + begin * 4, to.size() * 4);
    return;
  }
  for (size_t i = begin; i < end; ++i) {
    uint16_t narrow = 0;
    std::memcpy(&narrow, bytes.data() + 2 * i, 2);
    to[i - begin] = narrow;
  }
}

void take_weights(Taker& from, uint64_t count, TokenRange range, std::vector<float>& to) {
  to.resize(static_cast<size_t>(range.end - range.begin));
  for (uint64_t at = 0; at < count && from.good();) {
    const uint64_t run = from.number(), length = run >> 2, kind = run & 3;
    if (length == 0 || length > count - at || kind > run_of_others) {
      from.bad();
      return;
    }
    const float value = kind == run_of_others ? from.value<float>() : static_cast<float>(kind);
    const uint64_t begin = std::max(at, static_cast<uint64_t>(range.begin)), end = std::min(at + length, static_cast<uint64_t>(range.end));
    for (uint64_t i = begin; i < end; ++i) to[static_cast<size_t>(i) - static_cast<size_t>(range.begin)] = value;
    at += length;
  }
}

void take_row(Taker& from, uint64_t flags, int width, TokenRange range, TokenRow& row) {
  const auto id = from.raw(from.number());
  row.id.assign(reinterpret_cast<const char*>(id.data()), id.size());
  const uint64_t chosen = from.number(), prompt = (flags & has_prompt) != 0 ? from.number() : 0,
                 rejected = (flags & has_rejected) != 0 ? from.number() : 0;
  row.desirable = (flags & row_desirable) != 0;
  row.again = (flags & comes_again) != 0;
  row.weight = (flags & is_weighted) != 0 ? from.value<float>() : 1.0F;
  row.group = (flags & has_group) != 0 ? static_cast<int32_t>(from.number()) : -1;
  row.conversation = (flags & has_conversation) != 0 ? static_cast<int64_t>(from.number()) : -1;
  row.notes = {};
  if ((flags & has_notes) != 0) {
    for (int32_t* note : {&row.notes.answers, &row.notes.unserved, &row.notes.thinking_off, &row.notes.thoughtless, &row.notes.ended})
      *note = static_cast<int32_t>(from.number());
  }
  if (!from.good() || chosen > from.left()) {
    from.bad();
    return;
  }
  const auto all = static_cast<int64_t>(chosen);
  TokenRange taken{std::clamp<int64_t>(range.begin, 0, all), range.end < 0 ? all : std::clamp<int64_t>(range.end, 0, all)};
  taken.end = std::max(taken.begin, taken.end);
  row.weights.clear();
  if ((flags & has_weights) != 0) take_weights(from, chosen, taken, row.weights);
  take_ids(from, chosen, width, taken, row.chosen);
  take_ids(from, prompt, width, {0, static_cast<int64_t>(std::min<uint64_t>(prompt, from.left()))}, row.prompt);
  take_ids(from, rejected, width, {0, static_cast<int64_t>(std::min<uint64_t>(rejected, from.left()))}, row.rejected);
}

}  // namespace

int64_t TokenRow::supervised() const {
  if (weights.empty()) return static_cast<int64_t>(chosen.size() + rejected.size());
  return std::count_if(weights.begin(), weights.end(), [](float value) { return value != 0.0F; });
}

TokenRow token_row(TokenSequence&& row) {
  TokenRow made{.id = std::move(row.id), .chosen = std::move(row.ids), .weights = std::move(row.weights)};
  made.group = row.group;
  made.conversation = row.conversation;
  made.notes = row.notes;
  return made;
}

TokenRow token_row(Pair&& row) {
  TokenRow made{.id = std::move(row.id), .prompt = std::move(row.prompt_ids), .chosen = std::move(row.chosen_ids), .rejected = std::move(row.rejected_ids)};
  made.weight = row.weight;
  made.notes = row.notes;
  return made;
}

TokenRow token_row(Judged&& row) {
  TokenRow made{.id = std::move(row.id), .prompt = std::move(row.prompt_ids), .chosen = std::move(row.completion_ids)};
  made.weight = row.weight;
  made.desirable = row.desirable;
  made.notes = row.notes;
  return made;
}

TokenSequence sequence_of(TokenRow&& row) {
  return {std::move(row.id), std::move(row.chosen), std::move(row.weights), row.group, row.conversation, row.notes};
}

Pair pair_of(TokenRow&& row) {
  return {std::move(row.id), std::move(row.prompt), std::move(row.chosen), std::move(row.rejected), row.weight, row.notes};
}

Judged judged_of(TokenRow&& row) {
  return {std::move(row.id), std::move(row.prompt), std::move(row.chosen), row.desirable, row.weight, row.notes};
}

void append_record(const TokenRow& row, int width, std::string& to) {
  FETTLE_CHECK(row.weights.empty() || row.weights.size() == row.chosen.size());
  const AnswerNotes& notes = row.notes;
  const bool noted = (notes.answers | notes.unserved | notes.thinking_off | notes.thoughtless | notes.ended) != 0;
  const uint32_t flags = (row.desirable ? row_desirable : 0) | (row.prompt.empty() ? 0 : has_prompt) | (row.rejected.empty() ? 0 : has_rejected) |
                         (row.weights.empty() ? 0 : has_weights) | (row.weight == 1.0F ? 0 : is_weighted) | (row.group < 0 ? 0 : has_group) |
                         (row.conversation < 0 ? 0 : has_conversation) | (noted ? has_notes : 0) | (row.again ? comes_again : 0);
  std::string body;
  put_number(flags, body);
  put_number(row.id.size(), body);
  body += row.id;
  put_number(row.chosen.size(), body);
  if (!row.prompt.empty()) put_number(row.prompt.size(), body);
  if (!row.rejected.empty()) put_number(row.rejected.size(), body);
  if (row.weight != 1.0F) put_raw(&row.weight, 1, body);
  if (row.group >= 0) put_number(static_cast<uint64_t>(row.group), body);
  if (row.conversation >= 0) put_number(static_cast<uint64_t>(row.conversation), body);
  if (noted) {
    for (const int32_t note : {notes.answers, notes.unserved, notes.thinking_off, notes.thoughtless, notes.ended}) put_number(static_cast<uint32_t>(note), body);
  }
  put_weights(row.weights, body);
  for (const auto* ids : {&row.chosen, &row.prompt, &row.rejected}) put_ids(*ids, width, row.id, body);
  put_record(body, to);
}

void append_copy(int64_t copy_of, std::string& to) {
  std::string body;
  put_number(is_copy, body);
  put_number(static_cast<uint64_t>(copy_of), body);
  put_record(body, to);
}

bool read_record(std::span<const std::byte> bytes, int width, TokenRange range, TokenRecord& to, size_t* size) {
  Taker outer(bytes);
  const auto body = outer.raw(outer.number());
  const auto sum = outer.value<uint32_t>();
  if (!outer.good() || checksum({reinterpret_cast<const char*>(body.data()), body.size()}) != sum) return false;
  if (size != nullptr) *size = bytes.size() - outer.left();
  Taker from(body);
  const uint64_t flags = from.number();
  to.copy_of = -1;
  if ((flags & is_copy) != 0) {
    to.copy_of = static_cast<int64_t>(from.number());
  } else {
    take_row(from, flags, width, range, to.row);
  }
  return from.good() && from.left() == 0;
}

}  // namespace fettle::data
