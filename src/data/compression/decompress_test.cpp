#include "data/compression/decompress.h"

#include <bzlib.h>
#include <gtest/gtest.h>
#include <lz4frame.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

#include "data/files/input.h"
#include "data/files/reader.h"
#include "data/test_data.h"

namespace fettle::data {
namespace {

std::string zlib_packed(std::string_view text, int bits) {
  z_stream stream{};
  deflateInit2(&stream, 6, Z_DEFLATED, bits, 8, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&stream, text.size()) + 32, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

std::string zstd_packed(std::string_view text, int window_log = 0) {
  ZSTD_CCtx* context = ZSTD_createCCtx();
  ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
  if (window_log > 0) {
    ZSTD_CCtx_setParameter(context, ZSTD_c_enableLongDistanceMatching, 1);
    ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, window_log);
    ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, 0);
  }
  std::string out(ZSTD_compressBound(text.size()), '\0');
  ZSTD_outBuffer to{out.data(), out.size(), 0};
  // In two calls, so that the library does not know the size and keeps the window that was asked for.
  ZSTD_inBuffer none{text.data(), 0, 0}, from{text.data(), text.size(), 0};
  ZSTD_compressStream2(context, &to, &none, ZSTD_e_flush);
  ZSTD_compressStream2(context, &to, &from, ZSTD_e_end);
  out.resize(to.pos);
  ZSTD_freeCCtx(context);
  return out;
}

std::string packed(Compression compression, std::string_view text) {
  std::string out(text.size() * 2 + 4096, '\0');
  size_t size = 0;
  auto* bytes = reinterpret_cast<uint8_t*>(out.data());
  const auto* in = reinterpret_cast<const uint8_t*>(text.data());
  switch (compression) {
    case Compression::gzip:
      return zlib_packed(text, 15 + 16);
    case Compression::zlib:
      return zlib_packed(text, 15);
    case Compression::deflate:
      return zlib_packed(text, -15);
    case Compression::zstd:
      return zstd_packed(text);
    case Compression::xz:
      lzma_easy_buffer_encode(1, LZMA_CHECK_CRC64, nullptr, in, text.size(), bytes, &size, out.size());
      break;
    case Compression::lzma: {
      lzma_stream stream = LZMA_STREAM_INIT;
      lzma_options_lzma options;
      lzma_lzma_preset(&options, 1);
      EXPECT_EQ(lzma_alone_encoder(&stream, &options), LZMA_OK);
      stream.next_in = in;
      stream.avail_in = text.size();
      stream.next_out = bytes;
      stream.avail_out = out.size();
      EXPECT_EQ(lzma_code(&stream, LZMA_FINISH), LZMA_STREAM_END);
      size = out.size() - stream.avail_out;
      lzma_end(&stream);
      break;
    }
    case Compression::bzip2: {
      auto room = static_cast<unsigned>(out.size());
      BZ2_bzBuffToBuffCompress(out.data(), &room, const_cast<char*>(text.data()),
                               static_cast<unsigned>(text.size()), 1, 0, 0);
      size = room;
      break;
    }
    case Compression::lz4: {
      LZ4F_preferences_t preferences{};
      preferences.frameInfo.contentChecksumFlag = LZ4F_contentChecksumEnabled;
      size = LZ4F_compressFrame(out.data(), out.size(), text.data(), text.size(), &preferences);
      break;
    }
    case Compression::brotli:
    case Compression::none:
      break;
  }
  out.resize(size);
  return out;
}

std::string some_text() {
  std::string text;
  for (int i = 0; i < 30000; ++i)
    text += fmt::format("{{\"n\":{},\"text\":\"row {}\"}}\n", i, i * 7919 % 10007);
  return text;
}

/// Unpacked in reads of `step` bytes, the packed bytes given in pieces of as many.
std::string unpacked(Compression compression, std::string_view bytes, std::string& problem,
                     size_t step = 4093) {
  auto codec = Decompressor::make(compression, [&](char* to, size_t size) {
    const size_t count = std::min({size, step, bytes.size()});
    bytes.copy(to, count);
    bytes.remove_prefix(count);
    return count;
  });
  std::string out, piece(step, '\0');
  for (size_t got = 0; (got = codec->read(piece.data(), piece.size())) > 0;) out.append(piece, 0, got);
  problem = codec->problem();
  return out;
}

class Codec : public testing::TestWithParam<Compression> {};

TEST_P(Codec, MembersFollowOneAnother) {
  const std::string text = some_text(), once = packed(GetParam(), text);
  std::string problem;
  for (const size_t step : {size_t{7}, size_t{4093}, size_t{1} << 20}) {
    EXPECT_EQ(unpacked(GetParam(), once, problem, step), text);
    EXPECT_EQ(problem, "");
  }
  EXPECT_EQ(unpacked(GetParam(), once + once, problem), text + text);
  EXPECT_EQ(problem, "");
  if (GetParam() != Compression::deflate) {
    EXPECT_EQ(compression_of(once) == GetParam() || GetParam() == Compression::zlib, true);
    EXPECT_EQ(unpacked(GetParam(), once + std::string(512, '\0') + once, problem), text + text);
    EXPECT_EQ(problem, "");
  }
}

TEST_P(Codec, CutAndDamagedDataSayWhere) {
  const std::string text = some_text();
  std::string once = packed(GetParam(), text), problem;
  const auto cut = unpacked(GetParam(), std::string_view(once).substr(0, once.size() - 9), problem);
  EXPECT_TRUE(text.starts_with(cut));
  EXPECT_EQ(problem, fmt::format("the {} data end in the middle (byte {} of the compressed data)",
                                 compression_name(GetParam()), once.size() - 9));
  if (GetParam() == Compression::deflate) return;  // it has no check sum
  for (size_t i = once.size() / 2; i < once.size() / 2 + 64; ++i) once[i] = static_cast<char>(~once[i]);
  unpacked(GetParam(), once, problem);
  EXPECT_NE(problem.find("compressed data)"), std::string::npos) << problem;
}

INSTANTIATE_TEST_SUITE_P(All, Codec,
                         testing::Values(Compression::gzip, Compression::zlib, Compression::deflate,
                                         Compression::zstd, Compression::xz, Compression::lzma,
                                         Compression::bzip2, Compression::lz4));

TEST(Decompress, ZstdWindowsFramesAndDictionaries) {
  const std::string text = some_text();
  std::string problem;
  for (const int log : {27, 28, 31})
    EXPECT_EQ(unpacked(Compression::zstd, zstd_packed(text, log), problem), text) << log << problem;
  using namespace std::string_view_literals;
  const std::string skipped(
      "\x50\x2a\x4d\x18\x04\0\0\0abcd"sv);  // as pzstd writes the size of the next frame
  const std::string frames = skipped + zstd_packed("one\n") + skipped + zstd_packed("two\n");
  EXPECT_EQ(compression_of(frames), Compression::zstd);
  EXPECT_EQ(unpacked(Compression::zstd, frames, problem, 3), "one\ntwo\n");
  EXPECT_EQ(problem, "");
}

TEST(Decompress, ADictionaryInFrontIsUsed) {
  std::string dictionary, problem;
  for (int i = 0; i < 400; ++i) dictionary += fmt::format("WARC/1.0 header {} ", i * i);
  std::string text = dictionary.substr(100, 3000), frame(8000, '\0');
  ZSTD_CCtx* context = ZSTD_createCCtx();
  frame.resize(ZSTD_compress_usingDict(context, frame.data(), frame.size(), text.data(), text.size(),
                                       dictionary.data(), dictionary.size(), 3));
  ZSTD_freeCCtx(context);
  const auto before = [](const std::string& content) {
    std::string out("\x5d\x2a\x4d\x18", 4);
    const auto size = static_cast<uint32_t>(content.size());
    return out.append(reinterpret_cast<const char*>(&size), 4) + content;
  };
  EXPECT_EQ(unpacked(Compression::zstd, before(dictionary) + frame + frame, problem), text + text);
  EXPECT_EQ(problem, "");
  EXPECT_EQ(unpacked(Compression::zstd, before(zstd_packed(dictionary)) + frame, problem), text);
  EXPECT_EQ(problem, "");
  EXPECT_NE(unpacked(Compression::zstd, frame, problem), text);
  EXPECT_NE(problem, "");
  unpacked(Compression::zstd, before(dictionary).substr(0, 500), problem);
  EXPECT_NE(problem.find("end inside their dictionary"), std::string::npos) << problem;
}

TEST(Decompress, BrotliIsReadToItsEnd) {
  // By brotli 1.2.1 of PyPI.
  constexpr unsigned char bytes[] = {0x1b, 0x17, 0x00, 0xf8, 0x8d, 0x94, 0x6e, 0xde, 0x44, 0x55, 0x86, 0xd6,
                                     0x0a, 0x20, 0x6c, 0x6f, 0x4a, 0x11, 0x79, 0xe2, 0x80, 0xae, 0x16};
  const std::string packed(reinterpret_cast<const char*>(bytes), sizeof bytes);
  std::string problem;
  EXPECT_EQ(unpacked(Compression::brotli, packed, problem), "hello hello hello hello\n");
  EXPECT_EQ(problem, "");
  unpacked(Compression::brotli, packed.substr(0, 8), problem);
  EXPECT_NE(problem.find("end in the middle"), std::string::npos);
}

TEST(Decompress, ATextDoesNotGrowBeyondWhatIsAllowed) {
  const std::string bomb = packed(Compression::bzip2, std::string(size_t{20} << 20, 'a'));
  std::string out, problem;
  EXPECT_FALSE(decompress(Compression::bzip2, bomb, 100000, out, problem));
  EXPECT_LT(out.size(), size_t{400000});
  EXPECT_EQ(problem, "it unpacks to more than 100000 bytes");
}

TEST(Decompress, FilesAreKnownByTheirContentAndArchivesAreNamed) {
  const Folder folder;
  RejectedRows rejected;
  for (const auto compression : {Compression::xz, Compression::bzip2, Compression::lz4, Compression::lzma}) {
    ReadReport report;
    const auto path = folder.file("rows", packed(compression, "{\"a\":1}\n{\"a\":2}\n"));
    EXPECT_EQ(read_rows({path}, rejected, &report).size(), 2u);
    EXPECT_EQ(report.formats.begin()->first, fmt::format("jsonl, {}", compression_name(compression)));
  }
  EXPECT_EQ(rejected.count(), 0);
  try {
    ByteInput input(folder.file("a.zip", "PK\x03\x04rest of it"));
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("is a zip archive"), std::string::npos);
  }
}

}  // namespace
}  // namespace fettle::data
