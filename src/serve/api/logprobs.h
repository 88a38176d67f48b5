#pragma once
// Log-probabilities in the shapes of OpenAI's and vLLM's APIs.
#include <string>
#include <vector>

#include "base/json.h"
#include "generate/request.h"
#include "text/tokenizer/tokenizer.h"

namespace fettle::serve {

/// How tokens are called in an answer.
struct TokenNames {
  const Tokenizer& tokenizer;
  bool as_ids = false;  ///< "token_id:123", from which a client gets the very token back

  std::string of(int32_t token) const;
};

/// [{"token", "logprob", "bytes", "top_logprobs"}]; at most `top` alternatives each.
Json token_logprobs(const std::vector<TokenInfo>& tokens, const TokenNames& names, int32_t top);

/// The lists of /v1/completions. `offset`: characters before the tokens, moved behind them.
/// `first_has_none`: the first token begins the text and has no probability.
Json text_logprobs(const std::vector<TokenInfo>& tokens, const TokenNames& names, int32_t top,
                   bool first_has_none, int64_t& offset);

/// vLLM's prompt_logprobs: null for the first token, then {"ID": {"logprob", "rank", "decoded_token"}} of the
/// token that stands there and of the `top` most likely ones. A token that is not among these has rank `top`
/// + 1, wherever it really stands.
Json prompt_logprobs(const std::vector<TokenInfo>& prompt, const Tokenizer& tokenizer, int32_t top);

/// Characters, as OpenAI's text_offset counts them.
int64_t characters_of(std::string_view text);

}  // namespace fettle::serve
