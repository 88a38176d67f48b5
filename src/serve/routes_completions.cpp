// POST /v1/chat/completions and /v1/completions.
#include "serve/reply.h"
#include "serve/server_state.h"
#include "text/unicode.h"

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

ApiError failure(const std::string& why) {
  return {500, "internal_error", "", why};
}

/// A stream between two calls of the HTTP library.
struct Streaming {
  Streaming(ServerState& state, OrderedJson body, CompletionCall c, ReplyHead head)
      : state(state),
        body(std::move(body)),
        call(std::move(c)),
        head(head),
        reply(call, head, *state.context.tokenizer, state.options.stream_period) {}

  /// Sends what there is; false ends the stream.
  bool run(httplib::DataSink& sink) {
    std::string events;
    if (!begun) events = reply.begin(prompts);
    begun = true;
    const bool done = answer->done();  // asked first: pieces that come later are taken in the next round
    for (const AnswerPiece& piece : answer->take(std::chrono::milliseconds(done ? 0 : 100)))
      events += reply.add(piece);
    if (done) {
      const std::string error = answer->error();
      events += error.empty() ? reply.end(answer->results()) : ReplyStream::error(failure(error));
      measure(state, answer->results());
      log_answer(state, body, head, answer->results());
    }
    const bool sent =
        events.empty() ? sink.is_writable() : sink.is_writable() && sink.write(events.data(), events.size());
    if (!sent) {
      ++state.metrics.left;
      answer->cancel();
      return false;
    }
    if (done) sink.done();
    return true;
  }

  ServerState& state;
  OrderedJson body;
  CompletionCall call;
  ReplyHead head;
  ReplyStream reply;
  std::vector<std::string> prompts;
  std::shared_ptr<Answer> answer;
  bool begun = false;
};

void stream(ServerState& state, HttpCall& http, OrderedJson body, CompletionCall call, ReplyHead head) {
  auto streaming = std::make_shared<Streaming>(state, std::move(body), std::move(call), std::move(head));
  if (streaming->call.echo) {
    for (const GenerationRequest& request : streaming->call.requests)
      streaming->prompts.push_back(unicode::lossy(state.context.tokenizer->decode(request.prompt)));
  }
  streaming->answer = Answer::start(state.engine, streaming->call.requests, true);
  http.response.status = 200;
  http.response.set_header("Cache-Control", "no-cache");
  http.response.set_header("X-Accel-Buffering", "no");
  http.response.set_chunked_content_provider(
      "text/event-stream", [streaming](size_t, httplib::DataSink& sink) { return streaming->run(sink); });
}

void complete(ServerState& state, HttpCall& http, bool chat) {
  OrderedJson body = parse_body(http.request.body);
  CompletionCall call = chat ? decode_chat(body, state.context) : decode_completion(body, state.context);
  ReplyHead head = make_reply_head(chat, call.model.empty() ? state.models.name() : call.model);
  if (call.stream) return stream(state, http, std::move(body), std::move(call), std::move(head));
  const auto answer = Answer::start(state.engine, call.requests, false);
  if (!answer->wait([&] { return http.connection.client_left(); })) {
    ++state.metrics.left;
    answer->cancel();
    http.response.status = 499;  // as nginx counts a client that left, or closed its sending half; mostly nobody reads it
    return;
  }
  if (const std::string error = answer->error(); !error.empty()) throw failure(error);
  measure(state, answer->results());
  log_answer(state, body, head, answer->results());
  answer_json(http.response, 200, whole_reply(call, head, answer->results(), *state.context.tokenizer));
}

}  // namespace

void add_completion_routes(HttpServer& http, ServerState& state) {
  http.route("POST", "/v1/chat/completions", [&](HttpCall& call) { complete(state, call, true); });
  http.route("POST", "/v1/completions", [&](HttpCall& call) { complete(state, call, false); });
}

}  // namespace fettle::serve
