#pragma once
// What an OpenAI-compatible endpoint answers: a response, an event of a stream, an error. Nothing in it is believed: types, numbers of
// choices and, in the client, bytes are checked.
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/json.h"
#include "generate/chat_client.h"

namespace fettle {

/// Bytes of one answer, all its events together, that are taken from an endpoint.
inline constexpr size_t largest_reply = size_t{64} << 20;

/// Where a choice holds its text: whole responses in "message", events in "delta".
enum class ReplyPart { message, delta };

using OnReplyText = std::function<void(int32_t choice, std::string_view text)>;

/// The endpoint's own words: OpenAI's {"error": {"message"}}, else the beginning of the body.
std::string endpoint_reason(const std::string& body);

/// Adds what a response, or one event of a stream, says to `reply`, whose choices are as many as were asked for. Throws Error with
/// `where` for what has another shape, a choice that was not asked for, and an error in place of an answer.
void read_reply(const Json& json, ReplyPart part, ChatReply& reply, const OnReplyText& on_text, const std::string& where);

}  // namespace fettle
