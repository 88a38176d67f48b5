#pragma once
// Work that every rank does for itself and that may fail on some of them: what one rank meets, all throw, so that nobody waits
// for one that is gone.
#include <functional>
#include <string>
#include <vector>

#include "base/error.h"
#include "parallel/process_group.h"

namespace fettle::parallel {

/// An error that every member throws at the same place; rank 0 reports it.
class AgreedError : public Error {
 public:
  using Error::Error;
};

/// Runs `work` on every rank, and then tells all what each rank gave. When it threw on any of them, all throw AgreedError: the
/// first failing rank's message, with its name where rank 0 has met no error. `work` must not use the group. Alone: calls
/// `work` and lets its error through.
std::vector<std::string> together(ProcessGroup& group, const std::function<std::string()>& work);
/// The same without anything to tell.
void together_do(ProcessGroup& group, const std::function<void()>& work);
/// Whether any rank says so.
bool any(ProcessGroup& group, bool mine);
/// What rank 0 has, on every rank.
std::string from_leader(ProcessGroup& group, const std::string& mine);

}  // namespace fettle::parallel
