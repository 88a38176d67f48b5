#pragma once
// The processes that work on one thing together: MPI's, later NCCL's, and the empty group of one process, which costs nothing.
//
// Every member calls the same operations in the same order; none returns before what it gives is there. Sums are taken in the
// order of the ranks, so that they have the same bits on every rank and in every run, whatever the network does.
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace fettle::parallel {

enum class Element : uint8_t { f32, bf16, u8 };
int64_t bytes_of(Element element);

/// Elements that lie one behind another, in the memory that the group works on (the host's for MPI). Owned by the caller.
struct FlatBuffer {
  void* data = nullptr;
  int64_t count = 0;
  Element element = Element::f32;
  int64_t bytes() const { return count * bytes_of(element); }
};

/// One thread at a time. Throws Error(io) when the network fails; a member that dies ends the job (see world.h).
class ProcessGroup {
 public:
  virtual ~ProcessGroup() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;
  /// How many members run on this machine, and whether this is the first of them.
  virtual int on_this_machine() const = 0;
  virtual bool leads_machine() const = 0;
  /// "rank 1 of 4 on node7", for messages.
  virtual std::string name(int rank) const = 0;
  bool is_alone() const { return size() == 1; }
  /// Rank 0 writes outputs, shows progress and reports.
  bool leads() const { return rank() == 0; }

  virtual void barrier() = 0;
  /// Each buffer becomes the sum over all ranks. bf16 is added up in f32 and rounded once.
  virtual void all_reduce(std::span<const FlatBuffer> buffers) = 0;
  /// `from` holds size() shares of to.count elements; `to` becomes the sum of the shares of this rank's number.
  virtual void reduce_scatter(FlatBuffer from, FlatBuffer to) = 0;
  /// `to` holds size() shares of from.count elements, in the order of the ranks.
  virtual void all_gather(FlatBuffer from, FlatBuffer to) = 0;
  virtual void broadcast(std::span<const FlatBuffer> buffers, int root) = 0;

  /// Any number of bytes from each rank; empty on ranks other than `root`.
  virtual std::vector<std::string> gather(std::string_view bytes, int root) = 0;
  virtual std::vector<std::string> all_gather(std::string_view bytes) = 0;
  /// `to[r]` goes to rank r; what comes back is from rank r. `to` is given up.
  virtual std::vector<std::string> all_to_all(std::vector<std::string> to) = 0;

  /// Ends all members at once, with this exit status; for a member that cannot go on.
  [[noreturn]] virtual void abort(int status) = 0;
};

/// The group of this process alone. Thread-safe.
ProcessGroup& alone();

/// to[i] = parts[0][i] + parts[1][i] + …, in this order, in f32 for bf16 too. `to` may be one of the parts. u8 is an assertion.
void sum_in_order(FlatBuffer to, std::span<const std::byte* const> parts);

}  // namespace fettle::parallel
