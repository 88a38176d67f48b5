#include "parallel/agree.h"

#include <exception>

#include "parallel/packed.h"

namespace fettle::parallel {
namespace {

constexpr uint8_t went_well = 255;

struct Outcome {
  uint8_t kind = went_well;  ///< else Error::Kind
  std::string text;          ///< what the work gave, or the message
};

Outcome outcome_of(const std::function<std::string()>& work) {
  try {
    return {went_well, work()};
  } catch (const Error& error) {
    return {static_cast<uint8_t>(error.kind()), error.what()};
  } catch (const std::bad_alloc&) {
    return {static_cast<uint8_t>(Error::Kind::io), "out of memory"};
  } catch (const std::exception& error) {
    return {static_cast<uint8_t>(Error::Kind::io), error.what()};
  }
}

}  // namespace

std::vector<std::string> together(ProcessGroup& group, const std::function<std::string()>& work) {
  if (group.is_alone()) return {work()};
  const Outcome mine = outcome_of(work);
  Packer packer;
  packer.put(mine.kind);
  packer.put_text(mine.text);
  std::vector<std::string> given;
  const std::vector<std::string> all = group.all_gather(packer.bytes());
  for (size_t rank = 0; rank < all.size(); ++rank) {
    Unpacker from(all[rank]);
    const auto kind = from.get<uint8_t>();
    std::string text = from.get_text();
    if (kind != went_well)
      throw AgreedError(static_cast<Error::Kind>(kind), rank == 0 ? text : fmt::format("{}: {}", group.name(static_cast<int>(rank)), text));
    given.push_back(std::move(text));
  }
  return given;
}

void together_do(ProcessGroup& group, const std::function<void()>& work) {
  together(group, [&] {
    work();
    return std::string();
  });
}

bool any(ProcessGroup& group, bool mine) {
  if (group.is_alone()) return mine;
  bool found = false;
  for (const std::string& other : group.all_gather(std::string_view(mine ? "1" : "0", 1))) found = found || other == "1";
  return found;
}

std::string from_leader(ProcessGroup& group, const std::string& mine) {
  if (group.is_alone()) return mine;
  return group.all_gather(group.leads() ? std::string_view(mine) : std::string_view())[0];
}

}  // namespace fettle::parallel
