#pragma once
// What a request says about the form of its answer, as a constraint on tokens. Thread-safe.
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "serve/api/completion_request.h"

namespace fettle::serve {

/// Whether a thought may stand before what is constrained: it is free up to its end, as in vLLM.
struct ThoughtRoom {
  enum class Place : uint8_t { none, opened, possible } place = Place::none;
  std::string_view open, close;  ///< the marks; they stand as long as the program
};
/// For an answer to `prompt`. `goes_on`: it continues a text that was begun, which has had its thought.
ThoughtRoom thought_room(const ModelContext& model, const std::vector<int32_t>& prompt, bool goes_on);

/// The constraint of a grammar, kept under `key` for requests that ask for the same again. What `make` throws
/// about a schema becomes an ApiError 400 that names `field`.
std::shared_ptr<const TokenConstraint> constrain(const ModelContext& model, std::string_view field,
                                                 const std::string& key, const std::function<Grammar()>& make,
                                                 const ThoughtRoom& room = {});

/// Instances of a JSON Schema.
std::shared_ptr<const TokenConstraint> constrain_to_schema(const ModelContext& model, std::string_view field,
                                                           const OrderedJson& schema, const ThoughtRoom& room = {});

/// At most one of the three is set; `field` is the one that a client wrote, empty where plain text is asked
/// for.
struct AnswerFormat {
  std::string field;
  std::optional<OrderedJson> schema;
  std::optional<std::string> pattern;
  std::vector<std::string> choices;
};
/// "response_format", and vLLM's "structured_outputs" and "guided_…".
AnswerFormat read_answer_format(BodyFields& fields);
/// Null for plain text.
std::shared_ptr<const TokenConstraint> constrain_to_format(const ModelContext& model,
                                                           const AnswerFormat& format, const ThoughtRoom& room = {});

}  // namespace fettle::serve
