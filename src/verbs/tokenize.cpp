#include <mutex>
#include <optional>

#include "base/input_fault.h"
#include "base/log.h"
#include "base/progress.h"
#include "base/threads.h"
#include "checkpoint/load_tokenizer.h"
#include "data/files/reader.h"
#include "data/files/writer.h"
#include "data/rows/column_report.h"
#include "data/rows/example.h"
#include "text/chat/chat_template.h"
#include "text/chat/turns.h"
#include "verbs/model_argument.h"
#include "verbs/verb.h"

namespace fettle::verbs {
namespace {

struct TokenizeRows {
  std::string model, tokenizer, input = "-", output = "-", chat_template;
  bool decode = false, parse_special = false, add_special = true, generation_prompt = false,
       skip_special = false, split_turns = false;
};

KeyTable<TokenizeRows> tokenize_keys() {
  KeyTable<TokenizeRows> keys;
  keys.add("model", "The model: a folder, .gguf, .bin, or a name; its tokenizer's files alone will do", [](auto& o) -> auto& { return o.model; })
      .input()
      .required();
  keys.add("chat_template", "A Jinja file, or the name of one of the model's templates, instead of its own",
           [](auto& o) -> auto& { return o.chat_template; })
      .is_file_or_name();
  keys.add("split_turns", "Of conversations: a line for each answer, behind the history as serving renders it",
           [](auto& o) -> auto& { return o.split_turns; });
  keys.add("tokenizer", "A tokenizer instead of the model's own", [](auto& o) -> auto& { return o.tokenizer; }).input();
  keys.add("input", "Rows of `text`, of `messages`, or of another format with a conversation (docs/data.md)",
           [](auto& o) -> auto& { return o.input; })
      .input();
  keys.add("output", "For `text` a list of ids a line; for `messages` `text`, `ids` and `mask` (1: an assistant wrote it)",
           [](auto& o) -> auto& { return o.output; })
      .output("tokens.jsonl");
  keys.add("decode", "The other way: lists of ids to `text`", [](auto& o) -> auto& { return o.decode; });
  keys.add("skip_special", "decode leaves special tokens out", [](auto& o) -> auto& { return o.skip_special; }).only_with({"decode"});
  keys.add("parse_special", "A special token's string in a text becomes that token; without this it is text",
           [](auto& o) -> auto& { return o.parse_special; })
      .not_with({"decode"});
  keys.add("special", "What the tokenizer adds around a text (BOS, EOS)", [](auto& o) -> auto& { return o.add_special; }).not_with({"decode"});
  keys.add("generation_prompt", "End messages with the beginning of the assistant's turn", [](auto& o) -> auto& { return o.generation_prompt; })
      .not_with({"decode"});
  return keys;
}

class RowTokenizer {
 public:
  explicit RowTokenizer(const TokenizeRows& state) : state_(state) {
    LoadOptions options;
    options.tokenizer = state.tokenizer;
    options.resolve = resolve_model;
    tokenizer_ = load_tokenizer(resolve_model(state.model), options);
  }

  /// The line that answers a row. Thread-safe.
  std::string line(const data::Row& row) const {
    const OrderedJson value = data::parse_row(row);
    if (state_.decode) return decode(value, row.where());
    if (!value.is_object())
      fail(row.where(), "expected an object with 'text' or 'messages', got {}", value.type_name());
    const auto format = data::detect_format(value, {}, row.where());
    const auto text = value.find("text");
    data::RowUse use;
    const bool has_text = text != value.end() && text->is_string();
    if (format != data::Format::text && (format != data::Format::transcript || !has_text)) {
      std::string made = chat(value, row.where(), use);
      count(value, use);
      return made;
    }
    std::string plain;
    if (has_text) {
      plain = text->get<std::string>();
      use.columns = {"text"};
    } else {
      plain = data::example_from_row(value, data::Format::text, {}, row.where(), &use).completion.text;
    }
    count(value, use);
    return OrderedJson(tokenizer_->encode(plain, {state_.add_special, state_.parse_special})).dump();
  }

  /// What was read of the rows so far. Not while lines are made.
  const data::ColumnReport& columns() const { return columns_; }

 private:
  void count(const OrderedJson& row, const data::RowUse& use) const {
    const std::lock_guard lock(mutex_);
    columns_.add(row, use);
  }

  std::string decode(const OrderedJson& value, const std::string& where) const {
    const OrderedJson& ids = value.is_object() && value.contains("ids") ? value["ids"] : value;
    if (!ids.is_array()) fail(where, "--decode takes a list of ids, or an object with 'ids'");
    std::vector<int32_t> numbers;
    for (const OrderedJson& id : ids) {
      const auto number = whole_number<int32_t>(id);
      if (!number) fail(where, "an id should be a whole number below 2^31, got {}", id.dump().substr(0, 40));
      numbers.push_back(*number);
    }
    return dump_json(OrderedJson{{"text", tokenizer_->decode(numbers, state_.skip_special)}});
  }

  std::string chat(const OrderedJson& value, const std::string& where, data::RowUse& use) const {
    const data::Example example = data::example_from_row(value, data::Format::automatic, {}, where, &use);
    if (example.kind == data::Example::Kind::pair)
      fail(where,
           "is a preference pair, which is no single text; `fettle data convert --to messages` takes the "
           "chosen answer");
    Messages messages;
    for (const auto& [content, role] :
         {std::pair(&example.prompt, "user"), std::pair(&example.completion, "assistant")}) {
      if (content->is_chat)
        messages.insert(messages.end(), content->messages.begin(), content->messages.end());
      if (!content->is_chat && !content->text.empty())
        messages.push_back({role, content->text, 1.0, nullptr});
    }
    RenderOptions render;
    render.add_generation_prompt = state_.generation_prompt;
    if (example.variables.is_object()) render.variables = example.variables;
    if (state_.split_turns) return answers(messages, render);
    const TokenizedChat result =
        tokenize_chat(*tokenizer_, chat_template(), messages, render, state_.parse_special);
    return dump_json(OrderedJson{{"text", result.text}, {"ids", result.ids}, {"mask", result.assistant}});
  }

  /// A line for each answer, behind the history as serving renders it.
  std::string answers(const Messages& messages, const RenderOptions& render) const {
    const ChatTemplate& chat = chat_template();
    std::string lines;
    for (size_t i = 0; i < messages.size(); ++i) {
      if (messages[i].role != "assistant") continue;
      const auto through = std::span(messages).first(i + 1);
      auto ids = encode_chat(*tokenizer_, chat, through.first(i), prompt_options(chat, messages[i], render),
                             state_.parse_special);
      const auto answer = tokenize_answer(*tokenizer_, chat, through, i, ids, render, state_.parse_special);
      std::vector<int> mask(ids.size(), 0);
      ids.insert(ids.end(), answer.ids.begin(), answer.ids.end());
      mask.resize(ids.size(), 1);
      lines += (lines.empty() ? "" : "\n") +
               dump_json(OrderedJson{{"text", tokenizer_->decode(ids, false)}, {"ids", ids}, {"mask", mask}});
    }
    if (lines.empty()) fail("messages", "hold no answer of the assistant");
    return lines;
  }

  /// Parsed when the first conversation comes: a model without a template can still encode text.
  const ChatTemplate& chat_template() const {
    std::call_once(once_, [&] { template_.emplace(ChatTemplate::of(*tokenizer_, state_.chat_template)); });
    return *template_;
  }

  const TokenizeRows& state_;
  std::shared_ptr<const Tokenizer> tokenizer_;
  mutable std::once_flag once_;
  mutable std::optional<ChatTemplate> template_;
  mutable std::mutex mutex_;
  mutable data::ColumnReport columns_;
};

Report run_tokenize(TokenizeRows& state, const KeyValues&) {
  RowTokenizer work(state);
  data::RejectedRows rejected;
  data::ReadOptions read;
  read.lines = state.decode;  // a list of ids is a row, not an array of rows
  data::RowReader reader({state.input}, rejected, read);
  data::RowWriter writer(state.output);
  Progress progress("tokenize", 0, "rows");
  std::vector<data::Row> rows;
  int64_t failed = 0;
  while (reader.next(rows)) {
    std::vector<std::string> lines(rows.size()), errors(rows.size());
    parallel_for(static_cast<int64_t>(rows.size()), 8, [&](int64_t begin, int64_t end) {
      for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i) {
        try {
          lines[i] = work.line(rows[i]);
        } catch (const Error& error) {
          rethrow_unless_of_input(error);
          errors[i] = error.what();
          lines[i] = "null";
        }
      }
    });
    for (size_t i = 0; i < rows.size(); ++i) {
      if (!errors[i].empty() && failed++ < 10) log_warning("{}", errors[i]);
      writer.write_text(lines[i]);
    }
    progress.advance(rows.size());
  }
  progress.finish();
  writer.commit();
  for (const auto& rejection : rejected.first()) {
    log_warning("{}:{}: {}: {}", rejection.file, rejection.line, rejection.reason, rejection.detail);
  }
  Report report;
  report.warnings = data::column_warnings(work.columns());
  if (failed + rejected.count() > 0) {
    report.failure = fmt::format("{}: {} rows were not tokenised: {} have 'null' in their place, {} could not be read",
                                 state.input, failed + rejected.count(), failed, rejected.count());
  }
  return report;
}

}  // namespace

const Verb& tokenize_verb() {
  static const Verb verb =
      make_verb({.name = "tokenize",
                 .summary = "Text to token ids, or back",
                 .examples = "  $ echo '{\"text\": \"Gravity is\"}' | fettle tokenize --model smollm2-135m-instruct\n"
                             "  $ fettle tokenize --model runs/dpo --input chats.jsonl --output ids.jsonl\n"
                             "  $ echo '[1, 2, 3]' | fettle tokenize --model starter --decode"},
                tokenize_keys(), {}, run_tokenize);
  return verb;
}

}  // namespace fettle::verbs
