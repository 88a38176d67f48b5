#include "parallel/dealing.h"

#include "base/hash.h"
#include "parallel/agree.h"
#include "parallel/packed.h"

namespace fettle::parallel {

void ReadingHash::add(std::string_view text) { value_ = hash64(text, value_); }

std::string packed_reading(const std::string& what, int64_t count, const ReadingHash& hash) {
  Packer to;
  to.put(count);
  to.put(hash.value());
  to.put_text(what);
  return to.take();
}

void check_equal_readings(const ProcessGroup& group, const std::vector<std::string>& readings) {
  for (size_t rank = 1; rank < readings.size(); ++rank) {
    Unpacker there(readings[rank]), here(readings[0]);
    const auto count_there = there.get<int64_t>(), count_here = here.get<int64_t>();
    const auto hash_there = there.get<uint64_t>(), hash_here = here.get<uint64_t>();
    if (count_there == count_here && hash_there == hash_here) continue;
    const std::string what_there = there.get_text(), what_here = here.get_text();
    const std::string difference = count_there == count_here ? std::string("other contents") : fmt::format("{} where rank 0 finds {}", count_there, count_here);
    throw AgreedError(Error::Kind::input, fmt::format("{}: {} finds {}; all ranks have to read the same files, from a folder that every machine "
                                                      "sees or from equal copies",
                                                      what_here.empty() ? what_there : what_here, group.name(static_cast<int>(rank)), difference));
  }
}

void check_same_reading(ProcessGroup& group, const std::string& what, int64_t count, const ReadingHash& hash) {
  if (!group.is_alone()) check_equal_readings(group, group.all_gather(packed_reading(what, count, hash)));
}

void in_row_order(ProcessGroup& group, const Dealing& dealing, int64_t rows, int64_t block, const std::function<std::string()>& next,
                  const std::function<void(std::string_view)>& take) {
  for (int64_t begin = 0; begin < rows;) {
    const int64_t end = std::min(rows, begin + block * group.size());
    Packer packer;
    for (int64_t row = begin; row < end; ++row)
      if (dealing.is_mine(row)) packer.put_text(next());
    const auto parts = group.gather(packer.bytes(), 0);
    if (group.leads()) {
      std::vector<Unpacker> from(parts.begin(), parts.end());
      for (int64_t row = begin; row < end; ++row) take(from[static_cast<size_t>(dealing.owner(row))].get_view());
    }
    begin = end;
  }
}

}  // namespace fettle::parallel
