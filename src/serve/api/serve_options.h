#pragma once
// What `fettle serve` is told.
#include <chrono>
#include <map>
#include <string>
#include <vector>

#include "generate/engine.h"
#include "serve/http/options.h"
#include "serve/store/request_log.h"

namespace fettle::serve {

struct ServeOptions {
  HttpOptions http;
  EngineOptions engine;
  std::vector<std::string> names;            ///< of the model; empty: its file's or folder's name
  std::map<std::string, fs::path> adapters;  ///< loaded before the first request
  std::vector<std::string> api_keys;         ///< empty: everybody may ask
  std::vector<std::string> allowed_hosts;    ///< names that clients may call the server by, beside its own
  std::string model_type;                ///< an OpenChat type; empty: what openchat.json says, if anything
  bool enable_sys_prompt = false;        ///< OpenChat types: system messages count
  std::string chat_template;             ///< Jinja source, or the name of a template of the model, instead of its own
  int32_t stream_period = 1;             ///< pieces of text gathered into one event
  std::chrono::milliseconds timeout{0};  ///< of one answer; 0: none
  int32_t most_answers = 128;            ///< n times prompts of one request
  RequestLogOptions log;                 ///< an empty path: no log
  fs::path votes;                        ///< an empty path: the arena keeps no votes
};

}  // namespace fettle::serve
