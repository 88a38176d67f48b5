#include "train/rows.h"

#include <algorithm>
#include <unordered_map>

#include "base/error.h"
#include "base/hash.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "base/progress.h"
#include "data/passes/show.h"

namespace fettle::train {
namespace {

/// Tokens behind the last supervised one change nothing.
void cut_unsupervised(TrainRow& row) {
  size_t end = row.weights.size();
  while (end > 1 && row.weights[end - 1] == 0.0F) --end;
  row.chosen.resize(end);
  row.weights.resize(end);
}

/// weight of a class = rows / rows of the class, on top of class_weights.
std::vector<double> balancing_factors(const data::TokenizedSet& set) {
  std::vector<double> factors;
  for (const int64_t rows : set.facts().class_rows) factors.push_back(static_cast<double>(set.size()) / static_cast<double>(rows));
  return factors;
}

/// Each sequence weighs the same, however many of its tokens are supervised.
void weigh_alike(TrainRow& row) {
  const auto supervised = static_cast<float>(std::max<int64_t>(1, row.supervised()));
  for (float& weight : row.weights) weight /= supervised;
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

void describe(const data::TokenFacts& from, TrainRows& to) {
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

OrderedJson to_json(const RowSums& sums) {
  auto lengths = OrderedJson::array();
  for (const auto& [length, rows] : sums.lengths) lengths.push_back({length, rows});
  return {{"tokens", sums.tokens},           {"supervised", sums.supervised},         {"longest", sums.longest},
          {"longest_prompt", sums.longest_prompt}, {"longest_chosen", sums.longest_chosen}, {"desirable", sums.desirable},
          {"largest_id", sums.largest_id},   {"hash", sums.hash},                     {"lengths", std::move(lengths)}};
}

RowSums sums_from_json(const OrderedJson& json) {
  RowSums sums;
  json.at("tokens").get_to(sums.tokens);
  json.at("supervised").get_to(sums.supervised);
  json.at("longest").get_to(sums.longest);
  json.at("longest_prompt").get_to(sums.longest_prompt);
  json.at("longest_chosen").get_to(sums.longest_chosen);
  json.at("desirable").get_to(sums.desirable);
  json.at("largest_id").get_to(sums.largest_id);
  json.at("hash").get_to(sums.hash);
  for (const auto& pair : json.at("lengths")) sums.lengths[pair.at(0).get<int64_t>()] = pair.at(1).get<int64_t>();
  return sums;
}

RowSums sum_up(const TrainRows& rows, int64_t split_length) {
  RowSums sums;
  Hasher hasher;
  hasher.add(rows.set->facts().hash).add_raw(&split_length, sizeof split_length);
  TrainRow before;
  Progress bar("counting", static_cast<uint64_t>(rows.size()), "rows");
  for (int64_t i = 0; i < rows.size(); ++i) {
    if (i % 1024 == 0) throw_if_interrupted();
    TrainRow row = rows.row(i);
    hasher.add_raw(row.weights.data(), row.weights.size() * sizeof(float));
    sums.tokens += row.tokens() - (i == 0 ? 0 : shared_tokens(before, row));
    sums.supervised += row.supervised();
    sums.longest = std::max(sums.longest, row.tokens());
    sums.longest_prompt = std::max(sums.longest_prompt, static_cast<int64_t>(row.prompt.size()));
    sums.longest_chosen = std::max(sums.longest_chosen, static_cast<int64_t>(row.chosen.size()));
    sums.desirable += row.desirable;
    for (const auto* ids : {&row.prompt, &row.chosen, &row.rejected}) {
      for (const int32_t id : *ids) sums.largest_id = std::max<int64_t>(sums.largest_id, id);
    }
    ++sums.lengths[static_cast<int64_t>(row.prompt.size() + std::max(row.chosen.size(), row.rejected.size()))];
    before = std::move(row);
    bar.advance();
  }
  sums.hash = hasher.hex();
  return sums;
}

/// From the note beside the tokens, or from the rows.
void find_sums(TrainRows& rows, int64_t split_length, bool balanced) {
  const std::string name = fmt::format("rows-{}{}{}-{}", static_cast<int>(rows.kind), balanced ? 'b' : '-', rows.per_sequence ? 's' : '-', split_length);
  if (const auto note = rows.set->note(name)) {
    rows.sums = sums_from_json(*note);
  } else {
    rows.sums = sum_up(rows, split_length);
    rows.set->keep_note(name, to_json(rows.sums));
  }
  rows.hash = rows.sums.hash;
}

std::shared_ptr<const data::TokenizedSet> open_set(const TrainConfig& config, RowKind kind, const std::vector<data::DataSource>& sources, const Tokenizer& tokenizer,
                                               const ChatTemplate* chat) {
  data::TokenSetOptions options{.tokenize = {.train_on = config.train_on,
                                             .truncate = config.truncate,
                                             .max_length = config.max_length,
                                             .raw = config.raw,
                                             .split_turns = config.split_turns,
                                             .variables = config.template_variables,
                                             .class_weights = config.class_weights},
                                .seed = config.seed,
                                .cache = {.folder = config.token_cache}};
  switch (kind) {
    case RowKind::texts: {
      options.tokenize.max_length = 0;
      options.piece_length = config.max_length;
      return data::text_set(sources, tokenizer, chat, options);
    }
    case RowKind::sequences: return data::sequence_set(sources, tokenizer, chat, options);
    case RowKind::pairs: return data::pair_set(sources, tokenizer, chat, options);
    case RowKind::judged: return data::judged_set(sources, tokenizer, chat, options);
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

TrainRow TrainRows::row(int64_t index) const {
  data::TokenRow from = set->row(index);
  TrainRow row{.id = std::move(from.id), .prompt = std::move(from.prompt), .chosen = std::move(from.chosen), .rejected = std::move(from.rejected), .weights = std::move(from.weights)};
  row.desirable = from.desirable;
  row.weight = static_cast<double>(from.weight);
  row.conversation = from.conversation;
  if (set->shape() != data::RowShape::sequence) return row;
  if (!class_factors.empty() && from.group >= 0) {
    for (float& weight : row.weights) weight = static_cast<float>(weight * class_factors[static_cast<size_t>(from.group)]);
  }
  if (per_sequence) weigh_alike(row);
  cut_unsupervised(row);
  return row;
}

std::vector<int64_t> TrainRows::conversation_starts() const {
  std::vector<int64_t> starts;
  if (!set || !set->facts().splits) return starts;
  for (int64_t i = 0; i < size(); ++i) {
    if (!set->continues(i)) starts.push_back(i);
  }
  return starts;
}

TrainRows load_rows(const TrainConfig& config, const Method& method,
                    const std::vector<data::DataSource>& sources, const Tokenizer& tokenizer,
                    const ChatTemplate* chat) {
  TrainRows rows{.kind = method.rows};
  rows.set = open_set(config, method.rows, sources, tokenizer, chat);
  if (method.rows != RowKind::texts) check_ends(rows.set->facts().report, config, tokenizer);
  const bool balanced = method.rows == RowKind::sequences && config.balance_classes;
  if (balanced) rows.class_factors = balancing_factors(*rows.set);
  rows.per_sequence = method.rows == RowKind::sequences && config.per_sequence_loss;
  describe(rows.set->facts(), rows);
  find_sums(rows, method.rows == RowKind::texts ? config.max_length : 0, balanced);
  warn_of_tools_not_written(config.raw ? nullptr : chat, rows);
  return rows;
}

void check_labels(const TrainRows& rows) {
  if (rows.kind != RowKind::judged) return;
  const int64_t wanted = rows.sums.desirable;
  if (wanted != 0 && wanted != rows.size()) return;
  fail("data", "all {} judged rows are {}; training on one label alone teaches the label, not the answers: add rows of the other",
       rows.size(), wanted == 0 ? "unwanted" : "wanted");
}

namespace {

std::string content_of(const TrainRow& row) {
  Hasher hasher;
  for (const auto* ids : {&row.prompt, &row.chosen, &row.rejected}) {
    const uint64_t size = ids->size();
    hasher.add_raw(&size, sizeof size).add_raw(ids->data(), size * sizeof(int32_t));
  }
  return hasher.hex();
}

/// Held-out rows that stand in `training`, which may be far more.
int64_t count_seen(const TrainRows& training, const TrainRows& held_out) {
  std::unordered_map<std::string, int64_t> wanted;
  for (int64_t i = 0; i < held_out.size(); ++i) ++wanted[content_of(held_out.row(i))];
  int64_t seen = 0;
  Progress bar("comparing with held-out rows", static_cast<uint64_t>(training.size()), "rows");
  for (int64_t i = 0; i < training.size() && !wanted.empty(); ++i) {
    if (i % 1024 == 0) throw_if_interrupted();
    if (const auto found = wanted.find(content_of(training.row(i))); found != wanted.end()) {
      seen += found->second;
      wanted.erase(found);
    }
    bar.advance();
  }
  return seen;
}

}  // namespace

void warn_of_seen_rows(const TrainRows& training, TrainRows& held_out) {
  if (held_out.size() == 0) return;
  const std::string name = fmt::format("seen-{}-{}", training.hash, held_out.hash);
  const auto note = held_out.set->note(name);
  const int64_t again = note ? note->at("rows").get<int64_t>() : count_seen(training, held_out);
  if (!note) held_out.set->keep_note(name, {{"rows", again}});
  held_out.report["seen_in_training"] = again;
  if (again == 0) return;
  const std::string warning = fmt::format("{} of {} held-out rows stand in the training data too: they do not tell how well the model does on new ones",
                                          again, held_out.size());
  log_warning("{}", warning);
  held_out.summary += "\nwarning: " + warning;
}

std::string show_row(const TrainRows& rows, int64_t index, const Tokenizer& tokenizer, bool colour) {
  const TrainRow row = rows.row(index);
  if (rows.kind == RowKind::pairs) {
    data::Pair pair;
    pair.prompt_ids = row.prompt;
    pair.chosen_ids = row.chosen;
    pair.rejected_ids = row.rejected;
    return data::show_tokens(pair, tokenizer, colour);
  }
  data::TokenSequence sequence;
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
    const TrainRow row = rows.row(index);
    totals.supervised_tokens += row.supervised();
    for (const float weight : row.weights) totals.token_weight += weight;
    totals.chosen_tokens +=
        static_cast<int64_t>(row.chosen.size() + (row.prompt.empty() ? 0 : row.prompt.size() - 1));
  }
  return totals;
}

}  // namespace fettle::train
