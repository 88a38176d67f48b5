#include "train/rows.h"

#include <algorithm>
#include <unordered_set>

#include "base/error.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/progress.h"
#include "data/passes/show.h"

namespace fettle::train {
namespace {

TrainRow make_row(data::Sequence&& from) {
  TrainRow row{.id = std::move(from.id), .chosen = std::move(from.ids), .weights = std::move(from.weights)};
  size_t end = row.weights.size();
  while (end > 1 && row.weights[end - 1] == 0.0F) --end;
  row.chosen.resize(end);
  row.weights.resize(end);
  row.conversation = from.conversation;
  return row;
}

TrainRow make_row(data::Pair&& from) {
  return {.id = std::move(from.id),
          .prompt = std::move(from.prompt_ids),
          .chosen = std::move(from.chosen_ids),
          .rejected = std::move(from.rejected_ids),
          .weight = static_cast<double>(from.weight)};
}

TrainRow make_row(data::Judged&& from) {
  return {.id = std::move(from.id),
          .prompt = std::move(from.prompt_ids),
          .chosen = std::move(from.completion_ids),
          .desirable = from.desirable,
          .weight = static_cast<double>(from.weight)};
}

/// Pieces of at most `length` tokens. Each piece but the first starts without context, so its first token is
/// no label.
void split_text(data::Sequence&& text, int64_t length, std::vector<TrainRow>& to) {
  for (int64_t begin = 0; begin < text.length(); begin += length) {
    const int64_t end = std::min(begin + length, text.length());
    if (end - begin < 2) break;
    data::Sequence piece{.id = text.id,
                         .ids = {text.ids.begin() + begin, text.ids.begin() + end},
                         .weights = {text.weights.begin() + begin, text.weights.begin() + end}};
    piece.weights[0] = 0.0F;
    to.push_back(make_row(std::move(piece)));
  }
}

/// weight of a class = rows / rows of the class, on top of class_weights.
void balance_classes(data::Tokenized<data::Sequence>& tokenized) {
  std::vector<int64_t> counts(tokenized.classes.size(), 0);
  for (const auto& row : tokenized.rows)
    if (row.group >= 0) ++counts[static_cast<size_t>(row.group)];
  for (auto& row : tokenized.rows) {
    if (row.group < 0) continue;
    const double factor = static_cast<double>(tokenized.rows.size()) /
                          static_cast<double>(counts[static_cast<size_t>(row.group)]);
    for (float& weight : row.weights) weight = static_cast<float>(weight * factor);
  }
}

/// Each sequence weighs the same, however many of its tokens are supervised.
void weight_per_sequence(data::Tokenized<data::Sequence>& tokenized) {
  for (auto& row : tokenized.rows) {
    const auto supervised = static_cast<float>(std::max<int64_t>(1, row.supervised()));
    for (float& weight : row.weights) weight /= supervised;
  }
}

std::string counts_text(const std::map<std::string, int64_t>& counts) {
  std::string text;
  for (const auto& [reason, count] : counts)
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", count, reason);
  return text;
}

/// What is learnt otherwise than a user may expect.
std::vector<std::string> answer_warnings(const data::TokenizeReport& report) {
  std::vector<std::string> notes;
  if (report.unserved > 0)
    notes.push_back(fmt::format(
        "{} of {} answers are learnt in a form that serving never asks for: the template writes their conversation "
        "otherwise once further turns follow (such as without their thoughts); split_turns: true makes a row of each answer, "
        "behind the history as serving renders it", report.unserved, report.answers));
  if (report.thoughtless > 0)
    notes.push_back(fmt::format(
        "{} answers have no thought, and the template opens one that cannot be switched off: they teach the model to close it "
        "at once", report.thoughtless));
  return notes;
}

/// A model that never learns to end a turn talks until its context is full.
void check_ends(const data::TokenizeReport& report, const TrainConfig& config, const Tokenizer& tokenizer) {
  if (report.ended > 0) return;
  if (config.raw && tokenizer.eos() < 0) {
    log_warning("the tokenizer has no end-of-sequence token: no row ends with one, and the model will not learn to stop");
    return;
  }
  fail("data", "not one of {} rows holds the end of a turn among what is learnt, so the model would never stop: {}", report.kept,
       report.truncated > 0 ? "rows are cut at max_length before they end; give a larger one, or truncate: keep_end"
       : config.raw         ? "no completion reaches its end-of-sequence token"
                            : "the chat template writes nothing behind an answer, or the answers' weights are 0");
}

template <typename T>
void describe(const data::Tokenized<T>& from, TrainRows& to) {
  const data::TokenizeReport& report = from.report;
  to.summary = fmt::format(
      "{} rows read from {}: {} kept, {} of them truncated; {} tokens, {} supervised, longest row {}",
      report.rows, fmt::join(from.read.files, ", "), report.kept, report.truncated,
      human_count(static_cast<double>(report.tokens)),
      human_count(static_cast<double>(report.supervised_tokens)), report.longest);
  if (!report.formats.empty()) to.summary += fmt::format("\nformat: {}", counts_text(report.formats));
  if (!report.dropped.empty()) to.summary += fmt::format("\ndropped: {}", counts_text(report.dropped));
  if (from.read.rejected > 0) to.summary += fmt::format("\nbroken rows: {}", from.read.rejected);
  if (const std::string columns = from.columns.to_text(); !columns.empty()) to.summary += "\n" + columns;
  auto warnings = from.columns.warnings();
  if (from.equal_answers > 0)
    warnings.push_back(fmt::format("{} pairs have the same chosen and rejected answer (in tokens): nothing is learnt from them", from.equal_answers));
  for (const auto& warning : warnings) {
    log_warning("{}", warning);
    to.summary += "\nwarning: " + warning;
  }
  for (const std::string& warning : answer_warnings(report)) {
    to.summary += "\n" + warning;
    log_warning("{}", warning);
  }
  if (report.thinking_off > 0)
    to.summary += fmt::format(
        "\n{} answers have no thought and the template opens one: they are learnt behind a prompt with thinking switched off",
        report.thinking_off);
  to.report["files"] = from.read.files;
  to.report["broken_rows"] = from.read.rejected;
  to.report["tokenized"] = OrderedJson::parse(data::to_json(report).dump());
  to.report["hash"] = from.hash;
  to.report["columns"] = from.columns.to_json();
  if (from.equal_answers > 0) to.report["equal_answers"] = from.equal_answers;
}

template <typename T>
TrainRows convert(data::Tokenized<T>&& tokenized, RowKind kind, int64_t split_length = 0) {
  TrainRows result{.kind = kind};
  describe(tokenized, result);
  result.rows.reserve(tokenized.rows.size());
  for (T& row : tokenized.rows) {
    if constexpr (std::is_same_v<T, data::Sequence>) {
      if (split_length > 0) {
        split_text(std::move(row), split_length, result.rows);
        continue;
      }
    }
    result.rows.push_back(make_row(std::move(row)));
  }
  Hasher hasher;
  hasher.add(tokenized.hash).add_raw(&split_length, sizeof split_length);
  for (const TrainRow& row : result.rows)
    hasher.add_raw(row.weights.data(), row.weights.size() * sizeof(float));
  result.hash = hasher.hex();
  return result;
}

TrainRows load_kind(const TrainConfig& config, const Method& method, const std::vector<data::DataSource>& sources, const Tokenizer& tokenizer,
                    const ChatTemplate* chat, data::RejectedRows& rejected) {
  data::TokenizeOptions options{.train_on = config.train_on,
                                .truncate = config.truncate,
                                .max_length = config.max_length,
                                .raw = config.raw,
                                .split_turns = config.split_turns,
                                .variables = config.template_variables,
                                .class_weights = config.class_weights};
  switch (method.rows) {
    case RowKind::texts: {
      options.max_length = 0;
      return convert(data::load_texts(sources, tokenizer, chat, options, config.seed, rejected), method.rows,
                     config.max_length);
    }
    case RowKind::sequences: {
      auto tokenized = data::load_sequences(sources, tokenizer, chat, options, config.seed, rejected);
      check_ends(tokenized.report, config, tokenizer);
      if (config.balance_classes) balance_classes(tokenized);
      if (config.per_sequence_loss) weight_per_sequence(tokenized);
      return convert(std::move(tokenized), method.rows);
    }
    case RowKind::pairs: {
      auto tokenized = data::load_pairs(sources, tokenizer, chat, options, config.seed, rejected);
      check_ends(tokenized.report, config, tokenizer);
      return convert(std::move(tokenized), method.rows);
    }
    case RowKind::judged: {
      auto tokenized = data::load_judged(sources, tokenizer, chat, options, config.seed, rejected);
      check_ends(tokenized.report, config, tokenizer);
      return convert(std::move(tokenized), method.rows);
    }
  }
  check_failed("a kind of rows", __FILE__, __LINE__);
}

/// Calls that a template cannot write are refused row by row; tools beside them are merely not shown to the model.
void warn_of_tools_not_written(const ChatTemplate* chat, TrainRows& rows) {
  if (chat != nullptr && chat->mentions("tools")) return;
  const auto& used = rows.report["columns"]["columns_used"];
  const int64_t count = used.value("tools", int64_t{0}) + used.value("functions", int64_t{0});
  if (count == 0) return;
  const std::string warning =
      fmt::format("{} rows have tools, which {}: the model learns without seeing them", count,
                  chat != nullptr ? "the chat template does not write" : "are left out without a chat template");
  log_warning("{}", warning);
  rows.summary += "\nwarning: " + warning;
}

}  // namespace

int64_t TrainRow::supervised() const {
  if (weights.empty()) return static_cast<int64_t>(chosen.size() + rejected.size());
  return static_cast<int64_t>(
      std::count_if(weights.begin(), weights.end(), [](float w) { return w != 0.0F; }));
}

int64_t shared_tokens(const TrainRow& earlier, const TrainRow& row) {
  if (row.conversation < 0 || row.conversation != earlier.conversation) return 0;
  return std::mismatch(earlier.chosen.begin(), earlier.chosen.end(), row.chosen.begin(), row.chosen.end()).first -
         earlier.chosen.begin();
}

std::vector<int64_t> TrainRows::conversation_starts() const {
  std::vector<int64_t> starts;
  for (size_t i = 0; i < rows.size(); ++i) {
    if (i == 0 || rows[i].conversation < 0 || rows[i].conversation != rows[i - 1].conversation)
      starts.push_back(static_cast<int64_t>(i));
  }
  return starts.size() == rows.size() ? std::vector<int64_t>{} : starts;
}

int64_t TrainRows::tokens() const {
  int64_t total = 0;
  for (size_t i = 0; i < rows.size(); ++i) total += rows[i].tokens() - (i == 0 ? 0 : shared_tokens(rows[i - 1], rows[i]));
  return total;
}

int64_t TrainRows::supervised() const {
  int64_t total = 0;
  for (const TrainRow& row : rows) total += row.supervised();
  return total;
}

int64_t TrainRows::longest() const {
  int64_t longest = 0;
  for (const TrainRow& row : rows) longest = std::max(longest, row.tokens());
  return longest;
}

TrainRows load_rows(const TrainConfig& config, const Method& method,
                    const std::vector<data::DataSource>& sources, const Tokenizer& tokenizer,
                    const ChatTemplate* chat, data::RejectedRows& rejected) {
  TrainRows rows = load_kind(config, method, sources, tokenizer, chat, rejected);
  warn_of_tools_not_written(config.raw ? nullptr : chat, rows);
  return rows;
}

void check_labels(const TrainRows& rows) {
  if (rows.kind != RowKind::judged) return;
  const auto wanted = std::count_if(rows.rows.begin(), rows.rows.end(), [](const TrainRow& row) { return row.desirable; });
  if (wanted != 0 && wanted != rows.size()) return;
  fail("data", "all {} judged rows are {}; training on one label alone teaches the label, not the answers: add rows of the other",
       rows.size(), wanted == 0 ? "unwanted" : "wanted");
}

void warn_of_seen_rows(const TrainRows& training, TrainRows& held_out) {
  if (held_out.size() == 0) return;
  const auto key = [](const TrainRow& row) {
    Hasher hasher;
    for (const auto* ids : {&row.prompt, &row.chosen, &row.rejected}) {
      const uint64_t size = ids->size();
      hasher.add_raw(&size, sizeof size).add_raw(ids->data(), size * sizeof(int32_t));
    }
    return hasher.hex();
  };
  std::unordered_set<std::string> seen;
  for (const TrainRow& row : training.rows) seen.insert(key(row));
  const auto again = std::count_if(held_out.rows.begin(), held_out.rows.end(), [&](const TrainRow& row) { return seen.contains(key(row)); });
  held_out.report["seen_in_training"] = again;
  if (again == 0) return;
  const std::string warning = fmt::format("{} of {} held-out rows stand in the training data too: they do not tell how well the model does on new ones",
                                          again, held_out.size());
  log_warning("{}", warning);
  held_out.summary += "\nwarning: " + warning;
}

std::string show_row(const TrainRows& rows, int64_t index, const Tokenizer& tokenizer, bool colour) {
  const TrainRow& row = rows.rows[static_cast<size_t>(index)];
  if (rows.kind == RowKind::pairs) {
    data::Pair pair;
    pair.prompt_ids = row.prompt;
    pair.chosen_ids = row.chosen;
    pair.rejected_ids = row.rejected;
    return data::show_tokens(pair, tokenizer, colour);
  }
  data::Sequence sequence;
  sequence.ids = row.prompt;
  sequence.weights.assign(row.prompt.size(), 0.0F);
  sequence.ids.insert(sequence.ids.end(), row.chosen.begin(), row.chosen.end());
  if (row.weights.empty()) {
    sequence.weights.resize(sequence.ids.size(), 1.0F);
  } else {
    sequence.weights.insert(sequence.weights.end(), row.weights.begin(), row.weights.end());
  }
  return data::show_tokens(sequence, tokenizer, colour);
}

StepTotals step_totals(const TrainRows& rows, std::span<const int64_t> indices) {
  StepTotals totals{.rows = static_cast<int64_t>(indices.size())};
  for (const int64_t index : indices) {
    const TrainRow& row = rows.rows[static_cast<size_t>(index)];
    totals.supervised_tokens += row.supervised();
    for (const float weight : row.weights) totals.token_weight += weight;
    totals.chosen_tokens +=
        static_cast<int64_t>(row.chosen.size() + (row.prompt.empty() ? 0 : row.prompt.size() - 1));
  }
  return totals;
}

}  // namespace fettle::train
