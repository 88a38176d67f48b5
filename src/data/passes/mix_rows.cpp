#include "data/passes/mix_rows.h"

#include <numeric>

#include "base/input_fault.h"
#include "base/interrupt.h"
#include "base/progress.h"
#include "base/random.h"
#include "data/files/unread_input.h"
#include "data/files/writer.h"
#include "data/passes/waiting_rows.h"
#include "data/rows/share.h"

namespace fettle::data {
PassReport mix_rows(const PassFiles& files, const MixOptions& options) {
  if (options.sources.empty()) fail_usage("mix: no source was given");
  PassReport total;
  total.verb = "mix";
  total.files = files;
  WaitingRows waiting;
  std::vector<uint32_t> order;
  RowWriter writer(files.output);
  Progress progress("mix", 0, "rows");
  auto rejected = files.rejected.empty() ? std::make_unique<RejectedRows>()
                                         : std::make_unique<RejectedRows>(files.rejected);
  InputTally tally;
  for (const auto& [path, weight] : options.sources) {
    if (!(weight >= 0) || weight > 1000)
      fail_usage("mix: the weight of {} must lie in [0, 1000], got {}", path, weight);
    const auto inputs = tally.openable({path});
    if (inputs.empty()) continue;
    RowReader reader(inputs, *rejected);
    std::vector<Row> batch;
    int64_t in = 0, out = 0;
    RowView view;
    ReadRows rows;
    while (reader.next(batch)) {
      throw_if_interrupted();
      for (auto& row : batch) {
        ++in;
        try {
          view.open(row);
        } catch (const Error& error) {
          rethrow_unless_of_input(error);
          tally.broken(*row.file, error.what());
          rejected->add({*row.file, row.line, "not valid JSON", error.what(), "", std::move(row.text)});
          continue;
        }
        tally.read(*row.file);
        rows.add(view);
        const std::string own = view.id(), id = own.empty() ? row_id(row, view) : own;
        const int64_t count = copies_of(weight, id, options.seed);
        if (count > 0) {
          row.text = with_id(row, !own.empty(), id);
          for (int64_t i = 0; i < count; ++i) {
            options.shuffle ? order.push_back(static_cast<uint32_t>(waiting.size())) : writer.write_text(row.text);
          }
          if (options.shuffle) waiting.add(row);
        }
        out += count;
        if (count == 0) ++total.reasons["left out by the source's weight"];
      }
      progress.advance(batch.size());
    }
    total.columns.add(rows);
    if (in == 0 && reader.report().rejected > 0) tally.broken(path, "all of it is rejected");
    total.in += in + reader.report().rejected;
    for (const auto& file : reader.report().files) total.read.files.push_back(file);
    total.read.bytes += reader.report().bytes;
    total.read.rejected += reader.report().rejected;
    total.repaired += reader.report().repaired;
    for (const auto& [kind, count] : reader.report().formats) total.read.formats[kind] += count;
    total.more["sources"].push_back({{"path", path}, {"weight", weight}, {"in", in}, {"out", out}});
    total.out += out;
  }
  if (options.shuffle) {
    Random random(options.seed);
    shuffle(order, random);
    waiting.close();
    for (const uint32_t row : order) writer.write_text(waiting.row(row).text);
  }
  writer.commit();
  rejected->commit();
  if (const auto unread = tally.unread(); !unread.empty()) total.more["unread"] = to_json(unread);
  for (const auto& [reason, count] : rejected->by_reason()) total.reasons[reason] += count;
  return total;
}

}  // namespace fettle::data
