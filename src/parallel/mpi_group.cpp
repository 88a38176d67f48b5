#include "parallel/mpi_group.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "base/error.h"
#include "parallel/mpi_library.h"

namespace fettle::parallel {
namespace {

/// MPI counts in int; no call moves more than this to or from one rank.
constexpr int64_t most_bytes = int64_t{64} << 20;
/// Of a share of a sum: what a rank holds of all others at once is so much from each.
constexpr int64_t piece_bytes = int64_t{1} << 20;

std::string machine_name() {
  char name[256] = {};
  if (::gethostname(name, sizeof name - 1) != 0) return "?";
  return name;
}

class MpiGroup final : public ProcessGroup {
 public:
  explicit MpiGroup(const Launch& launch) : mpi_(mpi_library()) {
    int provided = 0;
    check(mpi_.init_thread(nullptr, nullptr, mpi_thread_funneled, &provided), "start");
    mpi_.comm_set_errhandler(mpi_.world, mpi_.errors_return);
    check(mpi_.comm_rank(mpi_.world, &rank_), "tell the rank");
    check(mpi_.comm_size(mpi_.world, &size_), "tell the number of ranks");
    if (size_ != launch.size) {
      mpi_.finalize();
      throw Error(Error::Kind::io, fmt::format("MPI: {} started {} ranks, and Open MPI sees {}: it is not the MPI of that {}; take Open MPI's "
                                               "own mpirun, or under Slurm `srun --mpi=pmix`",
                                               launch.by, launch.size, size_, launch.by));
    }
    machines_ = MpiGroup::all_gather(machine_name());
  }
  ~MpiGroup() override { mpi_.finalize(); }
  MpiGroup(const MpiGroup&) = delete;
  MpiGroup& operator=(const MpiGroup&) = delete;

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  int on_this_machine() const override {
    return static_cast<int>(std::count(machines_.begin(), machines_.end(), machines_[static_cast<size_t>(rank_)]));
  }
  bool leads_machine() const override {
    const auto first = std::find(machines_.begin(), machines_.end(), machines_[static_cast<size_t>(rank_)]);
    return first - machines_.begin() == rank_;
  }
  std::string name(int rank) const override {
    return fmt::format("rank {} of {} on {}", rank, size_, machines_[static_cast<size_t>(rank)]);
  }

  void barrier() override { check(mpi_.barrier(mpi_.world), "wait for the other ranks"); }

  void all_reduce(std::span<const FlatBuffer> buffers) override {
    for (const FlatBuffer& buffer : buffers) {
      const int64_t element = bytes_of(buffer.element), most = piece_bytes / element * size_;
      for (int64_t begin = 0; begin < buffer.count; begin += most)
        all_reduce_piece({bytes_at(buffer, begin), std::min(most, buffer.count - begin), buffer.element});
    }
  }

  void reduce_scatter(FlatBuffer from, FlatBuffer to) override {
    FETTLE_CHECK(from.count == to.count * size_ && from.element == to.element);
    const int64_t element = bytes_of(to.element), most = piece_bytes / element;
    std::vector<std::byte> send, got;
    for (int64_t begin = 0; begin < to.count; begin += most) {
      const int64_t count = std::min(most, to.count - begin);
      const auto bytes = static_cast<size_t>(count * element);
      send.resize(bytes * static_cast<size_t>(size_));
      for (int rank = 0; rank < size_; ++rank)
        std::memcpy(send.data() + static_cast<size_t>(rank) * bytes, bytes_at(from, rank * to.count + begin), bytes);
      exchange(send, got, bytes);
      sum_shares({bytes_at(to, begin), count, to.element}, got, bytes);
    }
  }

  void all_gather(FlatBuffer from, FlatBuffer to) override {
    FETTLE_CHECK(to.count == from.count * size_ && from.element == to.element);
    const int64_t element = bytes_of(to.element), most = piece_bytes / element;
    std::vector<std::byte> got;
    for (int64_t begin = 0; begin < from.count; begin += most) {
      const auto bytes = static_cast<size_t>(std::min(most, from.count - begin) * element);
      got.resize(bytes * static_cast<size_t>(size_));
      check(mpi_.allgather(bytes_at(from, begin), static_cast<int>(bytes), mpi_.byte, got.data(), static_cast<int>(bytes), mpi_.byte, mpi_.world),
            "gather");
      for (int rank = 0; rank < size_; ++rank)
        std::memcpy(bytes_at(to, rank * from.count + begin), got.data() + static_cast<size_t>(rank) * bytes, bytes);
    }
  }

  void broadcast(std::span<const FlatBuffer> buffers, int root) override {
    for (const FlatBuffer& buffer : buffers) {
      auto* at = static_cast<std::byte*>(buffer.data);
      for (int64_t begin = 0; begin < buffer.bytes(); begin += most_bytes)
        check(mpi_.bcast(at + begin, static_cast<int>(std::min(most_bytes, buffer.bytes() - begin)), mpi_.byte, root, mpi_.world), "broadcast");
    }
  }

  std::vector<std::string> gather(std::string_view bytes, int root) override { return gathered(bytes, root); }
  std::vector<std::string> all_gather(std::string_view bytes) override { return gathered(bytes, -1); }

  std::vector<std::string> all_to_all(std::vector<std::string> to) override {
    FETTLE_CHECK(to.size() == static_cast<size_t>(size_));
    std::vector<uint64_t> sizes(to.size()), coming(to.size());
    for (size_t rank = 0; rank < to.size(); ++rank) sizes[rank] = to[rank].size();
    check(mpi_.alltoall(sizes.data(), sizeof(uint64_t), mpi_.byte, coming.data(), sizeof(uint64_t), mpi_.byte, mpi_.world), "exchange sizes");
    std::vector<std::string> from(to.size());
    for (size_t rank = 0; rank < to.size(); ++rank) from[rank].reserve(coming[rank]);
    uint64_t largest = longest(std::max(*std::max_element(sizes.begin(), sizes.end()), *std::max_element(coming.begin(), coming.end())));
    const uint64_t most = share();
    for (uint64_t begin = 0; begin < largest; begin += most) exchange_round(to, from, sizes, coming, begin, most);
    return from;
  }

  [[noreturn]] void abort(int status) override {
    mpi_.abort(mpi_.world, status);
    std::_Exit(status);
  }

 private:
  static std::byte* bytes_at(FlatBuffer buffer, int64_t element) {
    return static_cast<std::byte*>(buffer.data) + element * bytes_of(buffer.element);
  }
  /// Of most_bytes, for each rank.
  uint64_t share() const { return std::max<uint64_t>(1, static_cast<uint64_t>(most_bytes) / static_cast<uint64_t>(size_)); }

  void check(int code, const char* what) const {
    if (code == 0) return;
    char text[mpi_most_error_text] = {};
    int length = 0;
    mpi_.error_string(code, text, &length);
    throw Error(Error::Kind::io, fmt::format("MPI: cannot {}: {}; is a rank gone, or the network down?", what, text));
  }

  /// `bytes` of `send` for each rank become `bytes` from each in `got`.
  void exchange(const std::vector<std::byte>& send, std::vector<std::byte>& got, size_t bytes) {
    got.resize(send.size());
    check(mpi_.alltoall(send.data(), static_cast<int>(bytes), mpi_.byte, got.data(), static_cast<int>(bytes), mpi_.byte, mpi_.world), "exchange");
  }

  void sum_shares(FlatBuffer to, const std::vector<std::byte>& got, size_t bytes) {
    std::vector<const std::byte*> parts;
    for (int rank = 0; rank < size_; ++rank) parts.push_back(got.data() + static_cast<size_t>(rank) * bytes);
    sum_in_order(to, parts);
  }

  /// Each rank sums a share and hands it to the others: what an optimiser with sharded states needs of it is the first half.
  void all_reduce_piece(FlatBuffer piece) {
    const int64_t share = (piece.count + size_ - 1) / size_;
    const auto bytes = static_cast<size_t>(share * bytes_of(piece.element)), all = bytes * static_cast<size_t>(size_);
    send_.assign(all, std::byte{0});
    std::memcpy(send_.data(), piece.data, static_cast<size_t>(piece.bytes()));
    exchange(send_, got_, bytes);
    std::vector<std::byte> mine(bytes);
    sum_shares({mine.data(), share, piece.element}, got_, bytes);
    check(mpi_.allgather(mine.data(), static_cast<int>(bytes), mpi_.byte, got_.data(), static_cast<int>(bytes), mpi_.byte, mpi_.world), "gather");
    std::memcpy(piece.data, got_.data(), static_cast<size_t>(piece.bytes()));
  }

  /// The greatest of all ranks' numbers.
  uint64_t longest(uint64_t mine) {
    std::vector<uint64_t> all(static_cast<size_t>(size_));
    check(mpi_.allgather(&mine, sizeof mine, mpi_.byte, all.data(), sizeof mine, mpi_.byte, mpi_.world), "gather sizes");
    return *std::max_element(all.begin(), all.end());
  }

  /// To one rank, or with root -1 to all.
  std::vector<std::string> gathered(std::string_view bytes, int root) {
    std::vector<uint64_t> sizes(static_cast<size_t>(size_));
    const uint64_t own = bytes.size();
    check(mpi_.allgather(&own, sizeof own, mpi_.byte, sizes.data(), sizeof own, mpi_.byte, mpi_.world), "gather sizes");
    const bool receives = root < 0 || root == rank_;
    std::vector<std::string> from(receives ? sizes.size() : 0);
    const uint64_t largest = *std::max_element(sizes.begin(), sizes.end()), most = share();
    std::vector<int> counts(sizes.size()), places(sizes.size());
    std::string room;
    for (uint64_t begin = 0; begin < largest; begin += most) {
      const size_t total = lay_out(sizes, begin, most, counts, places);
      if (receives) room.resize(total);
      const auto part = bytes.substr(std::min<uint64_t>(begin, own), most);
      const int code = root < 0 ? mpi_.allgatherv(part.data(), static_cast<int>(part.size()), mpi_.byte, room.data(), counts.data(), places.data(), mpi_.byte, mpi_.world)
                                : mpi_.gatherv(part.data(), static_cast<int>(part.size()), mpi_.byte, room.data(), counts.data(), places.data(), mpi_.byte, root, mpi_.world);
      check(code, "gather");
      for (size_t rank = 0; rank < from.size(); ++rank) from[rank].append(room, static_cast<size_t>(places[rank]), static_cast<size_t>(counts[rank]));
    }
    return from;
  }

  /// Bytes [begin, begin + most) of each, one behind the other; returns their sum.
  static size_t lay_out(const std::vector<uint64_t>& sizes, uint64_t begin, uint64_t most, std::vector<int>& counts, std::vector<int>& places) {
    size_t total = 0;
    for (size_t rank = 0; rank < sizes.size(); ++rank) {
      const uint64_t left = sizes[rank] > begin ? sizes[rank] - begin : 0;
      counts[rank] = static_cast<int>(std::min(left, most));
      places[rank] = static_cast<int>(total);
      total += static_cast<size_t>(counts[rank]);
    }
    return total;
  }

  void exchange_round(const std::vector<std::string>& to, std::vector<std::string>& from, const std::vector<uint64_t>& sizes,
                      const std::vector<uint64_t>& coming, uint64_t begin, uint64_t most) {
    std::vector<int> counts(to.size()), places(to.size()), from_counts(to.size()), from_places(to.size());
    std::string send(lay_out(sizes, begin, most, counts, places), '\0'), got(lay_out(coming, begin, most, from_counts, from_places), '\0');
    for (size_t rank = 0; rank < to.size(); ++rank)
      if (counts[rank] > 0) std::memcpy(send.data() + places[rank], to[rank].data() + begin, static_cast<size_t>(counts[rank]));
    check(mpi_.alltoallv(send.data(), counts.data(), places.data(), mpi_.byte, got.data(), from_counts.data(), from_places.data(), mpi_.byte, mpi_.world),
          "exchange");
    for (size_t rank = 0; rank < from.size(); ++rank)
      from[rank].append(got, static_cast<size_t>(from_places[rank]), static_cast<size_t>(from_counts[rank]));
  }

  const MpiLibrary& mpi_;
  int rank_ = 0, size_ = 1;
  std::vector<std::string> machines_;
  std::vector<std::byte> send_, got_;
};

}  // namespace

std::unique_ptr<ProcessGroup> make_mpi_group(const Launch& launch) {
  return std::make_unique<MpiGroup>(launch);
}

}  // namespace fettle::parallel
