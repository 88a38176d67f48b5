// Whatever comes as the head or the body of a request is refused with an ApiError or understood, never more.
#include "serve/api/answer_reader.h"
#include "serve/api/completion_request.h"
#include "serve/api/messages_request.h"
#include "serve/api/responses_request.h"
#include "serve/http/request_head.h"

namespace {

using namespace fettle;
using namespace fettle::serve;

/// A vocabulary of bytes, with a template that shows every field.
struct Fixture {
  Fixture() {
    OrderedJson vocabulary{{"<unk>", 0}, {"<s>", 1}, {"</s>", 2}};
    for (int byte = 0; byte < 256; ++byte) vocabulary[fmt::format("<0x{:02X}>", byte)] = 3 + byte;
    const OrderedJson json{
        {"version", "1.0"},
        {"added_tokens", OrderedJson::array()},
        {"normalizer", nullptr},
        {"pre_tokenizer", nullptr},
        {"post_processor", nullptr},
        {"decoder", {{"type", "Sequence"}, {"decoders", {{{"type", "ByteFallback"}}, {{"type", "Fuse"}}}}}},
        {"model",
         {{"type", "BPE"},
          {"unk_token", "<unk>"},
          {"fuse_unk", true},
          {"byte_fallback", true},
          {"vocab", vocabulary},
          {"merges", OrderedJson::array()}}}};
    model.tokenizer = Tokenizer::from_json(json.dump(), "fuzz");
    model.chat = std::make_shared<ChatTemplate>(
        "{% if tools %}{{ tools | tojson }}<tool_call>{% endif %}{% for m in messages %}{{ m.role }}: {{ "
        "m.content }}\n{% endfor %}",
        Json::object());
    model.tools = ToolFormat::tagged;
    model.thoughts = ThoughtMarks{"<think>", "</think>"};
    model.vocabulary = 259;
    model.context = 4096;
    model.resolve = [](const std::string&) { return std::vector<AdapterUse>(); };
    grammars = std::make_unique<TokenGrammars>(*model.tokenizer, 259, std::vector<int32_t>{2});
    model.grammars = grammars.get();
  }
  ModelContext model;
  std::unique_ptr<TokenGrammars> grammars;
};

CompletionCall decode_responses_call(const OrderedJson& body, const ModelContext& model) {
  static const StoredResponses none;
  return decode_responses(body, model, none).call;
}

void decode(std::string_view text, const ModelContext& model) {
  const OrderedJson body = parse_body(text);
  for (const auto read : {decode_chat, decode_completion, decode_responses_call, decode_messages}) {
    try {
      const CompletionCall call = read(body, model);
      for (const GenerationRequest& request : call.requests) {
        request.sampling.validate(model.vocabulary);
        if (request.constraint == nullptr) continue;
        TokenSet allowed(model.vocabulary);
        const auto constraint = request.constraint->clone();
        constraint->allow(allowed);
        for (int32_t token = 3; token < 259; ++token) {
          if (!allowed.has(token)) continue;
          constraint->accept(token);
          break;
        }
      }
    } catch (const Error&) {
    }
  }
}

/// An answer comes apart in the same way, whole and in two pieces.
void check_answer(const AnswerForm& form, std::string_view text) {
  const AnswerParts whole = read_answer(form, text);
  AnswerReader reader(form);
  AnswerParts sum = reader.push(text.substr(0, text.size() / 2));
  for (const AnswerParts& parts : {reader.push(text.substr(text.size() / 2)), reader.finish()}) {
    sum.thoughts += parts.thoughts;
    sum.content += parts.content;
    sum.calls.insert(sum.calls.end(), parts.calls.begin(), parts.calls.end());
  }
  FETTLE_CHECK(sum.thoughts == whole.thoughts && sum.content == whole.content);
  FETTLE_CHECK(sum.calls.size() == whole.calls.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const Fixture fixture;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    const size_t end = head_end(text);
    parse_head(text.substr(0, end), {});
  } catch (const ApiError&) {
  }
  for (const ToolFormat format : {ToolFormat::tagged, ToolFormat::listed, ToolFormat::bare}) {
    AnswerForm form;
    form.thoughts = ThoughtMarks{"<think>", "</think>"};
    form.tools = format;
    form.tool_names = {"f"};
    check_answer(form, text);
  }
  try {
    decode(text, fixture.model);
  } catch (const Error&) {
  }
  return 0;
}
