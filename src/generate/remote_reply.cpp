#include "generate/remote_reply.h"

#include "base/error.h"
#include "base/ordered_json.h"

namespace fettle {
namespace {

const char* part_name(ReplyPart part) { return part == ReplyPart::message ? "message" : "delta"; }

void read_logprobs(const Json& choice, std::vector<ChatTokenLogProb>& into, const std::string& where) {
  const auto found = choice.find("logprobs");
  if (found == choice.end() || !found->is_object()) return;
  const auto content = found->find("content");
  if (content == found->end() || !content->is_array()) return;
  for (const Json& item : *content) {
    ChatTokenLogProb token{
        json_get<std::string>(item, "token", where), json_get<double>(item, "logprob", where), {}};
    for (const Json& other : json_get_or<Json>(item, "top_logprobs", Json::array(), where)) {
      token.top.emplace_back(json_get<std::string>(other, "token", where),
                             json_get<double>(other, "logprob", where));
    }
    into.push_back(std::move(token));
  }
}

}  // namespace

std::string endpoint_reason(const std::string& body) {
  const Json json = json_or_none(body).value_or(nullptr);
  if (json.is_object()) {
    const auto error = json.find("error");
    if (error != json.end() && error->is_object() && error->contains("message") &&
        (*error)["message"].is_string()) {
      return (*error)["message"];
    }
    if (error != json.end() && error->is_string()) return *error;
    if (json.contains("message") && json["message"].is_string()) return json["message"];
  }
  return body.substr(0, 200);
}

void read_reply(const Json& json, ReplyPart where_text, ChatReply& reply, const OnReplyText& on_text, const std::string& where) {
  if (!json.is_object()) fail(where, "expected a JSON object, got {}", json.type_name());
  if (json.contains("error")) fail(where, "{}", endpoint_reason(json.dump()));
  reply.model = json_get_or<std::string>(json, "model", reply.model, where);
  const Json usage = json_get_or<Json>(json, "usage", Json::object(), where);
  reply.prompt_tokens = json_get_or<int64_t>(usage, "prompt_tokens", reply.prompt_tokens, where);
  reply.completion_tokens = json_get_or<int64_t>(usage, "completion_tokens", reply.completion_tokens, where);
  const Json choices = json_get<Json>(json, "choices", where);
  if (!choices.is_array()) fail(where, "'choices' should be a list, got {}", choices.type_name());
  for (const Json& choice : choices) {
    const auto index = json_get_or<size_t>(choice, "index", 0, where);
    if (index >= reply.choices.size())
      fail(where, "choice {} of {} was not asked for", index, reply.choices.size());
    ChatChoice& into = reply.choices[index];
    const std::string text = json_get_or<std::string>(json_get_or<Json>(choice, part_name(where_text), Json::object(), where),
                                                      "content", "", where);
    into.text += text;
    into.finish_reason = json_get_or<std::string>(choice, "finish_reason", into.finish_reason, where);
    read_logprobs(choice, into.logprobs, where);
    if (on_text && !text.empty()) on_text(static_cast<int32_t>(index), text);
  }
}

}  // namespace fettle
