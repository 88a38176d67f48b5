// Speed of a tokenizer, and its ids for others to compare.
//   tokenizer_bench MODEL FILE…       MB/s of encoding each file as one text and as lines, and of decoding;
//   the decoded
//                                     text must encode to the same ids again
//   tokenizer_bench MODEL --ids       reads records (4 bytes of length, 1 flag byte, the text) from standard
//   input and
//                                     writes for each: count, ids, length of the decoded text, text (integers
//                                     of 4 bytes). Flags: 1 adds special tokens, 2 parses them.
// MODEL is a folder, a tokenizer.json, a tokenizer.model or a llama2.c tokenizer.
#include <chrono>
#include <cstdio>
#include <cstring>
#include <functional>
#include <string>

#include "base/error.h"
#include "text/tokenizer/tokenizer.h"

namespace {

using fettle::Tokenizer;

template <typename T>
bool read_value(T& value) {
  return std::fread(&value, sizeof value, 1, stdin) == 1;
}

void write_bytes(const void* data, size_t size) {
  if (std::fwrite(data, 1, size, stdout) != size) throw fettle::Error("standard output: cannot write");
}

void answer_records(const Tokenizer& tokenizer) {
  uint32_t size = 0;
  while (read_value(size)) {
    uint8_t flags = 0;
    std::string text(size, '\0');
    if (!read_value(flags) || std::fread(text.data(), 1, size, stdin) != size)
      throw fettle::Error("input is cut short");
    const auto ids = tokenizer.encode(text, {(flags & 1) != 0, (flags & 2) != 0});
    const std::string decoded = tokenizer.decode(ids, false);
    const auto count = static_cast<uint32_t>(ids.size()), length = static_cast<uint32_t>(decoded.size());
    write_bytes(&count, 4);
    write_bytes(ids.data(), ids.size() * 4);
    write_bytes(&length, 4);
    write_bytes(decoded.data(), length);
    std::fflush(stdout);
  }
}

double seconds_of(const std::function<void()>& work) {
  double best = 1e9;
  for (int round = 0; round < 5; ++round) {
    const auto start = std::chrono::steady_clock::now();
    work();
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  return best;
}

void measure(const Tokenizer& tokenizer, const std::string& path) {
  const std::string text = fettle::read_file(path);
  std::vector<int32_t> ids;
  const double whole = seconds_of([&] { ids = tokenizer.encode(text); });
  size_t tokens = 0;
  const double lines = seconds_of([&] {
    tokens = 0;
    for (size_t at = 0; at < text.size();) {
      const size_t end = std::min(text.find('\n', at), text.size() - 1) + 1;
      tokens += tokenizer.encode(std::string_view(text).substr(at, end - at)).size();
      at = end;
    }
  });
  std::string decoded;
  const double decoding = seconds_of([&] { decoded = tokenizer.decode(ids, false); });
  if (tokenizer.encode(decoded) != ids) throw fettle::Error(path + ": the decoded text encodes to other ids");
  const double megabytes = static_cast<double>(text.size()) / 1e6;
  fmt::print(
      "{}: {:.2f} MB, {} tokens; encode {:.1f} MB/s as one text, {:.1f} MB/s by lines; decode {:.1f} MB/s\n",
      path, megabytes, ids.size(), megabytes / whole, megabytes / lines, megabytes / decoding);
}

}  // namespace

int main(int count, char** arguments) {
  try {
    if (count < 3) fettle::fail_usage("tokenizer_bench MODEL FILE… | tokenizer_bench MODEL --ids");
    const auto start = std::chrono::steady_clock::now();
    const auto tokenizer = Tokenizer::open(arguments[1]);
    if (std::strcmp(arguments[2], "--ids") == 0) {
      answer_records(*tokenizer);
      return 0;
    }
    fmt::print("loaded {} tokens in {:.0f} ms\n", tokenizer->size(),
               std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count());
    for (int i = 2; i < count; ++i) measure(*tokenizer, arguments[i]);
    return 0;
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 1;
  }
}
