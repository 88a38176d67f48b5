#pragma once
// The fields of a chat request that are about tools.
#include <memory>
#include <string>
#include <vector>

#include "serve/api/constraint.h"

namespace fettle::serve {

/// "tools", "tool_choice" and "parallel_tool_calls".
struct ToolFields {
  OrderedJson list = OrderedJson::array();
  std::vector<std::string> names;  ///< that may be called
  bool none = false;               ///< tool_choice "none"
  bool required = false;           ///< a call must come
  bool limited = false;            ///< tool_choice names some of the tools
  bool several = true;             ///< parallel_tool_calls
};

/// Throws ApiError 400 naming the field.
ToolFields read_tools(BodyFields& fields, const ModelContext& model);

/// Holds the answer to calls as the template writes them, where the request says more than "call what you
/// like": a call must come, some tools alone, one call at most, a function is strict. Null where it does not.
/// `answer`: the schema that an answer without calls keeps to (response_format), if any. Throws ApiError 400.
std::shared_ptr<const TokenConstraint> call_constraint(const ToolFields& tools, const ModelContext& model,
                                                       const OrderedJson* answer, const ThoughtRoom& room = {});

/// Templates read the arguments of earlier calls as an object, clients send them as text.
void parse_call_arguments(Messages& messages);

}  // namespace fettle::serve
