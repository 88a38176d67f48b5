#include "text/tokenizer/post_processor.h"

namespace fettle {
namespace {

void add_template(const Json& description, std::string_view where, Surroundings& out) {
  const Json special = json_get_or(description, "special_tokens", Json::object(), where);
  bool behind = false;
  for (const Json& item : json_get<std::vector<Json>>(description, "single", where)) {
    if (item.contains("Sequence")) {
      if (behind) fail(where, "a post-processor template that repeats the text is not supported");
      behind = true;
      continue;
    }
    const auto name = json_get<std::string>(json_get<Json>(item, "SpecialToken", where), "id", where);
    const auto ids =
        json_get<std::vector<int32_t>>(json_get<Json>(special, name.c_str(), where), "ids", where);
    for (const int32_t id : ids) {
      if (id < 0) fail(where, "special token '{}' has the negative id {}", name, id);
      (behind ? out.behind : out.before).push_back(id);
    }
  }
  if (!behind) fail(where, "the post-processor template 'single' has no Sequence");
}

int32_t pair_id(const Json& description, const char* key, std::string_view where) {
  const auto pair = json_get<Json>(description, key, where);
  if (!pair.is_array() || pair.size() != 2 || !pair[1].is_number_unsigned() || !whole_number<int32_t>(pair[1])) {
    fail(where, "'{}' must be [token, id]", key);
  }
  return pair[1].get<int32_t>();
}

void add(const Json& description, std::string_view where, Surroundings& out) {
  const auto kind = json_get<std::string>(description, "type", where);
  if (kind == "ByteLevel") return;  // only trims offsets
  if (kind == "TemplateProcessing") {
    // Stages nest: a later one goes around what the earlier ones made.
    Surroundings outer;
    add_template(description, where, outer);
    out.before.insert(out.before.begin(), outer.before.begin(), outer.before.end());
    out.behind.insert(out.behind.end(), outer.behind.begin(), outer.behind.end());
  } else if (kind == "BertProcessing" || kind == "RobertaProcessing") {
    out.before.insert(out.before.begin(), pair_id(description, "cls", where));
    out.behind.push_back(pair_id(description, "sep", where));
  } else if (kind == "Sequence") {
    for (const Json& stage : json_get<std::vector<Json>>(description, "processors", where))
      add(stage, where, out);
  } else {
    fail(where, "the type '{}' is not supported", kind);
  }
}

}  // namespace

Surroundings read_post_processor(const Json& description, std::string_view where) {
  Surroundings out;
  if (!description.is_null()) add(description, where, out);
  return out;
}

}  // namespace fettle
