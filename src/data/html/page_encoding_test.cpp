#include "data/html/page_encoding.h"

#include <gtest/gtest.h>

#include <charconv>
#include <set>

#include "base/hash.h"
#include "base/json.h"
#include "data/html/encoding_labels.h"
#include "data/html/pages.h"
#include "data/html/text_encoding.h"
#include "data/test_data.h"

namespace fettle::data {
namespace {

/// Every code of the encoding, in the order of tests/golden/data/make_encodings.py.
std::vector<std::string> codes_of(const std::string& encoding) {
  std::vector<std::string> codes;
  const auto code = [&](std::initializer_list<int> bytes) {
    codes.emplace_back();
    for (const int byte : bytes) codes.back() += static_cast<char>(byte);
  };
  const std::set<std::string> multiple{"gb18030", "big5", "euc-kr", "shift_jis", "euc-jp"};
  if (multiple.count(encoding) == 0) {
    for (int a = 0x80; a < 0x100; ++a) code({a});
    return codes;
  }
  for (int a = 0x81; a < 0xFF; ++a) {
    const bool alone = encoding == "shift_jis" && ((a >= 0xA0 && a < 0xE0) || a > 0xFC);
    for (int b = 0x40; b < 0xFF && !alone; ++b) {
      if (b != 0x7F) code({a, b});
    }
  }
  for (int a = 0xA1; a < 0xFF && encoding == "euc-jp"; ++a) {
    for (int b = 0xA1; b < 0xFF; ++b) code({0x8F, a, b});
  }
  for (int a = 0xA1; a < 0xE0 && encoding == "shift_jis"; ++a) code({a});
  return codes;
}

TEST(TextEncoding, TablesAreThoseOfTheEncodingStandard) {
  const auto golden =
      OrderedJson::parse(read_file(fs::path(FETTLE_SOURCE_DIR) / "tests/golden/data/encodings.json"));
  EXPECT_EQ(golden.size(), 32u);
  for (const auto& [encoding, wanted] : golden.items()) {
    const auto codes = codes_of(encoding);
    std::string bytes;
    for (const auto& code : codes) bytes += code + "\n";
    std::vector<std::pair<uint32_t, uint32_t>> differ;
    for (const std::string range : wanted["differ"]) {
      const size_t dash = range.find('-');
      differ.emplace_back(std::stoul(range, nullptr, 16), std::stoul(range.substr(dash + 1), nullptr, 16));
    }
    const std::string text = decode_text(encoding, bytes).text;
    std::string lines;
    size_t at = 0;
    for (const auto& code : codes) {
      const size_t end = text.find('\n', at);
      ASSERT_NE(end, std::string::npos);
      const std::string line = text.substr(at, end - at);
      at = end + 1;
      uint32_t number = 0;
      for (const char byte : code) number = number << 8 | static_cast<uint8_t>(byte);
      const bool skipped = std::any_of(differ.begin(), differ.end(), [&](const auto& range) {
        return number >= range.first && number <= range.second;
      });
      lines += (skipped || line.find("\uFFFD") != std::string::npos ? "-" : line) + "\n";
    }
    EXPECT_EQ(sha256_hex(lines), wanted["sha256"]) << encoding;
  }
}

TEST(TextEncoding, LabelsMeanWhatTheStandardSays) {
  for (const auto& [label, encoding] :
       std::initializer_list<std::pair<const char*, const char*>>{{"Latin1", "windows-1252"},
                                                                  {" iso-8859-1\n", "windows-1252"},
                                                                  {"ascii", "windows-1252"},
                                                                  {"gb2312", "gbk"},
                                                                  {"ks_c_5601-1987", "euc-kr"},
                                                                  {"KSC_5601", "euc-kr"},
                                                                  {"windows-949", "euc-kr"},
                                                                  {"x-sjis", "shift_jis"},
                                                                  {"windows-31j", "shift_jis"},
                                                                  {"ms_kanji", "shift_jis"},
                                                                  {"utf8", "utf-8"},
                                                                  {"unicode-1-1-utf-8", "utf-8"},
                                                                  {"utf-16", "utf-16le"},
                                                                  {"ucs-2", "utf-16le"},
                                                                  {"big5-hkscs", "big5"},
                                                                  {"iso-2022-kr", "replacement"},
                                                                  {"hz-gb-2312", "replacement"},
                                                                  {"tis-620", "windows-874"},
                                                                  {"koi", "koi8-r"},
                                                                  {"logical", "iso-8859-8-i"},
                                                                  {"dos-874", "windows-874"},
                                                                  {"x-cp1251", "windows-1251"},
                                                                  {"utf-7", ""},
                                                                  {"", ""},
                                                                  {"utf 8", ""},
                                                                  {"866", "ibm866"}}) {
    EXPECT_EQ(encoding_of_label(label), encoding) << label;
  }
}

TEST(PageEncoding, TheHeadIsReadAsAPrescanReadsIt) {
  for (const auto& [head, encoding] : std::initializer_list<std::pair<const char*, const char*>>{
           {"<meta charset=koi8-r>", "koi8-r"},
           {"<META CHARSET = 'windows-1251' >", "windows-1251"},
           {"<meta name=x charset=\"Shift_JIS\"/>", "shift_jis"},
           {"<meta http-equiv=Content-Type content='text/html; charset = gbk'>", "gbk"},
           {"<meta content='text/html; charset=\"euc-kr\"' http-equiv=content-type>", "euc-kr"},
           {"<meta content='charset=gbk'>", ""},
           {"<meta http-equiv=refresh content='text/html;charset=gbk'>", ""},
           {"<!-- <meta charset=gbk> --><meta charset=big5>", "big5"},
           {"<p title='<meta charset=gbk>'><meta charset=big5>", "big5"},
           {"<metadata charset=gbk><meta charset=big5>", "big5"},
           {"<meta charset=utf-16>", "utf-8"},
           {"<meta charset=x-user-defined>", "windows-1252"},
           {"<meta charset=nonsense><meta charset=koi8-u>", "koi8-u"},
           {"<?xml version='1.0' encoding=\"ISO-8859-2\"?><html>", "iso-8859-2"},
           {"<meta charset", ""},
           {"", ""}}) {
    EXPECT_EQ(encoding_in_head(head), encoding) << head;
  }
}

std::string iconv_text(std::string_view utf8_page, const char* encoding, std::string_view bytes,
                       std::string_view declared = "") {
  const auto page = decode_page(bytes, declared);
  EXPECT_EQ(page.problem, "");
  EXPECT_EQ(page.encoding, encoding);
  EXPECT_EQ(page.text, utf8_page);
  return page.text;
}

TEST(PageEncoding, MarksGoBeforeWhatIsDeclared) {
  using namespace std::string_view_literals;
  iconv_text("<p>é", "utf-8", "\xEF\xBB\xBF<p>\xC3\xA9", "koi8-r");
  iconv_text("<p>é", "UTF-16LE", "\xFF\xFE<\0p\0>\0\xE9\0"sv, "koi8-r");
  iconv_text("<p>é", "UTF-16BE", "\xFE\xFF\0<\0p\0>\0\xE9"sv);
  iconv_text("<p>é", "UTF-16LE", "<\0p\0>\0\xE9\0"sv);
  iconv_text("<p>日本", "iso-2022-jp", "<p>\x1b$BF|K\\\x1b(B", "iso-2022-jp");
  iconv_text(
      "<p>日本", "iso-2022-jp",
      "<meta charset=x><p>\x1b$BF|K\\\x1b(B and a text in Latin letters \x1b$BF|K\\\x1b(B"sv.substr(16, 13),
      "csiso2022jp");
}

TEST(PageEncoding, ValidUtf8IsUtf8WhateverIsDeclared) {
  iconv_text("<meta charset=latin1><p>größer", "utf-8",
             "<meta charset=latin1><p>gr\xC3\xB6\xC3\x9F"
             "er",
             "iso-8859-1");
  iconv_text("<meta charset=latin1><p>gr\u00F6\u00DF", "windows-1252", "<meta charset=latin1><p>gr\xF6\xDF",
             "");
}

TEST(PageEncoding, TheHttpHeadGoesBeforeThePageAndWhatDoesNotFitIsPassedOver) {
  iconv_text("<meta charset=koi8-r>\u041F\u0440\u0438\u0432\u0435\u0442", "windows-1251",
             "<meta charset=koi8-r>\xCF\xF0\xE8\xE2\xE5\xF2", "windows-1251");
  // Shift_JIS, sent as UTF-8 by the server.
  const std::string page =
      "<meta charset=shift_jis>\x93\xFA\x96\x7B\x8C\xEA\x82\xCC\x83\x65\x83\x4C\x83\x58\x83\x67";
  iconv_text("<meta charset=shift_jis>日本語のテキスト", "shift_jis", page, "utf-8");
}

TEST(PageEncoding, WithoutADeclarationItIsRecognised) {
  std::string german, russian, greek;
  for (int i = 0; i < 4; ++i) {
    german +=
        "<p>F\xFC"
        "r die K\xFC"
        "che w\xE4hlen wir \x84gr\xF6\xDF"
        "ere\x93 T\xF6pfe \x96 das kostet f\xFCnf \x80.</p>";
    russian +=
        "<p>\xCA\xE0\xEA \xEF\xEE\xF1\xE0\xE4\xE8\xF2\xFC \xF2\xEE\xEC\xE0\xF2\xFB \xED\xE0 "
        "\xE1\xE0\xEB\xEA\xEE\xED\xE5 \xE2\xE5\xF1\xED\xEE\xE9 \xE8 \xEF\xEE\xEB\xE8\xE2\xE0\xF2\xFC</p>";
  }
  EXPECT_EQ(decode_page(german, "").encoding, "windows-1252");
  EXPECT_NE(decode_page(german, "").text.find("„größere“ Töpfe – das kostet fünf €"), std::string::npos);
  EXPECT_EQ(decode_page(russian, "").encoding, "windows-1251");
  EXPECT_NE(decode_page(russian, "").text.find("Как посадить томаты на балконе"), std::string::npos);
}

TEST(PageEncoding, WhatCannotBeDecodedIsCountedAndNotKept) {
  std::string noise;
  for (int i = 0; i < 400; ++i) noise += static_cast<char>(i * 89 % 251);
  EXPECT_NE(decode_page(noise, "utf-8").problem, "");
  EXPECT_NE(decode_page(std::string(100, '\0') + "text", "").problem, "");
  EXPECT_NE(decode_page("<p>\x1b$)C\x0eGQ19\x0f", "iso-2022-kr").problem, "");
  EXPECT_EQ(decode_page("<p>plain", "iso-2022-kr").text, "<p>plain");
  // A cut character does not cost the page.
  const auto cut = decode_page(
      "<p>Gr\xC3\xBC\xC3\x9F"
      "e \xE2\x82\xAC und \xC3\xA4\xC3\xB6\xC3\xBC\xC3",
      "utf-8");
  EXPECT_EQ(cut.problem, "");

  const Folder folder;
  const auto bad = folder.file("pages/bad.html", noise);
  folder.file("pages/good.html", "<p>good");
  RejectedRows rejected;
  PageReader reader({folder.path("pages")}, rejected);
  std::vector<Page> batch;
  ASSERT_TRUE(reader.next(batch));
  ASSERT_EQ(batch.size(), 1u);
  EXPECT_EQ(batch[0].text, "<p>good");
  EXPECT_EQ(rejected.by_reason(), (std::map<std::string, int64_t>{{"cannot be decoded", 1}}));
  EXPECT_EQ(rejected.first()[0].file, bad);
}

}  // namespace
}  // namespace fettle::data
