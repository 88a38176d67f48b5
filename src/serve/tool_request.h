#pragma once
// The fields of a chat request that are about tools.
#include <memory>
#include <string>
#include <vector>

#include "serve/completion_request.h"

namespace fettle::serve {

/// "tools" and "tool_choice".
struct ToolFields {
  OrderedJson list = OrderedJson::array();
  std::vector<std::string> names;
  bool none = false;      ///< tool_choice "none"
  bool required = false;  ///< a call must come
  std::string only;       ///< of this function, if not empty
};

/// Throws ApiError 400 naming the field.
ToolFields read_tools(Fields& fields, const ModelContext& model);

/// A call that must come is written by a grammar, as the template would have it. Throws ApiError 400 where the
/// format has none.
std::shared_ptr<const TokenConstraint> call_constraint(const ToolFields& tools, const ModelContext& model);

/// Templates read the arguments of earlier calls as an object, clients send them as text.
void parse_call_arguments(Messages& messages);

}  // namespace fettle::serve
