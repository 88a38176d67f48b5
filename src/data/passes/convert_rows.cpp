#include "data/passes/convert_rows.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstring>
#include <map>
#include <mutex>

#include "data/passes/pass_block.h"

namespace fettle::data {
namespace {

/// Writes the number and returns its end; up to 10 bytes behind `at` are overwritten. All digits are found at once,
/// since a processor cannot guess how many there are.
char* write_id(char* at, uint32_t id) {
  if (id >= 100'000'000) return std::to_chars(at, at + 10, id).ptr;
  uint64_t digits = id / 10'000 | uint64_t{id % 10'000} << 32;             // two lanes of four digits
  const uint64_t hundreds = (digits * 5243 >> 19) & 0x0000007F0000007Fu;    // n / 100 where n < 10,000
  digits = hundreds | (digits - hundreds * 100) << 16;                      // four lanes of two
  const uint64_t tens = (digits * 103 >> 10) & 0x000F000F000F000Fu;         // n / 10 where n < 100
  digits = tens | (digits - tens * 10) << 8;                                // eight of one, the highest first
  const int zeros = std::countr_zero(digits | uint64_t{1} << 56) / 8;
  digits = (digits + 0x3030303030303030u) >> (8 * zeros);
  std::memcpy(at, &digits, sizeof digits);
  return at + 8 - zeros;
}

/// `{"id":…,"ids":[…],"mask":[…]}`, or with "weights" where a weight is neither 0 nor 1. Written without JSON
/// values in between, and into memory that is kept from row to row, which would take longer than the
/// tokenizer.
std::string token_row(const TokenSequence& sequence) {
  constexpr size_t longest_id = 11, longest_mask = 2;  // with the comma
  const auto& weights = sequence.weights;
  const bool plain = std::all_of(weights.begin(), weights.end(), [](float w) { return w == 0 || w == 1; });
  const std::string head = "{\"id\":" + dump_json(Json(sequence.id)) + ",\"ids\":[";
  constexpr std::string_view between = "],\"mask\":[";
  const size_t room_needed =
      head.size() + between.size() + 2 + sequence.ids.size() * (longest_id + longest_mask);
  thread_local std::vector<char> room;
  if (room.size() < room_needed) room.resize(room_needed);
  char* at = std::copy(head.begin(), head.end(), room.data());
  for (const int32_t id : sequence.ids) {
    at = write_id(at, static_cast<uint32_t>(id));
    *at++ = ',';
  }
  if (!sequence.ids.empty()) --at;
  if (plain) {
    at = std::copy(between.begin(), between.end(), at);
    for (const float weight : weights) {
      std::memcpy(at, weight != 0 ? "1," : "0,", 2);
      at += 2;
    }
    if (!weights.empty()) --at;
    *at++ = ']';
    *at++ = '}';
    return {room.data(), at};
  }
  return std::string(room.data(), at) + "],\"weights\":" + dump_json(Json(weights)) + '}';
}

void to_tokens(const Example& example, const ConvertOptions& options, Verdict& verdict) {
  const TokenizeOptions tokenize = options_of_rows(options.tokenize);
  for (const Example& row : supervised_rows(example, options.tokenize)) {
    bool truncated = false;
    const auto sequence =
        tokenize_sequence(row, *options.tokenizer, options.chat, tokenize, verdict.reason, truncated);
    if (sequence) verdict.rows.push_back(token_row(*sequence));
  }
  verdict.drop = verdict.rows.empty();
}

void to_format(const Example& example, const ConvertOptions& options, Verdict& verdict) {
  if (options.to == Format::judged) {
    for (const auto& judged : as_judged(example))
      verdict.rows.push_back(dump_json(example_to_row(judged, options.to)));
  } else if (options.to == Format::pair) {
    verdict.rows.push_back(dump_json(example_to_row(example, options.to)));
  } else if (const auto supervised = as_supervised(example)) {
    verdict.rows.push_back(dump_json(example_to_row(*supervised, options.to)));
  }
  if (!verdict.rows.empty()) return;
  verdict.drop = true;
  verdict.reason =
      example.kind == Example::Kind::judged ? "undesirable answer" : "nothing that the format can hold";
}

}  // namespace

PassReport convert_rows(const PassFiles& files, const ConvertOptions& options) {
  ColumnReport columns;
  std::mutex mutex;
  const auto judge = [&](Row& row, RowView& view, Verdict& verdict) {
    const OrderedJson value = view.value();
    RowUse use;
    const Example example = example_from_row(value, options.from, options.columns, row.where(), &use);
    {
      const std::lock_guard lock(mutex);
      columns.add(value, use);
    }
    verdict.id = example.id;
    options.tokenizer != nullptr ? to_tokens(example, options, verdict)
                                 : to_format(example, options, verdict);
  };
  auto report = run_pass("convert", files, judge, {}, ReadBy::judge,
                         {[&] { return packed_columns(columns); }, [&](std::string_view packed) { merge_columns(columns, packed); }});
  report.columns = std::move(columns);
  return report;
}

}  // namespace fettle::data
