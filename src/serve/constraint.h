#pragma once
// What a request says about the form of its answer, as a constraint on tokens. Thread-safe.
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "serve/completion_request.h"

namespace fettle::serve {

/// The constraint of a grammar, kept under `key` for requests that ask for the same again. What `make` throws
/// about a schema becomes an ApiError 400 that names `field`.
std::shared_ptr<const TokenConstraint> constrain(const ModelContext& model, std::string_view field,
                                                 const std::string& key,
                                                 const std::function<Grammar()>& make);

/// Instances of a JSON Schema; any JSON object.
std::shared_ptr<const TokenConstraint> constrain_to_schema(const ModelContext& model, std::string_view field,
                                                           const OrderedJson& schema);
std::shared_ptr<const TokenConstraint> constrain_to_object(const ModelContext& model, std::string_view field);

/// "response_format"; null where it asks for plain text.
std::shared_ptr<const TokenConstraint> read_response_format(Fields& fields, const ModelContext& model);

}  // namespace fettle::serve
