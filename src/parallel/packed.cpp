#include "parallel/packed.h"

#include "base/error.h"

namespace fettle::parallel {

std::string_view Unpacker::take(uint64_t size) {
  if (size > bytes_.size())
    throw Error(Error::Kind::io, "MPI: a message between ranks is shorter than it says; do all ranks run the same version of fettle?");
  const std::string_view taken = bytes_.substr(0, size);
  bytes_.remove_prefix(size);
  return taken;
}

void put_counts(Packer& to, const std::map<std::string, int64_t>& counts) {
  to.put(static_cast<uint64_t>(counts.size()));
  for (const auto& [name, count] : counts) {
    to.put_text(name);
    to.put(count);
  }
}

std::map<std::string, int64_t> get_counts(Unpacker& from) {
  std::map<std::string, int64_t> counts;
  for (auto left = from.get<uint64_t>(); left > 0; --left) {
    std::string name = from.get_text();
    counts[std::move(name)] = from.get<int64_t>();
  }
  return counts;
}

}  // namespace fettle::parallel
