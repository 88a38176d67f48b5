#include "data/passes/pass_block.h"

#include "base/error.h"
#include "base/ordered_json.h"
#include "parallel/packed.h"

namespace fettle::data {
namespace {

void put_verdict(parallel::Packer& to, const Verdict& verdict) {
  to.put_text(verdict.reason);
  to.put_text(verdict.detail);
  to.put_text(verdict.id);
  to.put(static_cast<uint32_t>(verdict.rows.size()));
  for (const auto& row : verdict.rows) to.put_text(row);
  to.put(verdict.drop);
  to.put(verdict.elsewhere);
  to.put(verdict.place);
  to.put(verdict.key);
}

Verdict get_verdict(parallel::Unpacker& from) {
  Verdict verdict;
  verdict.reason = from.get_text();
  verdict.detail = from.get_text();
  verdict.id = from.get_text();
  for (auto left = from.get<uint32_t>(); left > 0; --left) verdict.rows.push_back(from.get_text());
  verdict.drop = from.get<bool>();
  verdict.elsewhere = from.get<bool>();
  verdict.place = from.get<double>();
  verdict.key = from.get<TextKey>();
  return verdict;
}

}  // namespace

std::string PassBlock::packed() const {
  parallel::Packer to;
  to.put(static_cast<uint64_t>(rows.size()));
  for (size_t i = 0; i < rows.size(); ++i) {
    put_verdict(to, verdicts[i]);
    to.put(repaired[i]);
    to.put(read[i]);
  }
  return to.take();
}

std::string packed_columns(const ColumnReport& columns) {
  return dump_json(columns.counts());
}

void merge_columns(ColumnReport& to, std::string_view packed) {
  to.merge(ColumnReport::from_counts(parse_ordered_json(packed, "the columns that a rank counted")));
}

void PassBlock::unpack(std::string_view packed) {
  parallel::Unpacker from(packed);
  const auto count = from.get<uint64_t>();
  if (count != rows.size())
    throw Error(Error::Kind::io, fmt::format("a rank judged {} rows of a block of {}; do all ranks run the same version of fettle?", count, rows.size()));
  verdicts.clear();
  repaired.assign(rows.size(), 0);
  read.assign(rows.size(), 0);
  for (size_t i = 0; i < rows.size(); ++i) {
    verdicts.push_back(get_verdict(from));
    repaired[i] = from.get<uint8_t>();
    read[i] = from.get<uint8_t>();
  }
}

}  // namespace fettle::data
