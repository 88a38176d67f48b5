// Speed of the passes over rows, on one thread, each beside what limits it.
//   data_bench [MEGABYTES]                 exact dedupe and phrase filter in MB/s, beside memory bandwidth; MinHash in
//                                          documents/s
//   data_bench --tokens MODEL [MEGABYTES | FILE]  conversations to token rows, beside the tokenizer alone on the same
//                                          texts, which the template rendered before
//   data_bench --near FILE.json THRESHOLD  {"texts": […]}: the clusters of near-duplicates as JSON, for bench/minhash_peer
#include <chrono>
#include <cstring>
#include <ctime>
#include <functional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/random.h"
#include "base/threads.h"
#include "data/files/writer.h"
#include "data/passes/convert_rows.h"
#include "data/passes/dedupe.h"
#include "data/passes/filter.h"
#include "data/rows/example.h"
#include "data/signals/minhash.h"
#include "text/chat/chat_template.h"
#include "text/tokenizer/tokenizer.h"

namespace {

using namespace fettle;

/// The best of some rounds: on the clock, and of the processor (system calls included), which other programs disturb less.
struct Seconds {
  double clock = 1e9, processor = 1e9;
};

Seconds seconds_of(const std::function<void()>& work, int rounds = 3) {
  Seconds best;
  for (int round = 0; round < rounds; ++round) {
    const auto start = std::chrono::steady_clock::now();
    const std::clock_t processor = std::clock();
    work();
    best.clock = std::min(best.clock, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    best.processor = std::min(best.processor, static_cast<double>(std::clock() - processor) / CLOCKS_PER_SEC);
  }
  return best;
}

/// Bytes copied a second, read and written counted once each.
double copy_bandwidth() {
  const std::string from(size_t{256} << 20, 'x');
  std::string to(from.size(), 'y');
  const double seconds = seconds_of([&] { std::memcpy(to.data(), from.data(), from.size()); }).processor;
  return 2 * static_cast<double>(from.size()) / seconds;
}

struct Corpus {
  std::vector<std::string> texts;
  uint64_t bytes = 0;
};

/// Conversations of about 2 kB; one in twenty repeats an earlier one, one in fifty refuses.
Corpus write_corpus(const fs::path& path, uint64_t bytes) {
  Random random(1);
  std::vector<std::string> words;
  for (int i = 0; i < 5000; ++i) {
    std::string word;
    for (uint64_t length = 2 + random.below(8); word.size() < length;) word += static_cast<char>('a' + random.below(26));
    words.push_back(word);
  }
  const auto passage = [&](size_t size) {
    std::string text;
    while (text.size() < size) text += (text.empty() ? "" : " ") + words[random.below(words.size())];
    return text;
  };
  Corpus corpus;
  data::RowWriter writer(path);
  for (int64_t id = 0; corpus.bytes < bytes; ++id) {
    std::string answer = random.below(20) == 0 && !corpus.texts.empty() ? corpus.texts[random.below(corpus.texts.size())]
                                                                       : passage(1200 + random.below(1200));
    if (random.below(50) == 0) answer += " As an AI language model, I cannot do that.";
    const std::string row = dump_json(OrderedJson{
        {"id", std::to_string(id)},
        {"messages", {{{"role", "user"}, {"content", "tell me"}}, {{"role", "assistant"}, {"content", answer}}}}});
    writer.write_text(row);
    corpus.bytes += row.size() + 1;
    corpus.texts.push_back(std::move(answer));
  }
  writer.commit();
  return corpus;
}

void measure(uint64_t megabytes) {
  set_threads(1);
  const TemporaryFolder folder;
  const auto input = folder.path() / "in.jsonl";
  const Corpus corpus = write_corpus(input, megabytes << 20);
  const data::PassFiles files{{input.string()}, folder.path() / "out.jsonl", {}};
  const double bandwidth = copy_bandwidth(), size = static_cast<double>(corpus.bytes);
  fmt::print("memory: {:.1f} GB/s copied\n", bandwidth / 1e9);
  const auto report = [&](const char* what, const Seconds& seconds) {
    fmt::print("{:<28} {:6.0f} MB/s, {:6.0f} MB a processor second, {:.1f} % of the memory's\n", what, size / seconds.clock / 1e6,
               size / seconds.processor / 1e6, 100 * size / seconds.processor / bandwidth);
  };
  data::RejectedRows none;
  report("reading rows", seconds_of([&] {
           data::RowReader reader({input.string()}, none);
           std::vector<data::Row> batch;
           while (reader.next(batch)) {
           }
         }));
  int64_t kept = 0;
  report("exact dedupe", seconds_of([&] { kept = data::dedupe_rows(files, {}).out; }));
  if (kept >= static_cast<int64_t>(corpus.texts.size()) || kept == 0) fail("dedupe", "kept {} rows", kept);
  data::FilterOptions filter;
  filter.phrases = data::phrase_list("wizardlm-unfiltered");
  report("phrase filter", seconds_of([&] { kept = data::filter_rows(files, filter).out; }));
  if (kept >= static_cast<int64_t>(corpus.texts.size()) || kept == 0) fail("filter", "kept {} rows", kept);
  uint32_t sum = 0;
  const Seconds signing = seconds_of([&] {
    data::Shingler shingler(5);
    std::vector<uint32_t> set;
    for (const auto& text : corpus.texts) {
      shingler.add(text);
      shingler.take(set);
      sum ^= data::minhash(set, 1)[0];
    }
  });
  const auto documents = static_cast<double>(corpus.texts.size());
  fmt::print("{:<28} {:6.0f} documents/s, {:.0f} MB/s, {:.0f} MB a processor second ({})\n", "MinHash, 128 permutations",
             documents / signing.clock, size / signing.clock / 1e6, size / signing.processor / 1e6, sum);
  data::DedupeOptions near;
  near.near = true;
  report("near dedupe, whole pass", seconds_of([&] { data::dedupe_rows(files, near); }, 1));
}

/// What convert hands to the tokenizer for its default, `--train-on completions`: each conversation as the template
/// renders it, and its prompt.
std::vector<std::string> rendered_texts(const fs::path& input, const ChatTemplate& chat) {
  std::vector<std::string> texts;
  data::RejectedRows none;
  for (const auto& row : data::read_rows({input.string()}, none)) {
    const auto example = data::example_from_row(row, data::Format::automatic, {}, "row");
    std::span<const Message> turns = example.completion.messages;
    while (!turns.empty() && turns.back().role != "assistant") turns = turns.first(turns.size() - 1);
    if (turns.empty()) continue;
    texts.push_back(chat.render(turns).text);
    texts.push_back(chat.render(turns.first(turns.size() - 1), {.add_generation_prompt = true}).text);
  }
  return texts;
}

/// `rows` names a file of conversations, or is a number of megabytes to generate.
void tokens(const std::string& model, const std::string& rows) {
  set_threads(1);
  const TemporaryFolder folder;
  fs::path input = rows;
  if (!fs::exists(input)) {
    input = folder.path() / "in.jsonl";
    write_corpus(input, std::stoull(rows) << 20);
  }
  const auto tokenizer = Tokenizer::open(model);
  const auto chat = ChatTemplate::of(*tokenizer);
  const auto texts = rendered_texts(input, chat);
  data::ConvertOptions options;
  options.tokenizer = tokenizer.get();
  options.chat = &chat;
  options.tokenize.max_length = 0;
  Seconds alone, pass;
  for (int round = 0; round < 5; ++round) {  // in turn, so that both see the same neighbours
    const auto better = [](Seconds& best, const Seconds& now) {
      best = {std::min(best.clock, now.clock), std::min(best.processor, now.processor)};
    };
    better(alone, seconds_of(
                      [&] {
                        for (const auto& text : texts) {
                          const Tokenizer::Piece piece{text, true};
                          tokenizer->encode_pieces({&piece, 1}, {.begins = false});
                        }
                      },
                      1));
    better(pass, seconds_of(
                     [&] { data::convert_rows({{input.string()}, folder.path() / "tokens.jsonl", {}}, options); }, 1));
  }
  const auto speed = [&](double seconds) { return static_cast<double>(fs::file_size(input)) / seconds / 1e6; };
  fmt::print("tokens: the tokenizer alone {:.1f} MB/s, the whole pass {:.1f} MB/s; a processor second {:.1f} and {:.1f} MB ({:.0f} %)\n",
             speed(alone.clock), speed(pass.clock), speed(alone.processor), speed(pass.processor),
             100 * alone.processor / pass.processor);
}

void near_clusters(const std::string& path, double threshold) {
  const Json input = read_json(path);
  const TemporaryFolder folder;
  data::RowWriter writer(folder.path() / "in.jsonl");
  int64_t id = 0;
  for (const auto& text : input.at("texts")) writer.write(OrderedJson{{"id", std::to_string(id++)}, {"text", text}});
  writer.commit();
  data::DedupeOptions options;
  options.threshold = threshold;
  set_threads(1);
  std::vector<uint32_t> first;
  const Seconds seconds = seconds_of(
      [&] { first = data::near_clusters({{(folder.path() / "in.jsonl").string()}, {}, {}}, options); });
  fmt::print("{}\n", dump_json(OrderedJson{{"seconds", seconds.clock}, {"processor", seconds.processor}, {"first", first}}));
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const std::string first = argc > 1 ? argv[1] : "200";
    if (first == "--near" && argc > 3) {
      near_clusters(argv[2], std::stod(argv[3]));
    } else if (first == "--tokens" && argc > 2) {
      tokens(argv[2], argc > 3 ? argv[3] : "20");
    } else {
      measure(std::stoull(first));
    }
  } catch (const std::exception& error) {
    fmt::print(stderr, "data_bench: {}\n", error.what());
    return 1;
  }
  return 0;
}
