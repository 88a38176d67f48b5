#pragma once
// A tokenised row of any method, and the bytes that it is on disk.
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "data/training/tokenize.h"

namespace fettle::data {

enum class RowShape : uint8_t { sequence, pair, judged };

/// A TokenSequence (its ids are `chosen`), a Pair, or a Judged (its completion is `chosen`).
struct TokenRow {
  std::string id;
  std::vector<int32_t> prompt, chosen, rejected;
  std::vector<float> weights;  ///< of a sequence, as many as `chosen`; else empty
  float weight = 1.0F;
  bool desirable = true;
  int32_t group = -1;
  int64_t conversation = -1;
  AnswerNotes notes = {};
  bool again = false;  ///< of a source with a fractional weight above 1: comes once more than its whole part

  int64_t length() const { return static_cast<int64_t>(prompt.size() + chosen.size() + rejected.size()); }
  /// TokenSequence::supervised and its like.
  int64_t supervised() const;
};

TokenRow token_row(TokenSequence&& row);
TokenRow token_row(Pair&& row);
TokenRow token_row(Judged&& row);
TokenSequence sequence_of(TokenRow&& row);
Pair pair_of(TokenRow&& row);
Judged judged_of(TokenRow&& row);

/// What a record on disk is: a row, or (of a row that comes more than once) the number of the entry that holds it.
struct TokenRecord {
  TokenRow row;
  int64_t copy_of = -1;
};

/// Appends a record: its length, its body, a checksum of the body. Ids take `width` bytes (2 or 4); weights are runs of
/// equal ones. Throws Error when an id does not fit.
void append_record(const TokenRow& row, int width, std::string& to);
void append_copy(int64_t copy_of, std::string& to);

/// Tokens [begin, end) of a sequence, for pieces of long texts.
struct TokenRange {
  int64_t begin = 0, end = -1;  ///< -1: to the end
};
/// The record at the start of `bytes`; false when it is damaged, or cut. `size`, where given, becomes its bytes.
bool read_record(std::span<const std::byte> bytes, int width, TokenRange range, TokenRecord& to, size_t* size = nullptr);

}  // namespace fettle::data
