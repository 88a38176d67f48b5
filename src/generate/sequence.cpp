#include "generate/sequence.h"

#include <algorithm>

#include "text/unicode/unicode.h"

namespace fettle {

std::string_view finish_reason_name(FinishReason reason) {
  switch (reason) {
    case FinishReason::stop:
      return "stop";
    case FinishReason::length:
      return "length";
    case FinishReason::cancelled:
      return "cancelled";
    case FinishReason::deadline:
      return "deadline";
    case FinishReason::error:
      return "error";
  }
  return "error";
}

ActiveRequest::ActiveRequest(RequestId id, GenerationRequest r, int64_t limit)
    : id(id),
      request(std::move(r)),
      limit(limit),
      finished(static_cast<size_t>(request.n)),
      unfinished(request.n),
      submitted(std::chrono::steady_clock::now()) {
  result.samples.resize(static_cast<size_t>(request.n));
  result.prompt_tokens = static_cast<int64_t>(request.prompt.size());
  if (request.prompt_logprobs) result.prompt.push_back({request.prompt.front(), 0.0F, {}});
}

double ActiveRequest::seconds() const {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - submitted).count();
}

Sequence::Sequence(std::shared_ptr<ActiveRequest> request, int32_t sample,
                   const std::shared_ptr<const Tokenizer>& tokenizer)
    : request_(std::move(request)),
      sample_(sample),
      tokens_(request_->request.prompt),
      history_(request_->request.prompt),
      stops_(request_->request.stop) {
  const GenerationRequest& r = request_->request;
  if (tokenizer != nullptr) {
    stream_.emplace(tokenizer, r.skip_special);
    // A SentencePiece text loses the space before its first word. An answer goes on where the prompt ends, so
    // the stream begins with the prompt's last token, whose own text is dropped; unless it is a piece of a
    // character, which would show in the answer.
    if (unicode::incomplete_tail(tokenizer->bytes(r.prompt.back())) == 0) stream_->push(r.prompt.back());
  }
  if (r.constraint != nullptr) constraint_ = r.constraint->clone();
}

std::optional<FinishReason> Sequence::accept(TokenInfo info, bool ends_sequence) {
  const GenerationRequest& r = request_->request;
  const int32_t token = info.token;
  tokens_.push_back(token);
  history_.add(token);
  if (constraint_ != nullptr) constraint_->accept(token);
  out_.tokens.push_back(token);
  ++request_->result.completion_tokens;
  const bool stopped =
      (ends_sequence && !r.ignore_eos) || std::ranges::find(r.stop_tokens, token) != r.stop_tokens.end();
  const std::string text =
      stopped || !stream_ ? std::string() : stops_.push(unicode::lossy(stream_->push(token)));
  emit(text, &info);
  if (r.logprobs) out_.infos.push_back(std::move(info));
  if (stopped || stops_.matched()) return FinishReason::stop;
  if (drawn() >= request_->limit) return FinishReason::length;
  return std::nullopt;
}

void Sequence::finish(FinishReason reason) {
  std::string rest;
  if (stream_ && !stops_.matched()) {
    rest = stops_.push(unicode::lossy(stream_->flush()));
    if (!stops_.matched()) rest += stops_.flush();
  }
  out_.text += rest;
  out_.finish = reason;
  out_.matched_stop = stops_.match();
  request_->result.samples[static_cast<size_t>(sample_)] = std::move(out_);
  if (!rest.empty() && request_->request.on_delta) request_->request.on_delta({sample_, rest, nullptr});
}

void Sequence::emit(const std::string& text, const TokenInfo* token) {
  out_.text += text;
  if (request_->request.on_delta) request_->request.on_delta({sample_, text, token});
}

}  // namespace fettle
