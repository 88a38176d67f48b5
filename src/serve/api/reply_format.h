#pragma once
// What the published APIs have in common on the way out: one answer, written whole or as server-sent events.
#include <string>
#include <vector>

#include "serve/api/answer.h"
#include "serve/http/api_error.h"

namespace fettle::serve {

/// What every piece of one answer repeats.
struct ReplyHead {
  std::string id;  ///< "chatcmpl-…"
  int64_t created = 0;
  std::string model;
};
/// `prefix`: what the id begins with.
ReplyHead make_reply_head(const char* prefix, const std::string& model);
std::string fresh_id(const char* prefix);

/// Writes one answer in the shape of one API. One per request, used by one thread.
class ReplyFormat {
 public:
  virtual ~ReplyFormat() = default;
  virtual const ReplyHead& head() const = 0;
  /// The whole answer.
  virtual Json whole(const std::vector<GenerationResult>& results) = 0;

  // The same as server-sent events, ready to be sent; empty where nothing is due.
  virtual std::string begin() = 0;
  virtual std::string add(const AnswerPiece& piece) = 0;
  /// What closes the stream, once all results are there.
  virtual std::string end(const std::vector<GenerationResult>& results) = 0;
  /// The same when the answer failed.
  virtual std::string error(const ApiError& error) = 0;
};

}  // namespace fettle::serve
