#include "data/html/warc.h"

#include <gtest/gtest.h>
#include <zlib.h>
#include <zstd.h>

#include "data/html/http_answer.h"
#include "data/html/pages.h"
#include "data/test_data.h"

namespace fettle::data {
namespace {

std::string deflated(std::string_view text, int bits) {
  z_stream stream{};
  deflateInit2(&stream, 6, Z_DEFLATED, bits, 8, Z_DEFAULT_STRATEGY);
  std::string out(text.size() + 100, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}
std::string gzipped(std::string_view text) {
  return deflated(text, 15 + 16);
}

std::string chunked(std::string_view body, size_t size, bool with_last = true) {
  std::string out;
  for (; !body.empty(); body.remove_prefix(std::min(size, body.size()))) {
    out += fmt::format("{:X};name=value\r\n", std::min(size, body.size())) +
           std::string(body.substr(0, size)) + "\r\n";
  }
  return out + (with_last ? "0\r\nTrailer: x\r\n\r\n" : "");
}

std::string answer(const std::string& body, const std::string& heads = "") {
  return "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n" + heads + "\r\n" + body;
}

const std::string page =
    "<html><body><p>Water the tomatoes every morning until the seeds are up.</p></body></html>";

TEST(HttpAnswer, ChunksAreJoinedWithAndWithoutTheLast) {
  const std::string head = "Transfer-Encoding: chunked\r\n";
  for (const bool last : {true, false}) {
    const auto got = unpack_http(answer(chunked(page, 20, last), head), 1 << 20);
    EXPECT_TRUE(got.is_page);
    EXPECT_EQ(got.body, page);
    EXPECT_EQ(got.problem, "");
  }
  EXPECT_EQ(unpack_http(answer(page, head), 1 << 20).body, page);  // joined by the crawler
  const std::string cut = chunked(page, 20);
  const auto in_chunk = unpack_http(answer(cut.substr(0, 60), head), 1 << 20);
  EXPECT_TRUE(page.starts_with(in_chunk.body)) << in_chunk.body;
  EXPECT_EQ(in_chunk.problem, "it ends inside a chunk");
  const auto broken =
      unpack_http(answer(chunked(page.substr(0, 40), 20, false) + "zz\r\nrest", head), 1 << 20);
  EXPECT_EQ(broken.body, page.substr(0, 40));
  EXPECT_NE(broken.problem.find("the chunk at byte 40 of the page"), std::string::npos);
}

TEST(HttpAnswer, BodiesAreUnpackedWhateverTheHeadSays) {
  std::string zstd(200, '\0');
  zstd.resize(ZSTD_compress(zstd.data(), zstd.size(), page.data(), page.size(), 3));
  const std::string text = "<p>" + std::string(300, 'a') + "</p>";
  // Of that text, by brotli 1.2.1 of PyPI.
  const std::string brotli("\x1b\x32\x01\xf8\xa5\x79\x7c\xc2\xe0\x94\x20\xa3\x15\x02\xd4\x2c\xb3\xd1\x00",
                           19);
  for (const auto& [body, heads, wanted] :
       std::initializer_list<std::tuple<std::string, const char*, std::string>>{
           {gzipped(page), "Content-Encoding: gzip\r\n", page},
           {gzipped(page), "Content-Encoding: X-GZIP\r\n", page},
           {deflated(page, 15), "Content-Encoding: deflate\r\n", page},
           {deflated(page, -15), "Content-Encoding: deflate\r\n", page},
           {zstd, "Content-Encoding: zstd\r\n", page},
           {brotli, "Content-Encoding: br\r\n", text},
           {page, "Content-Encoding: gzip\r\n", page},
           {page, "Content-Encoding: br\r\n", page},
           {page, "Content-Encoding: deflate\r\n", page},
           {gzipped(page), "", page},
           {gzipped(gzipped(page)), "Content-Encoding: gzip\r\n", page},
           {gzipped(gzipped(page)), "Content-Encoding: gzip, gzip\r\n", page},
           {gzipped(deflated(page, -15)), "Content-Encoding: deflate\r\nContent-Encoding: gzip\r\n", page},
           {chunked(gzipped(page), 20), "Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n", page},
           {chunked(gzipped(page), 20, false), "Transfer-Encoding: gzip, chunked\r\n", page},
           {page, "Content-Encoding: identity\r\n", page},
           {page, "Content-Encoding: UTF-8\r\n", page}}) {
    const auto got = unpack_http(answer(body, heads), 1 << 20);
    EXPECT_TRUE(got.is_page) << heads;
    EXPECT_EQ(got.body, wanted) << heads;
    EXPECT_EQ(got.problem, "") << heads;
  }
}

TEST(HttpAnswer, DamagedAndLargeBodiesAreNamed) {
  const std::string packed = gzipped(page);
  const auto cut =
      unpack_http(answer(packed.substr(0, packed.size() - 20), "Content-Encoding: gzip\r\n"), 1 << 20);
  EXPECT_NE(cut.problem.find("the gzip data end in the middle"), std::string::npos);
  EXPECT_TRUE(page.starts_with(cut.body));
  EXPECT_FALSE(cut.body.empty());
  const auto bomb =
      unpack_http(answer(gzipped(std::string(500000, ' ')), "Content-Encoding: gzip\r\n"), 10000);
  EXPECT_EQ(bomb.problem, "it unpacks to more than 10000 bytes");
  const auto strange = unpack_http(answer("\x01\x02\x03", "Content-Encoding: sdch\r\n"), 1 << 20);
  EXPECT_FALSE(strange.is_page);
  EXPECT_EQ(strange.problem, "the body is packed as 'sdch', which is not read");
}

std::string record(const std::string& address, const std::string& content, int64_t lie = 0,
                   const char* type = "response") {
  return "WARC/1.0\r\nWARC-Type: " + std::string(type) + "\r\nWARC-Target-URI: " + address +
         "\r\nContent-Length: " + std::to_string(static_cast<int64_t>(content.size()) + lie) + "\r\n\r\n" +
         content + "\r\n\r\n";
}

struct Archive {
  std::vector<std::string> pages, problems;
};
Archive read_archive(const std::string& bytes, size_t step) {
  Archive archive;
  size_t at = 0;
  WarcReader reader(
      [&](char* to, size_t size) {
        const size_t piece = std::min({size, step, bytes.size() - at});
        bytes.copy(to, piece, at);
        at += piece;
        return piece;
      },
      [&](const std::string& reason, const std::string& detail) {
        archive.problems.push_back(reason + ": " + detail);
      },
      1 << 20);
  WarcPage found;
  while (reader.next(found)) archive.pages.push_back(found.address + " " + found.body);
  return archive;
}

TEST(Warc, LengthsThatLieDoNotSwallowTheNextRecord) {
  const std::string bytes = record("http://a/", answer("<p>one"), 30) +
                            record("http://b/", "GET / HTTP/1.1\r\n\r\n", 300, "request") +
                            record("http://c/", answer("<p>three and more"), -5) +
                            record("http://d/", answer("<p>four"), 5000);
  for (const size_t step : {size_t{1}, size_t{13}, bytes.size()}) {
    const auto archive = read_archive(bytes, step);
    EXPECT_EQ(archive.pages, (std::vector<std::string>{"http://a/ <p>one", "http://c/ <p>three and",
                                                       "http://d/ <p>four\r\n\r\n"}));
    ASSERT_EQ(archive.problems.size(), 4u);
    EXPECT_NE(archive.problems[0].find("http://a/: the next record begins inside it"), std::string::npos);
    EXPECT_NE(archive.problems[1].find("http://b/: the next record begins inside it"), std::string::npos);
    EXPECT_NE(archive.problems[2].find("a record was expected"), std::string::npos);
    EXPECT_NE(archive.problems[3].find("ends in the middle"), std::string::npos);
  }
}

TEST(Warc, APageThatShowsARecordStaysWhole) {
  const std::string shown = "<pre>\r\n\r\nWARC/1.0\r\nWARC-Type: response\r\n\r\n</pre>";
  const auto archive =
      read_archive(record("http://a/", answer(shown)) + record("http://b/", answer("<p>b")), 100);
  EXPECT_EQ(archive.pages, (std::vector<std::string>{"http://a/ " + shown, "http://b/ <p>b"}));
  EXPECT_TRUE(archive.problems.empty());
}

TEST(Warc, PlainTextOfAWetArchiveIsNamed) {
  const auto archive = read_archive(record("http://a/", "plain text", 0, "conversion"), 100);
  EXPECT_TRUE(archive.pages.empty());
  EXPECT_EQ(archive.problems, (std::vector<std::string>{"plain text, not a page: http://a/"}));
}

TEST(Warc, ArchivesAreKnownByTheirContentAndPackedRecordByRecord) {
  const Folder folder;
  const std::string packed =
      gzipped(record("http://a/", answer("<p>one"))) + gzipped(record("http://b/", answer("<p>two")));
  RejectedRows rejected;
  PageReader reader({folder.file("crawl", packed)}, rejected);
  std::vector<Page> batch;
  ASSERT_TRUE(reader.next(batch));
  ASSERT_EQ(batch.size(), 2u);
  EXPECT_EQ(batch[1].source, "http://b/");
  EXPECT_EQ(reader.formats().at("warc, gzip"), 1);
  EXPECT_EQ(rejected.count(), 0);
}

TEST(Warc, InputsOfWhichNothingWasReadAreNamed) {
  const Folder folder;
  folder.file("pages/a.html", "<p>a");
  folder.file("pages/b.html.gz", "\x1f\x8b\x08");
  folder.file("pages/c.html",
              "From: x\r\nMIME-Version: 1.0\r\nContent-Type: multipart/related; boundary=y\r\n\r\n<p>");
  RejectedRows rejected;
  PageReader reader({folder.path("pages")}, rejected);
  std::vector<Page> batch;
  ASSERT_TRUE(reader.next(batch));
  EXPECT_EQ(batch.size(), 1u);
  ASSERT_EQ(reader.unread().size(), 2u);
  EXPECT_NE(reader.unread()[0].reason.find("gzip data end in the middle"), std::string::npos);
  EXPECT_NE(reader.unread()[1].reason.find("MHTML"), std::string::npos);
}

}  // namespace
}  // namespace fettle::data
