#pragma once
// The OpenAI-compatible server over one model: everything that `fettle serve` is, but its flags.
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "generate/open_model.h"
#include "serve/api/serve_options.h"

namespace fettle::serve {

class Server {
 public:
  /// `model` must outlive the server. Throws Error when an adapter or a file cannot be opened.
  Server(OpenModel& model, ServeOptions options);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  /// Binds the address and returns the port.
  int bind();
  /// Serves until `ended` (asked ten times a second) says true, and what runs by then is finished. Throws Error(io) naming the
  /// file when the model's was cut or rewritten: nothing can be answered any more.
  void run(const std::function<bool()>& ended);
  /// Lines that a person should read before the first request: address, models, warnings.
  std::vector<std::string> notes() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace fettle::serve
