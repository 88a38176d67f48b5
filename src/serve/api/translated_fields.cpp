#include "serve/api/translated_fields.h"

namespace fettle::serve {

CompletionCall decode_translated(const OrderedJson& chat, const ModelContext& model,
                                 std::initializer_list<std::pair<std::string_view, std::string_view>> names) {
  try {
    return decode_chat(chat, model);
  } catch (const ApiError& error) {
    for (const auto& [from, to] : names) {
      const std::string_view param = error.param();
      const bool inside =
          param.size() > from.size() && (param[from.size()] == '.' || param[from.size()] == '[');
      if (!param.starts_with(from) || (param.size() > from.size() && !inside)) continue;
      const std::string_view message = error.what();
      const size_t named = message.starts_with(from) ? from.size() : 0;
      throw ApiError(error.status(), error.code(), fmt::format("{}{}", to, param.substr(from.size())),
                     fmt::format("{}{}", named > 0 ? to : "", message.substr(named)));
    }
    throw;
  }
}

void set_thinking(OrderedJson& chat, bool enabled, const ModelContext& model) {
  if (model.chat == nullptr) return;
  OrderedJson& variables = chat["chat_template_kwargs"];
  if (variables.is_null()) variables = OrderedJson::object();
  if (variables.is_object() && !variables.contains("enable_thinking")) variables["enable_thinking"] = enabled;
}

}  // namespace fettle::serve
