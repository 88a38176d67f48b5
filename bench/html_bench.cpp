// Speed of HTML to Markdown, and its texts for others to compare.
//   html_bench               MB/s, on one thread, of turning answers as ShareGPT's pages have them into
//   Markdown by OpenChat's
//                            rules, and by the general converter. Every text is checked.
//   html_bench FILE.jsonl    the same for the "html" of each row
//   html_bench --texts FILE.jsonl   one JSON text a line by OpenChat's rules as published, as Python's json
//   writes it
// bench/html_peer makes the rows and runs the Python libraries beside it.
#include <chrono>
#include <cstring>
#include <ctime>
#include <functional>
#include <string>
#include <vector>

#include "base/hash.h"
#include "base/json.h"
#include "base/random.h"
#include "data/files/reader.h"
#include "data/html/markdown.h"
#include "data/openchat/python_text.h"
#include "data/openchat/sharegpt_text.h"
#include "data/openchat/tag_soup.h"

namespace {

using namespace fettle;

std::string text_of(const std::string& html, data::CodeBlocks blocks) {
  try {
    return data::sharegpt_to_markdown(html, blocks);
  } catch (const data::SoupError&) {
    return "Parser error";
  }
}

std::vector<std::string> read_pages(const std::string& path) {
  data::RejectedRows rejected;
  std::vector<std::string> pages;
  for (const auto& row : data::read_rows({path}, rejected))
    pages.push_back(row.at("html").get<std::string>());
  if (pages.empty() || rejected.count() > 0) fail(path, "rows of {{\"html\"}} were expected");
  return pages;
}

/// A block of an answer and the text it becomes.
struct Piece {
  const char *html, *text;
};

/// Answers of some 2 kB with the text that each must become.
void make_pages(std::vector<std::string>& pages, std::vector<std::string>& texts) {
  constexpr Piece pieces[] = {
      {"<p>A river carries <strong>more</strong> water in <em>spring</em> than the map&#39;s "
       "<code>blue_line</code> says, as "
       "<a href=\"https://example.org/rivers\" target=\"_new\">this page</a> explains at some length.</p>",
       "A river carries **more** water in *spring* than the map's `blue_line` says, as [this "
       "page](https://example.org/rivers) explains "
       "at some length.\n\n"},
      {"<ol><li><p>First, measure.</p></li><li><p>Then, and only then, cut &amp; join.</p></li></ol>",
       "1. First, measure.\n2. Then, and only then, cut & join.\n"},
      {"<h3>How it works</h3>", "### How it works\n\n"},
      {"<blockquote><p>Said twice.</p></blockquote>", "\n> Said twice.\n> \n> \n\n"},
  };
  Random random(1);
  for (int page = 0; page < 2000; ++page) {
    std::string html = "<div class=\"markdown prose w-full break-words dark:prose-invert light\"><p>So:</p>",
                text = "So:\n\n";
    for (int i = 0; i < 8; ++i) {
      const auto& piece = pieces[random.below(2)];
      html += piece.html;
      text += piece.text;
      if (piece.html[1] != 'o') continue;
      html += pieces[2].html;
      text += std::string("\n") + pieces[2].text;
    }
    html += "<p>End.</p></div>";
    pages.push_back(html);
    texts.push_back(text + "End.");
  }
}

void check(const std::vector<std::string>& pages, const std::vector<std::string>& texts) {
  for (size_t i = 0; i < pages.size(); ++i) {
    const std::string text = text_of(pages[i], data::CodeBlocks::repaired);
    // Two lists in a row, and a list before a paragraph, differ by an empty line from what the pieces say one
    // by one.
    std::string ours, wanted;
    for (const char c : text) ours += c == '\n' ? "" : std::string(1, c);
    for (const char c : texts[i]) wanted += c == '\n' ? "" : std::string(1, c);
    if (ours != wanted) fail("html_bench", "page {} became\n{}\nwanted\n{}", i, text, texts[i]);
  }
}

void measure(const char* name, const std::vector<std::string>& pages,
             const std::function<std::string(const std::string&)>& convert) {
  size_t bytes = 0;
  for (const auto& page : pages) bytes += page.size();
  double best = 1e9, least_processor = 1e9;
  std::string answer;
  for (int round = 0; round < 5; ++round) {
    Hasher hasher;
    const auto start = std::chrono::steady_clock::now();
    const std::clock_t processor = std::clock();
    for (const auto& page : pages) hasher.add(convert(page));
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    least_processor = std::min(least_processor, static_cast<double>(std::clock() - processor) / CLOCKS_PER_SEC);
    if (!answer.empty() && answer != hasher.hex()) fail(name, "the texts differ from one round to the next");
    answer = hasher.hex();
  }
  const double megabytes = static_cast<double>(bytes) / 1e6;
  fmt::print("{}: {} texts, {:.2f} MB, {:.1f} MB/s, {:.1f} MB a processor second\n", name, pages.size(), megabytes, megabytes / best,
             megabytes / least_processor);
}

}  // namespace

int main(int count, char** arguments) {
  try {
    const bool only_texts = count == 3 && std::strcmp(arguments[1], "--texts") == 0;
    if (count > 2 && !only_texts) fail_usage("html_bench [FILE.jsonl] | html_bench --texts FILE.jsonl");
    std::vector<std::string> pages, texts;
    if (count == 1) {
      make_pages(pages, texts);
      check(pages, texts);
    } else {
      pages = read_pages(arguments[count - 1]);
    }
    if (only_texts) {
      for (const auto& page : pages) {
        std::string line;
        data::append_python_json(line, text_of(page, data::CodeBlocks::upstream));
        fmt::print("{}\n", line);
      }
      return 0;
    }
    measure("OpenChat's rules", pages,
            [](const std::string& page) { return text_of(page, data::CodeBlocks::repaired); });
    measure("general converter", pages, [](const std::string& page) {
      try {
        return data::html_to_markdown(page);
      } catch (const Error&) {
        return std::string("nested too deep");
      }
    });
    return 0;
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 1;
  }
}
