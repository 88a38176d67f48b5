#include "data/passes/rows_read.h"

#include "base/threads.h"
#include "parallel/agree.h"
#include "parallel/packed.h"

namespace fettle::data {

void RowsRead::add(const std::vector<Row>& batch) {
  for (const Row& row : batch) hash.add(row.text);
  rows += static_cast<int64_t>(batch.size());
  if (!batch.empty()) file = *batch.back().file;
}

void RowsRead::add(std::string_view text, const std::string& from) {
  hash.add(text);
  ++rows;
  file = from;
}

void agree_on_rows(parallel::ProcessGroup& group, const std::function<void(RowsRead&)>& work) {
  RowsRead read;
  if (group.is_alone()) return work(read);
  const auto all = parallel::together(group, [&] {
    work(read);
    return parallel::packed_reading(read.file, read.rows, read.hash);
  });
  parallel::check_equal_readings(group, all);
}

uint64_t common_batch_bytes(parallel::ProcessGroup& group, uint64_t bytes_of_a_thread) {
  parallel::Packer to;
  to.put(bytes_of_a_thread * static_cast<uint64_t>(threads()));
  return parallel::Unpacker(parallel::from_leader(group, to.bytes())).get<uint64_t>();
}

}  // namespace fettle::data
