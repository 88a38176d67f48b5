#pragma once
// UltraFeedback's replies about all texts at once.
#include <optional>
#include <string_view>

#include "feedback/reply_rules.h"

namespace fettle::feedback {

/// "Rating: …\nRationale: …" for each of `texts` texts; typed ones begin with "Type: …\nRationale: …". None unless all are there.
std::optional<ReplyReading> rated_texts(const ReplyRules& rules, std::string_view reply, size_t texts, bool typed);

}  // namespace fettle::feedback
