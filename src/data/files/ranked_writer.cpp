#include "data/files/ranked_writer.h"

#include "base/error.h"
#include "base/hash.h"
#include "data/files/paths.h"
#include "parallel/agree.h"

namespace fettle::data {

RankedWriter::RankedWriter(parallel::ProcessGroup& group, const fs::path& path, int64_t block) : group_(group), dealing_(group, block), block_(block) {
  if (group.leads()) writer_.emplace(path);
  if (group.is_alone()) return;
  folder_.emplace();
  waiting_.emplace(folder_->path() / "rows");
}

void RankedWriter::write_text(std::string_view json_text) {
  if (!waiting_) return writer_->write_text(json_text);
  const uint64_t size = json_text.size();
  waiting_->write(&size, sizeof size);
  waiting_->write(json_text.data(), json_text.size());
}

std::string RankedWriter::next_text() {
  uint64_t size = 0;
  const auto read = [&](void* to, size_t bytes) {
    for (size_t got = 0; got < bytes;) {
      const size_t more = waiting_->read(static_cast<char*>(to) + got, bytes - got);
      if (more == 0) throw Error(Error::Kind::io, fmt::format("{}: ends before the rows that were written to it", waiting_->path().string()));
      got += more;
    }
  };
  read(&size, sizeof size);
  std::string text(size, '\0');
  read(text.data(), text.size());
  return text;
}

void RankedWriter::commit(int64_t rows) {
  if (waiting_) {
    waiting_->close();
    parallel::in_row_order(group_, dealing_, rows, 16 * block_, [&] { return next_text(); },
                           [&](std::string_view text) { writer_->write_text(text); });
  }
  parallel::together_do(group_, [&] {
    if (writer_) writer_->commit();
  });
}

void check_same_files(parallel::ProcessGroup& group, const std::vector<std::string>& paths) {
  if (group.is_alone()) return;
  parallel::check_equal_readings(group, parallel::together(group, [&] {
                                   parallel::ReadingHash hash;
                                   const auto files = expand_paths(paths);
                                   for (const auto& file : files) hash.add(hash_path(file));
                                   return parallel::packed_reading(files.empty() ? std::string() : files.front(), static_cast<int64_t>(files.size()), hash);
                                 }));
}

}  // namespace fettle::data
