#include "serve/api/answering.h"

#include <algorithm>

namespace fettle::serve {
namespace {

void log_answer(ServerState& state, const OrderedJson& body, const ReplyHead& head,
                const std::vector<GenerationResult>& results) {
  if (state.log == nullptr) return;
  Json outputs = Json::array();
  for (const GenerationResult& result : results) {
    for (const GenerationSample& sample : result.samples)
      outputs.push_back({{"text", sample.text}, {"finish_reason", finish_reason_name(sample.finish)}});
  }
  state.log->add({{"time", head.created},
                  {"id", head.id},
                  {"request", Json::parse(dump_json(body))},
                  {"outputs", std::move(outputs)}});
}

void measure(ServerState& state, const std::vector<GenerationResult>& results) {
  for (const GenerationResult& result : results) {
    if (result.first_token_seconds > 0) state.metrics.first_token.add(result.first_token_seconds);
    state.metrics.answer.add(result.total_seconds);
  }
}

/// What a request asked for and cannot have shows in some answers alone: a grammar in which they can be read in too many ways.
ApiError failure(const std::string& why, const std::vector<std::shared_ptr<const TokenConstraint>>& constraints) {
  const bool refused = std::ranges::any_of(constraints, [](const auto& one) { return one != nullptr && went_beyond_bounds(*one); });
  if (refused) return {400, "invalid_value", why.substr(0, std::min(why.find(':'), size_t{64})), why};
  return {500, "internal_error", "", why};
}

/// A stream between two pieces.
struct Streaming {
  /// Sends what there is.
  HttpResponse::Next run(AnswerStream& stream) {
    std::string events;
    if (!begun) events = format->begin();
    begun = true;
    const bool done = answer->done();  // asked first: pieces that come later are taken in the next round
    for (const AnswerPiece& piece : answer->take(std::chrono::milliseconds(done ? 0 : 100)))
      events += format->add(piece);
    if (done) {
      const std::string error = answer->error();
      events += error.empty() ? format->end(answer->results()) : format->error(failure(error, constraints));
      measure(state, answer->results());
      log_answer(state, body, format->head(), answer->results());
    }
    if (!stream.is_open() || !stream.write(events)) {
      ++state.metrics.left;
      answer->cancel();
      return HttpResponse::Next::broken;
    }
    return done ? HttpResponse::Next::ended : HttpResponse::Next::more;
  }

  ServerState& state;
  OrderedJson body;
  std::unique_ptr<ReplyFormat> format;
  std::shared_ptr<Answer> answer;
  std::vector<std::shared_ptr<const TokenConstraint>> constraints;
  bool begun = false;
};

}  // namespace

void answer_call(ServerState& state, HttpCall& http, OrderedJson body, const CompletionCall& call,
                 std::unique_ptr<ReplyFormat> format) {
  std::vector<std::shared_ptr<const TokenConstraint>> constraints;
  for (const GenerationRequest& request : call.requests) constraints.push_back(request.constraint);
  const auto answer = Answer::start(state.engine, call.requests, call.stream);
  if (call.stream) {
    auto streaming =
        std::make_shared<Streaming>(Streaming{state, std::move(body), std::move(format), answer, std::move(constraints)});
    http.response.status = 200;
    http.response.set_header("X-Accel-Buffering", "no");
    http.response.set_stream([streaming](AnswerStream& stream) { return streaming->run(stream); }, "text/event-stream");
    return;
  }
  if (!answer->wait([&] { return http.connection.client_left(); })) {
    ++state.metrics.left;
    answer->cancel();
    // As nginx counts a client that left, or closed its sending half; mostly nobody reads it.
    http.response.status = 499;
    return;
  }
  if (const std::string error = answer->error(); !error.empty()) throw failure(error, constraints);
  measure(state, answer->results());
  log_answer(state, body, format->head(), answer->results());
  answer_json(http.response, 200, format->whole(answer->results()));
}

}  // namespace fettle::serve
