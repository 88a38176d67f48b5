#include "data/rows/row_view.h"

#include <algorithm>
#include <utility>

#include "base/input_fault.h"
#include "base/white_space.h"
#include "data/rows/key_set.h"
#include "data/rows/parsed.h"
#include "data/rows/turn_keys.h"
#include "data/rows/turns.h"

namespace fettle::data {
namespace {

RowKeys::Value kind_of(simdjson::dom::element value) {
  using Type = simdjson::dom::element_type;
  switch (value.type()) {
    case Type::NULL_VALUE:
      return RowKeys::Value::null;
    case Type::STRING:
      return RowKeys::Value::text;
    case Type::ARRAY:
      return RowKeys::Value::list;
    case Type::OBJECT:
      return RowKeys::Value::object;
    default:
      return RowKeys::Value::other;
  }
}

/// A turn that has a role and a text and nothing else that says something. `flags`: whether it may be left out of the loss, or
/// has keys that nobody knows.
struct PlainTurn {
  std::string_view role, text;
  bool flags = false;
};
std::optional<PlainTurn> plain_turn(simdjson::dom::element value) {
  simdjson::dom::object turn;
  if (value.get(turn) != simdjson::SUCCESS) return std::nullopt;
  PlainTurn plain;
  bool has_text = false;
  for (const auto field : turn) {
    std::string_view text;
    switch (turn_key(field.key)) {
      case TurnKey::role:
        if (!plain.role.empty() || field.value.get(text) != simdjson::SUCCESS || text == "function_call")
          return std::nullopt;
        plain.role = role_of_speaker(text);
        if (plain.role.empty()) return std::nullopt;
        break;
      case TurnKey::content:
        if (has_text || field.value.get(plain.text) != simdjson::SUCCESS) return std::nullopt;
        has_text = true;
        break;
      case TurnKey::calls:
      case TurnKey::call:
      case TurnKey::known:
        if (!field.value.is_null()) return std::nullopt;
        break;
      case TurnKey::weight:
      case TurnKey::masked:
      case TurnKey::unknown:
        plain.flags |= !field.value.is_null();
        break;
    }
  }
  if (plain.role.empty() || !has_text || (plain.role == "assistant" && is_blank(plain.text)))
    return std::nullopt;
  return plain;
}

/// Names that rows are looked at for, by their numbers.
struct Known {
  KeySet prompts{prompt_keys()}, completions{completion_keys()}, chosens{chosen_keys()},
      rejecteds{rejected_keys()}, turns{turn_keys()}, systems{system_keys()};
  KeySet elsewhere{"tools", "functions", "history"};
  KeySet beside{"id", "source", "score"};
  int input = row_key_index("input"), context = row_key_index("context"), text = row_key_index("text"),
      instruction = row_key_index("instruction"), output = row_key_index("output"),
      prompt = row_key_index("prompt"), messages = row_key_index("messages");
};
const Known& known() {
  static const Known made;
  return made;
}

}  // namespace

void RowView::open(Row& row) {
  constexpr size_t max_depth = 512;
  if (parser_.max_depth() != max_depth && parser_.allocate(size_t{1} << 16, max_depth) != simdjson::SUCCESS) {
    throw std::bad_alloc();
  }
  repaired_ = false;
  if (!parsed(parser_.parse(row.text).get(element_))) {
    row.text = dump_json(parse_row(row));
    repaired_ = true;
    if (!parsed(parser_.parse(row.text).get(element_))) fail(row.where(), "not valid JSON");
  }
  if (element_.get(object_) != simdjson::SUCCESS) fail(row.where(), "not a JSON object");
  collected_ = keyed_ = read_ = false;
}

const std::vector<TextPart>& RowView::texts() const {
  if (!std::exchange(collected_, true)) collect();
  return texts_;
}

void RowView::add(std::string_view field, std::string_view role, std::string_view text, bool is_turn,
                  int64_t turn) const {
  texts_.push_back({field, role, text, static_cast<int64_t>(texts_.size()), is_turn, turn});
}

bool RowView::add_text(int key, std::string_view role, bool is_turn) const {
  if (key < 0 || !keys_.text[static_cast<size_t>(key)]) return false;
  const auto& field = fields_[static_cast<size_t>(key)];
  const std::string_view text = field.value.get_string().value_unsafe();
  if (is_transcript(text) || (role == "assistant" && is_blank(text))) return false;
  add(field.key, role, text, is_turn);
  return true;
}

bool RowView::add_turns(int key) const {
  if (key < 0 || !keys_.list[static_cast<size_t>(key)]) return false;
  const auto& field = fields_[static_cast<size_t>(key)];
  int64_t turn = 0;
  const simdjson::dom::array items = field.value.get_array().value_unsafe();
  for (const auto item : items) {
    const auto plain = plain_turn(item);
    if (!plain) return false;
    plain_turns_ &= !plain->flags;
    add(field.key, plain->role, plain->text, true, turn++);
  }
  return turn > 0;
}

/// Rows whose texts stand in the row as they are meant; false for all others.
bool RowView::collect_in_place() const {
  const KeyBits values = values_of(keys_);
  if (known().elsewhere.any_in(values)) return false;
  const auto format = refusal_of(keys_).empty() ? format_of(keys_) : std::nullopt;
  if (!format) return false;
  const int system = known().systems.first_in(values), input = known().input, context = known().context,
            instruction = known().instruction;
  const bool has_context = values[static_cast<size_t>(context)];
  const auto exchange = [&](int question, int answer) {
    if (question == instruction && keys_.text[static_cast<size_t>(input)] && question != input &&
        !fields_[static_cast<size_t>(input)].value.get_string().value_unsafe().empty())
      return false;
    if (has_context && question != context) return false;
    if (system >= 0 && !is_blank(fields_[static_cast<size_t>(system)].value.get_string().value_unsafe()) &&
        !add_text(system, "system"))
      return false;
    return add_text(question, "user") && add_text(answer, "assistant");
  };
  if (system >= 0 && !keys_.text[static_cast<size_t>(system)]) return false;
  switch (*format) {
    case Format::messages:
    case Format::sharegpt:
      return system < 0 &&
             add_turns(format == Format::messages ? known().messages : known().turns.first_in(values));
    case Format::alpaca:
      return exchange(instruction, known().output);
    case Format::completion:
      return exchange(known().prompts.first_in(values), known().completions.first_in(values));
    case Format::pair:
      return exchange(known().prompt, known().chosens.first_in(values)) &&
             add_text(known().rejecteds.first_in(values), "assistant", false);
    case Format::text:
      return add_text(known().text, "text");
    default:
      return false;
  }
}

std::string_view RowView::name_of(KeyNames names) const {
  const int index = KeySet(names).first_in(values_of(keys_));
  return index < 0 ? std::string_view(names.front()) : fields_[static_cast<size_t>(index)].key;
}

void RowView::add_message(std::string_view field, const Message& message, bool is_turn, int64_t turn) const {
  const bool calls = message.extra.is_object() && message.extra.contains("tool_calls");
  if (!message.content.empty() || !calls) add(field, message.role, message.content, is_turn, turn);
  if (!message.extra.is_object()) return;
  for (const char* key : thought_keys) {
    const auto thought = message.extra.find(key);
    if (thought != message.extra.end() && thought->is_string())
      add(field, "thought", thought->get_ref<const std::string&>(), false, turn);
  }
  if (!calls) return;
  made_.push_back(dump_json(message.extra["tool_calls"]));
  add(field, "tool_calls", made_.back(), is_turn && message.content.empty(), turn);
}

/// Into example_ and reading_.
void RowView::read_example() const {
  read_ = true;
  reading_ = {};
  example_.reset();
  try {
    example_ = example_from_row(value(), Format::automatic, {}, "row", &reading_.use);
  } catch (const Error& error) {
    rethrow_unless_of_input(error);
    reading_.refusal = reason_of(error);
  }
}

/// Whether the keys alone tell what is read of a row whose texts stand in place: it has nothing else that means something.
bool RowView::is_plain() const {
  if (!in_place_ || !plain_turns_) return false;
  KeyBits others = values_of(keys_) & ~known().beside.bits();
  // What is empty here was looked at, and passed over.
  others &= ~(keys_.text & known().systems.bits());
  if (keys_.text[static_cast<size_t>(known().input)]) others.reset(static_cast<size_t>(known().input));
  for (const auto& part : texts_) {
    if (is_blank(part.text)) return false;
    others.reset(static_cast<size_t>(row_key_index(part.field)));
  }
  return others.none();
}

const RowReading& RowView::reading() const {
  texts();
  if (read_) return reading_;
  const bool plain = is_plain();
  if (plain && plain_keys_ == keys_ && plain_shape_ == shape_) {
    read_ = true;
    reading_.refusal.clear();
    reading_.use = plain_use_;
    return reading_;
  }
  read_example();
  if (plain && reading_.refusal.empty()) {
    plain_shape_ = shape_;
    plain_keys_ = keys_;
    plain_use_ = reading_.use;
  }
  return reading_;
}

/// The texts of what example_from_row makes of the row.
void RowView::collect_example() const {
  read_example();
  if (!example_) return;
  const Example& example = *example_;
  const bool conversation = example.kind == Example::Kind::conversation;
  const auto turn_lists = known().turns.first_in(values_of(keys_));
  int64_t before = 0;  // messages that are none of the list's turns
  if (conversation && turn_lists >= 0) {
    const auto& list = fields_[static_cast<size_t>(turn_lists)].value;
    const auto items = list.is_array() ? static_cast<int64_t>(list.get_array().value_unsafe().size()) : 0;
    before = static_cast<int64_t>(example.completion.messages.size()) - items;
  }
  const bool in_list = conversation && turn_lists >= 0 &&
                       (before == 0 || (before == 1 && example.completion.messages.front().role == "system"));
  const auto put = [&](const Content& content, std::string_view field, const char* role, bool is_turn) {
    if (!content.is_chat) {
      if (!content.text.empty()) add(field, role, content.text, is_turn);
      return;
    }
    for (size_t i = 0; i < content.messages.size(); ++i)
      add_message(field, content.messages[i], is_turn,
                  in_list && is_turn ? static_cast<int64_t>(i) - before : -1);
  };
  put(example.prompt, name_of(prompt_keys()), "user", true);
  const bool pair = example.kind == Example::Kind::pair;
  const KeyNames answers = pair ? chosen_keys() : conversation ? turn_keys() : completion_keys();
  put(example.completion, name_of(answers), example.kind == Example::Kind::text ? "text" : "assistant", true);
  if (pair) put(example.rejected, name_of(rejected_keys()), "assistant", false);
  if (!example.variables.is_object() || !example.variables.contains("tools")) return;
  made_.push_back(dump_json(example.variables["tools"]));
  add("tools", "tools", made_.back(), false);
}

void RowView::look_at_keys() const {
  keyed_ = true;
  keys_ = {};
  shape_.clear();
  for (const auto field : object_) {
    if (!field.value.is_null()) shape_.append(field.key).push_back('\0');
    const int index = row_key_index(field.key);
    if (index < 0) continue;
    const auto at = static_cast<size_t>(index);
    if ((keys_.present(index) || keys_.null[at]) && field.key != row_keys()[at]) continue;
    keys_.set(index, kind_of(field.value));
    fields_[at] = {field.key, field.value};
  }
}

std::string_view RowView::shape() const {
  if (!keyed_) look_at_keys();
  return shape_;
}

void RowView::collect() const {
  texts_.clear();
  made_.clear();
  example_.reset();
  plain_turns_ = true;
  if (!keyed_) look_at_keys();
  in_place_ = collect_in_place();
  if (in_place_) return;
  texts_.clear();
  collect_example();
}

std::string RowView::field(std::string_view name) const {
  simdjson::dom::element value;
  if (object_[name].get(value) != simdjson::SUCCESS || value.is_null()) return {};
  std::string_view text;
  if (value.get(text) == simdjson::SUCCESS) return std::string(text);
  return simdjson::minify(value);
}

std::string RowView::id() const {
  return field("id");
}

std::string with_id(const Row& row, bool has_id, const std::string& id) {
  std::string text = row.text;
  if (text.find('\n') != std::string::npos) {
    size_t size = 0;
    std::string small(text.size(), '\0');
    if (simdjson::minify(text.data(), text.size(), small.data(), size) == simdjson::SUCCESS) {
      small.resize(size);
      text = std::move(small);
    }
  }
  if (has_id) return text;
  const size_t brace = text.find('{') + 1;
  const bool empty = text.find_first_not_of(" \t", brace) == text.find('}');
  return text.substr(0, brace) + "\"id\":" + dump_json(Json(id)) + (empty ? "" : ",") + text.substr(brace);
}

}  // namespace fettle::data
