#include "serve/http/body_reader.h"

#include <gtest/gtest.h>

namespace fettle::serve {
namespace {

constexpr uint64_t most = 1 << 20;

/// The body, with `bytes` given in pieces of `piece`; what follows the body goes to `rest`.
std::string read_pieces(const std::string& bytes, size_t piece, std::string& rest) {
  BodyReader reader(std::nullopt, most);
  std::string buffer;
  for (size_t at = 0; at < bytes.size(); at += piece) {
    buffer += bytes.substr(at, piece);
    buffer.erase(0, reader.take(buffer));
  }
  EXPECT_TRUE(reader.whole()) << bytes;
  rest = buffer;
  return reader.take_body();
}

int status_for(const std::string& chunks, uint64_t limit = most) {
  try {
    BodyReader reader(std::nullopt, limit);
    reader.take(chunks);
    return reader.whole() ? 200 : 0;
  } catch (const ApiError& error) {
    return error.status();
  }
}

TEST(BodyReader, ALengthIsReadAndNotOneByteMore) {
  BodyReader reader(5, most);
  EXPECT_EQ(reader.take("ab"), 2U);
  EXPECT_FALSE(reader.whole());
  EXPECT_EQ(reader.take("cdefg"), 3U);
  EXPECT_TRUE(reader.whole());
  EXPECT_EQ(reader.take("h"), 0U);
  EXPECT_EQ(reader.take_body(), "abcde");
  EXPECT_TRUE(BodyReader(0, most).whole());
}

TEST(BodyReader, ChunksMeanTheSameInPiecesOfAnySize) {
  const std::string bytes =
      "5\r\nabcde\r\nA;name\r\n0123456789\r\n00a ; a = \"q\\\"; x\" ; b=t\r\nABCDEFGHIJ\r\n000\r\nX-Sum: 1\r\nY:\r\n\r\nGET / ";
  for (size_t piece = 1; piece <= bytes.size(); ++piece) {
    std::string rest;
    EXPECT_EQ(read_pieces(bytes, piece, rest), "abcde0123456789ABCDEFGHIJ") << piece;
    EXPECT_EQ(rest, std::string("GET / ").substr(0, rest.size()));
  }
}

TEST(BodyReader, ChunksThatAreNotTheStandardsAreRefused) {
  EXPECT_EQ(status_for("1\r\na\r\n0\r\n\r\n"), 200);
  for (const char* size : {"", "g", "0x1", "+1", "-1", " 1", "1 ", "1;", "1; ", "1;=b", "1;a=", "1;a b", "1;a=\"b", "1,1", "1\t", "1\v",
                           "10000000000000000", "FFFFFFFFFFFFFFFFF", "1\r", "1\nX", "1;a\x7f"}) {
    EXPECT_EQ(status_for(std::string(size) + "\r\na\r\n0\r\n\r\n"), 400) << size;
  }
  EXPECT_EQ(status_for("1\na\r\n0\r\n\r\n"), 400) << "LF alone";
  EXPECT_EQ(status_for("1\r\na\n0\r\n\r\n"), 400) << "LF alone behind the data";
  EXPECT_EQ(status_for("1\r\nab\r\n0\r\n\r\n"), 400) << "longer than its size";
  EXPECT_EQ(status_for("2\r\na\r\n0\r\n\r\n"), 400) << "shorter than its size";
  EXPECT_EQ(status_for("0\r\nno field\r\n\r\n"), 400);
  EXPECT_EQ(status_for("0\r\nName : x\r\n\r\n"), 400);
  EXPECT_EQ(status_for("1;a=" + std::string(5000, 'x') + "\r\na\r\n"), 400);
  EXPECT_EQ(status_for("1\r\na\r\n0\r\n"), 0) << "not whole";
}

TEST(BodyReader, BoundsTheBodyAndWhatStandsBetweenItsChunks) {
  EXPECT_EQ(status_for("65\r\n", 100), 413);
  EXPECT_EQ(status_for("64\r\n" + std::string(100, 'x') + "\r\n1\r\n", 100), 413);
  EXPECT_EQ(status_for("ffffffffffffffff\r\n", 100), 413);
  std::string trailers = "0\r\n";
  for (int i = 0; i < 10000; ++i) trailers += "Name: value\r\n";
  EXPECT_EQ(status_for(trailers, 100), 413);
}

TEST(BodyReader, OneByteChunksCostNoMoreThanTheirBytes) {
  constexpr size_t chunks = 400000;
  BodyReader reader(std::nullopt, 16 << 20);
  const std::string chunk = "1\r\na\r\n";
  std::string packet;
  for (int i = 0; i < 1000; ++i) packet += chunk;
  for (size_t i = 0; i < chunks / 1000; ++i) ASSERT_EQ(reader.take(packet), packet.size());
  EXPECT_EQ(reader.body().size(), chunks);
  EXPECT_LE(reader.body().capacity(), 2 * chunks);
}

TEST(BodyReader, LongExtensionsBetweenChunksHaveAnEnd) {
  BodyReader reader(std::nullopt, 1000);
  const std::string chunk = "1;" + std::string(2000, 'x') + "\r\na\r\n";
  int taken = 0;
  EXPECT_THROW(
      {
        for (; taken < 1000; ++taken) reader.take(chunk);
      },
      ApiError);
  EXPECT_LT(taken, 50);
}

}  // namespace
}  // namespace fettle::serve
