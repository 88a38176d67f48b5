#pragma once
// A server over a small random model, for tests of what stands on the wire.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "checkpoint/peft.h"
#include "checkpoint/save.h"
#include "generate/event_stream.h"
#include "generate/test_support.h"
#include "serve/http/test_client.h"
#include "serve/server.h"

namespace fettle::serve {

using test::ask;
using test::body_of;
using test::RawClient;
using test::status_of;

inline constexpr const char* chat_template =
    "{% for m in messages %}{{ m.role[0] }}:{{ m.content }}\n{% endfor %}{% if add_generation_prompt %}a:{% "
    "endif %}";

/// A model's folder with two adapters beside it.
class ModelFolder {
 public:
  ModelFolder() {
    ModelConfig config = test::byte_config();
    config.context_length = 512;
    Parameters parameters = random_parameters(config, 5);
    test::SmallModel::scaled(parameters);
    const auto tokenizer = test::byte_tokenizer();
    ModelToSave save;
    save.config = &config;
    save.weights.parameters = &parameters;
    save.tokenizer = tokenizer.get();
    save_hf(path(), save, DType::f32);
    for (const uint64_t seed : {1, 2}) {
      AdapterConfig shape;
      shape.rank = 2;
      Adapter adapter = make_adapter(config, shape, seed);
      Random random(seed, 9);
      for (const auto& parameter : adapter.parameters.all()) {
        for (float& value : parameter->value.flat<float>())
          value = static_cast<float>(random.uniform() - 0.5) * 1.5F;
      }
      write_adapter(adapter_path(seed), config, adapter, "base");
    }
  }
  fs::path path() const { return folder_.path() / "small"; }
  fs::path adapter_path(uint64_t number) const {
    return folder_.path() / ("adapter" + std::to_string(number));
  }
  fs::path file(const char* name) const { return folder_.path() / name; }

 private:
  TemporaryFolder folder_;
};

inline const ModelFolder& folder() {
  static const ModelFolder made;
  return made;
}

class Running {
 public:
  explicit Running(ServeOptions options = {}) : model_(folder().path()) {
    set_threads(1);
    options.http.port = 0;
    options.chat_template = chat_template;
    server_ = std::make_unique<Server>(model_, std::move(options));
    port = server_->bind();
    thread_ = std::thread([this] { server_->run([this] { return ended_.load(); }); });
  }
  ~Running() {
    ended_ = true;
    thread_.join();
  }
  Json post(const std::string& path, const Json& body, int wanted = 200,
            const std::string& headers = {}) const {
    const std::string answer = ask(port, "POST", path, dump_json(body), headers);
    EXPECT_EQ(status_of(answer), wanted) << answer;
    return Json::parse(body_of(answer), nullptr, false);
  }
  Json get(const std::string& path, int wanted = 200, const std::string& headers = {}) const {
    const std::string answer = ask(port, "GET", path, {}, headers);
    EXPECT_EQ(status_of(answer), wanted) << answer;
    return Json::parse(body_of(answer), nullptr, false);
  }
  std::string text(Json body) const {
    body.emplace("prompt", "Once");
    body.emplace("max_tokens", 24);
    return post("/v1/completions", body)["choices"][0]["text"];
  }
  int port = 0;

 private:
  OpenModel model_;
  std::unique_ptr<Server> server_;
  std::atomic<bool> ended_{false};
  std::thread thread_;
};

/// The events of a streamed answer.
inline std::vector<Json> events_of(const std::string& answer, bool& whole) {
  std::string body = body_of(answer), bytes;
  for (size_t at = 0; at < body.size();) {  // chunks
    const size_t line = body.find("\r\n", at);
    const size_t size = std::stoul(body.substr(at, line - at), nullptr, 16);
    bytes += body.substr(line + 2, size);
    at = line + 2 + size + 2;
  }
  std::vector<Json> events;
  EventStream stream;
  for (const std::string& event : stream.push(bytes)) {
    whole = event == "[DONE]";
    if (!whole) events.push_back(Json::parse(event));
  }
  return events;
}

}  // namespace fettle::serve
