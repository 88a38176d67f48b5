#include "base/random.h"
#include "data/share.h"
#include "data/verbs.h"

namespace fettle::data {
PassReport mix_rows(const PassFiles& files, const MixOptions& options) {
  if (options.sources.empty()) fail_usage("mix: no source was given");
  PassReport total;
  total.verb = "mix";
  total.files = files;
  std::vector<std::string> rows;
  auto rejected = files.rejected.empty() ? std::make_unique<RejectedRows>()
                                         : std::make_unique<RejectedRows>(files.rejected);
  for (const auto& [path, weight] : options.sources) {
    if (!(weight >= 0) || weight > 1000)
      fail_usage("mix: the weight of {} must lie in [0, 1000], got {}", path, weight);
    RowReader reader({path}, *rejected);
    std::vector<Row> batch;
    int64_t in = 0, out = 0;
    RowView view;
    while (reader.next(batch)) {
      for (auto& row : batch) {
        ++in;
        try {
          view.open(row);
        } catch (const Error& error) {
          rejected->add({*row.file, row.line, "not valid JSON", error.what(), "", std::move(row.text)});
          continue;
        }
        const std::string own = view.id(), id = own.empty() ? row_id(row, view) : own;
        const int64_t count = copies_of(weight, id, options.seed);
        for (int64_t i = 0; i < count; ++i) rows.push_back(with_id(row, !own.empty(), id));
        out += count;
        if (count == 0) ++total.reasons["left out by the source's weight"];
      }
    }
    total.in += in + reader.report().rejected;
    for (const auto& file : reader.report().files) total.read.files.push_back(file);
    total.read.bytes += reader.report().bytes;
    total.more["sources"].push_back({{"path", path}, {"weight", weight}, {"in", in}, {"out", out}});
  }
  if (options.shuffle) {
    Random random(options.seed);
    shuffle(rows, random);
  }
  RowWriter writer(files.output);
  for (const auto& row : rows) writer.write_text(row);
  writer.commit();
  rejected->commit();
  total.out = static_cast<int64_t>(rows.size());
  for (const auto& [reason, count] : rejected->by_reason()) total.reasons[reason] += count;
  return total;
}

}  // namespace fettle::data
