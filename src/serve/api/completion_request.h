#pragma once
// From the JSON body of /v1/chat/completions and /v1/completions to requests of the engine. No HTTP and no
// engine here: a function of the body and the model.
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "generate/constrain/token_grammar.h"
#include "generate/request.h"
#include "serve/api/answer_reader.h"
#include "serve/api/tools.h"
#include "serve/http/fields.h"
#include "text/chat/chat_template.h"
#include "text/chat/openchat.h"

namespace fettle::serve {

/// What decoding needs to know of the model that is served. Read by many threads.
struct ModelContext {
  std::shared_ptr<const Tokenizer> tokenizer;
  std::shared_ptr<const ChatTemplate>
      chat;  ///< null: the model has none; a conversation is its texts, one a line
  const OpenChatType* openchat = nullptr;  ///< prompts are made by it instead of the template
  bool system_prompts = true;            ///< of OpenChat models: --enable-sys-prompt
  std::optional<ToolFormat> tools;       ///< none: the template renders no tools
  std::optional<ThoughtMarks> thoughts;  ///< none: the model writes no thoughts of its own
  int32_t vocabulary = 0;
  std::vector<int32_t> ends;  ///< tokens that end an answer
  int64_t context = 0;
  SamplingOptions sampling;              ///< of a request that does not say
  std::chrono::milliseconds longest{0};  ///< deadline of a request; 0: none
  int32_t most_answers = 128;            ///< n times prompts
  /// Adapters behind a model's name; throws ApiError 404.
  std::function<std::vector<AdapterUse>(const std::string& model)> resolve;
  TokenGrammars* grammars = nullptr;  ///< null: response_format is refused
};

struct CompletionCall {
  std::string model;  ///< as the client named it, or empty
  std::string user;
  bool chat = false;
  bool stream = false, include_usage = false;
  bool echo = false;         ///< the prompt stands in front of the text
  bool prompt_only = false;  ///< max_tokens 0 with echo: what is generated is not shown
  bool logprobs = false;     ///< shown
  int32_t top_logprobs = 0;  ///< alternatives shown
  std::optional<int32_t> prompt_logprobs;  ///< alternatives shown for each token of the prompt
  bool token_ids = false;                  ///< ids of prompt and answer are shown
  bool tokens_as_ids = false;              ///< in log-probabilities, tokens are called "token_id:ID"
  int32_t n = 1;
  AnswerForm form;                          ///< chat alone
  std::vector<GenerationRequest> requests;  ///< one per prompt
};

/// Throws ApiError: 400 naming the field, 404 for the model.
CompletionCall decode_chat(const OrderedJson& body, const ModelContext& model);
CompletionCall decode_completion(const OrderedJson& body, const ModelContext& model);

/// Ids of a conversation: of "messages" in a body, with what belongs to them (tools, condition, …).
struct ChatPrompt {
  Messages messages;
  OrderedJson variables = OrderedJson::object();
  std::string condition;
  bool add_generation_prompt = true;
  bool continue_final_message = false;
};
std::vector<int32_t> encode_chat(const ChatPrompt& prompt, const ModelContext& model);
/// Reads "messages" and the fields around them.
ChatPrompt read_chat_prompt(BodyFields& fields, const ModelContext& model);

}  // namespace fettle::serve
