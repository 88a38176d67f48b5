#include "train/rejected_file.h"

#include <sys/stat.h>

#include "base/open_file.h"
#include "data/rows/rejected.h"
#include "data/training/token_facts.h"

namespace fettle::train {
namespace {

/// What tells that a file is the one that was written for these sets.
std::optional<OrderedJson> identity(const fs::path& file, const TrainRows& rows, const TrainRows& eval) {
  struct stat state {};
  if (::stat(file.c_str(), &state) != 0) return std::nullopt;
  OrderedJson sets = OrderedJson::array();
  for (const TrainRows* of : {&rows, &eval}) {
    if (!of->set) continue;
    if (of->set->is_temporary()) return std::nullopt;
    sets.push_back(of->set->folder().filename().string());
  }
  return OrderedJson{{"sets", std::move(sets)}, {"bytes", state.st_size}, {"seconds", state.st_mtim.tv_sec}, {"nanoseconds", state.st_mtim.tv_nsec}};
}

}  // namespace

void write_rejected_rows(const TrainConfig& config, const TrainRows& rows, const TrainRows& eval) {
  const fs::path file = config.out / "rejected.jsonl", note = config.out / "state" / "rejected.json";
  if (const auto now = identity(file, rows, eval); now && data::read_checked(note) == now) return;
  data::RejectedRows rejected(file);
  rows.set->replay_rejected(config.data, rejected);
  if (eval.set) eval.set->replay_rejected(config.eval, rejected);
  rejected.commit();
  make_folders(note.parent_path());
  if (const auto written = identity(file, rows, eval)) data::write_checked(note, *written);
}

}  // namespace fettle::train
