#include <algorithm>
#include <functional>
#include <span>

#include "base/input_fault.h"
#include "base/interrupt.h"
#include "base/progress.h"
#include "base/python_random.h"
#include "base/threads.h"
#include "data/files/paths.h"
#include "data/openchat/openchat.h"
#include "data/parquet/writer.h"
#include "data/passes/waiting_rows.h"
#include "text/unicode/unicode.h"

namespace fettle::data {
namespace {

/// One output of a split: takes the samples in order.
class SampleWriter {
 public:
  virtual ~SampleWriter() = default;
  virtual void add(const OpenChatSample& sample, const std::string& text) = 0;
  virtual void commit() = 0;
};

/// As Python's json module writes it: ", " between items, everything beyond ASCII escaped.
class JsonSamples final : public SampleWriter {
 public:
  JsonSamples(const fs::path& folder, const std::string& name, bool with_group)
      : samples_(folder / (name + ".json")), texts_(folder / (name + ".text.json")), with_group_(with_group) {
    samples_.write("[");
    texts_.write("[");
  }
  void add(const OpenChatSample& sample, const std::string& text) override {
    std::string line = count_ > 0 ? ", [[" : "[[";
    for (size_t i = 0; i < sample.ids.size(); ++i) line += (i > 0 ? ", " : "") + std::to_string(sample.ids[i]);
    line += "], [";
    for (size_t i = 0; i < sample.weights.size(); ++i) {
      line += i > 0 ? ", " : "";
      line += sample.weights[i] != 0 ? "true" : "false";
    }
    line += with_group_ ? "], " + std::to_string(sample.group) + "]" : "]]";
    samples_.write(line);
    const std::string fixed = unicode::lossy(text);
    texts_.write((count_ > 0 ? ",\n\t" : "\n\t") + Json(fixed).dump(-1, ' ', true));
    ++count_;
  }
  void commit() override {
    samples_.write("]");
    texts_.write(count_ > 0 ? "\n]" : "]");
    samples_.commit();
    texts_.commit();
  }

 private:
  AtomicFile samples_, texts_;
  bool with_group_;
  int64_t count_ = 0;
};

void put_list(ParquetWriter& writer, size_t leaf, size_t count, const std::function<void(size_t, int)>& put) {
  if (count == 0) writer.put_null(leaf, 0, 1);
  for (size_t i = 0; i < count; ++i) put(i, i > 0);
}

ColumnType list_of(const std::string& name, ColumnType::Kind kind) {
  return {ColumnType::list, name, {{kind, "", {}}}};
}

/// v3.1: each class has its own columns of tokens and masks; rarer classes weigh more.
class GroupedSamples final : public SampleWriter {
 public:
  /// `counts`: samples of each class.
  GroupedSamples(const fs::path& path, const OpenChatType& type, const std::vector<int64_t>& counts) {
    int64_t all = 0;
    for (const int64_t count : counts) all += count;
    std::string list;
    std::vector<ColumnType> columns{{ColumnType::int32, "total_length", {}}, {ColumnType::int32, "num_seqs", {}}};
    for (size_t group = 0; group < counts.size(); ++group) {
      const double weight = counts[group] > 0 ? static_cast<double>(all) / static_cast<double>(counts[group]) : 0;
      weights_.push_back(weight);
      list += (group > 0 ? "," : "") + (weight > 0 ? Json(weight).dump() : "0");
      columns.push_back(list_of(std::to_string(group) + "_tokens", ColumnType::int32));
      columns.push_back(list_of(std::to_string(group) + "_masks", ColumnType::boolean));
    }
    columns.push_back({ColumnType::float32, "total_loss_weight", {}});
    const std::string metadata = fmt::format(R"({{"model_type":"{}","group_loss_weights":[{}],"num_groups":{}}})",
                                             type.name, list, counts.size());
    writer_ = std::make_unique<ParquetWriter>(path, std::move(columns),
                                              std::vector<std::pair<std::string, std::string>>{{"metadata_json", metadata}});
  }
  void add(const OpenChatSample& sample, const std::string&) override {
    auto& out = *writer_;
    out.put_integer(0, 0, static_cast<int64_t>(sample.ids.size()));
    out.put_integer(1, 0, 1);
    for (size_t group = 0; group < weights_.size(); ++group) {
      const size_t count = group == static_cast<size_t>(sample.group) ? sample.ids.size() : 0, leaf = 2 + 2 * group;
      put_list(out, leaf, count, [&](size_t i, int repeats) { out.put_integer(leaf, repeats, sample.ids[i]); });
      put_list(out, leaf + 1, count,
               [&](size_t i, int repeats) { out.put_integer(leaf + 1, repeats, sample.weights[i] != 0); });
    }
    out.put_real(2 + 2 * weights_.size(), 0, weights_[static_cast<size_t>(sample.group)]);
    out.end_row();
  }
  void commit() override { writer_->commit(); }

 private:
  std::vector<double> weights_;
  std::unique_ptr<ParquetWriter> writer_;
};

/// 3.2-super and later: labels and weights shifted by one, ready for training.
class ShiftedSamples final : public SampleWriter {
 public:
  ShiftedSamples(const fs::path& path, const OpenChatType& type, int64_t ignored)
      : writer_(path,
                {{ColumnType::int32, "total_length", {}},
                 {ColumnType::float32, "num_seqs", {}},
                 list_of("seqlens", ColumnType::int32),
                 list_of("nz_input_ids", ColumnType::int32),
                 list_of("nz_position_ids", ColumnType::int32),
                 list_of("nz_shifted_label_ids", ColumnType::int32),
                 list_of("nz_shifted_loss_weights", ColumnType::float32)},
                {{"metadata_json", fmt::format(R"({{"model_type":"{}"}})", type.name)}}),
        ignored_(ignored) {}
  void add(const OpenChatSample& sample, const std::string&) override {
    const auto& ids = sample.ids;
    const size_t length = ids.size();
    const auto next_weight = [&](size_t i) { return i + 1 < length ? sample.weights[i + 1] : 0.0; };
    double sum = 0;
    for (size_t i = 0; i < length; ++i) sum += next_weight(i);
    writer_.put_integer(0, 0, static_cast<int64_t>(length));
    writer_.put_real(1, 0, sum);
    writer_.put_integer(2, 0, static_cast<int64_t>(length));
    for (size_t i = 0; i < length; ++i) {
      writer_.put_integer(3, i > 0, ids[i]);
      writer_.put_integer(4, i > 0, static_cast<int64_t>(i));
      writer_.put_integer(5, i > 0, next_weight(i) != 0 ? ids[i + 1] : ignored_);
      writer_.put_real(6, i > 0, next_weight(i));
    }
    writer_.end_row();
  }
  void commit() override { writer_.commit(); }

 private:
  ParquetWriter writer_;
  int64_t ignored_;
};

/// Cuts what follows the last learnt token (v3.5); false when nothing is left.
bool trim_unlearnt_end(OpenChatSample& sample) {
  while (!sample.weights.empty() && sample.weights.back() == 0) sample.weights.pop_back();
  sample.ids.resize(sample.weights.size());
  return !sample.ids.empty();
}

class Conversion {
 public:
  Conversion(const PassFiles& files, const OpenChatOptions& options)
      : options_(options),
        template_(options),
        rejected_(files.rejected.empty() ? std::make_unique<RejectedRows>() : std::make_unique<RejectedRows>(files.rejected)),
        progress_("convert", 0, "rows") {
    report_.verb = "convert";
    report_.files = files;
  }

  PassReport run() {
    const auto& files = report_.files;
    OrderedJson parts = OrderedJson::object();
    if (options_.files == OpenChatRelease::v3_5) {
      const auto epochs = expand_paths(files.inputs);
      for (size_t epoch = 0; epoch < epochs.size(); ++epoch) {
        convert({epochs[epoch]}, options_.seed + epoch, {{std::to_string(epoch), 0, true}}, parts);
      }
    } else {
      convert(files.inputs, options_.seed, {}, parts);
    }
    rejected_->commit();
    report_.reasons = rejected_->by_reason();
    report_.more["parts"] = parts;
    report_.more["truncated"] = truncated_;
    report_.more["tokens"] = tokens_;
    report_.more["supervised_tokens"] = supervised_;
    report_.more["end_of_turn"] = template_.end_of_turn();
    return std::move(report_);
  }

 private:
  struct Part {
    std::string name;
    size_t begin;
    bool always;  ///< written even when it is empty
  };
  using Take = std::function<void(OpenChatSample&, const std::string& text)>;

  void convert(const std::vector<std::string>& inputs, uint64_t seed, std::vector<Part> parts, OrderedJson& written) {
    WaitingRows rows;
    RowReader reader(inputs, *rejected_);
    std::vector<Row> batch;
    while (reader.next(batch)) {
      throw_if_interrupted();
      for (const auto& row : batch) rows.add(row);
    }
    rows.close();
    add_read(reader.report());
    std::vector<uint32_t> order(rows.size());
    for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<uint32_t>(i);
    PythonRandom(seed).shuffle(order);
    const auto held = static_cast<size_t>(options_.eval_ratio * static_cast<double>(order.size()));
    if (parts.empty()) {
      const bool json = options_.files == OpenChatRelease::v1 || options_.files == OpenChatRelease::v2;
      parts = {{"train", held, true}, {"eval", 0, json}};
    }
    for (const auto& part : parts) {
      const size_t end = part.name == "eval" ? held : order.size();
      if (end == part.begin && !part.always) continue;
      write_part(part, rows, std::span(order).subspan(part.begin, end - part.begin), written);
    }
  }

  void add_read(const ReadReport& read) {
    report_.in += read.rows + read.rejected;
    report_.repaired += read.repaired;
    report_.read.bytes += read.bytes;
    report_.read.files.insert(report_.read.files.end(), read.files.begin(), read.files.end());
    for (const auto& [kind, count] : read.formats) report_.read.formats[kind] += count;
  }

  void write_part(const Part& part, const WaitingRows& rows, std::span<const uint32_t> order, OrderedJson& written) {
    std::vector<int64_t> counts(options_.type->has_groups ? 2 : 1, 0);
    if (options_.files == OpenChatRelease::v3_1) {  // a class's weight depends on how often it comes
      each(rows, order, true, [&](OpenChatSample& sample, const std::string&) {
        ++counts[static_cast<size_t>(sample.group)];
      });
    }
    const auto writer = writer_for(part.name, counts);
    int64_t count = 0;
    each(rows, order, false, [&](OpenChatSample& sample, const std::string& text) {
      writer->add(sample, text);
      ++count;
      truncated_ += sample.truncated;
      tokens_ += static_cast<int64_t>(sample.ids.size());
      supervised_ += std::count_if(sample.weights.begin(), sample.weights.end(), [](double w) { return w != 0; });
    });
    writer->commit();
    report_.out += count;
    written[part.name] = count;
  }

  std::unique_ptr<SampleWriter> writer_for(const std::string& part, const std::vector<int64_t>& counts) const {
    const auto& type = *options_.type;
    const fs::path& output = report_.files.output;
    const fs::path parquet = output.string() + "." + part + ".parquet";
    switch (options_.files) {
      case OpenChatRelease::v3_1:
        return std::make_unique<GroupedSamples>(parquet, type, counts);
      case OpenChatRelease::v3_2:
        return std::make_unique<ShiftedSamples>(parquet, type, -100);
      case OpenChatRelease::v3_5:
        return std::make_unique<ShiftedSamples>(parquet, type, 0);
      case OpenChatRelease::v1:
      case OpenChatRelease::v2:
        break;
    }
    fs::create_directories(output);
    return std::make_unique<JsonSamples>(output, type.name + "." + part, options_.files == OpenChatRelease::v2);
  }

  /// Every usable sample in order. `quiet`: a first look that records nothing.
  void each(const WaitingRows& rows, std::span<const uint32_t> order, bool quiet, const Take& take) {
    constexpr size_t at_once = 256;
    const bool json = options_.files == OpenChatRelease::v1 || options_.files == OpenChatRelease::v2;
    for (size_t from = 0; from < order.size(); from += at_once) {
      throw_if_interrupted();
      const size_t count = std::min(at_once, order.size() - from);
      std::vector<OpenChatSample> samples(count);
      std::vector<std::string> texts(count), problems(count);
      parallel_for(static_cast<int64_t>(count), 4, [&](int64_t begin, int64_t end) {
        for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i) {
          const Row row = rows.row(order[from + i]);
          try {
            samples[i] = template_.encode(parse_row(row), row.where());
            if (json && !quiet) texts[i] = template_.decode(samples[i].ids);
          } catch (const Error& error) {
            rethrow_unless_of_input(error);
            problems[i] = error.what();
          }
        }
      });
      for (size_t i = 0; i < count; ++i) {
        const char* reason = !problems[i].empty() ? "does not fit its format" : useless(samples[i]);
        if (reason == nullptr) {
          take(samples[i], texts[i]);
        } else if (!quiet) {
          Row row = rows.row(order[from + i]);
          rejected_->add({*row.file, row.line, reason, problems[i], "", std::move(row.text)});
        }
      }
      if (!quiet) progress_.advance(count);
    }
  }

  const char* useless(OpenChatSample& sample) const {
    if (options_.files == OpenChatRelease::v3_5) {
      return trim_unlearnt_end(sample) ? nullptr : "nothing supervised";
    }
    const bool kept_always = options_.files == OpenChatRelease::v1 || options_.files == OpenChatRelease::v2;
    return kept_always || sample.supervised() ? nullptr : "nothing supervised after truncation";
  }

  const OpenChatOptions& options_;
  OpenChatRows template_;
  PassReport report_;
  std::unique_ptr<RejectedRows> rejected_;
  Progress progress_;
  int64_t truncated_ = 0, tokens_ = 0, supervised_ = 0;
};

}  // namespace

PassReport convert_openchat(const PassFiles& files, const OpenChatOptions& options) {
  if (files.output == "-") fail_usage("convert: OpenChat's files need --output, a folder or the beginning of a path");
  if (!(options.eval_ratio >= 0) || options.eval_ratio >= 1)
    fail_usage("convert: the eval ratio must lie in [0, 1), got {}", options.eval_ratio);
  return Conversion(files, options).run();
}

}  // namespace fettle::data
