#pragma once
// Answers that need no route: JSON, and errors in OpenAI's shape.
#include <string>

#include "serve/http/api_error.h"
#include "serve/http/cors.h"
#include "serve/http/message.h"

namespace fettle::serve {

void answer_json(HttpResponse& response, int status, const Json& body);
void answer_error(HttpResponse& response, const ApiError& error);

/// What every answer carries unless it says otherwise: it is kept by no cache, embedded by no other site, and is the type that
/// it says.
Headers common_headers();

/// The shape of errors under a request's target.
ErrorShape shape_of(std::string_view target);

/// A whole answer, head and body, to what became no request; the connection ends with it.
std::string plain_answer(const ApiError& error, const Headers& headers = {});

}  // namespace fettle::serve
