#include "text/tokenizer/sentencepiece.h"

#include <bit>
#include <cstring>

#include "base/error.h"

namespace fettle {
namespace {

/// Reads the fields of one protobuf message (wire format:
/// developers.google.com/protocol-buffers/docs/encoding).
class Message {
 public:
  Message(std::string_view bytes, std::string_view where, const char* name)
      : bytes_(bytes), where_(where), name_(name) {}

  struct Field {
    uint32_t number = 0;
    uint64_t integer = 0;    ///< varint and fixed values
    std::string_view bytes;  ///< length-delimited values
    bool is_bytes = false;
  };
  /// False at the end.
  bool next(Field& field) {
    if (at_ >= bytes_.size()) return false;
    const uint64_t key = varint();
    field = {};
    field.number = static_cast<uint32_t>(key >> 3);
    switch (key & 7) {
      case 0:
        field.integer = varint();
        break;
      case 1:
        field.integer = fixed(8);
        break;
      case 5:
        field.integer = fixed(4);
        break;
      case 2: {
        const uint64_t size = varint();
        if (size > bytes_.size() - at_) {
          fail(where_, "{}: field {} says it has {} bytes, but {} follow", name_, field.number, size,
               bytes_.size() - at_);
        }
        field.bytes = bytes_.substr(at_, size);
        field.is_bytes = true;
        at_ += size;
        break;
      }
      default:
        fail(where_, "{}: not a SentencePiece model (wire type {} at byte {})", name_, key & 7, at_);
    }
    return true;
  }

 private:
  uint64_t varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (at_ >= bytes_.size()) fail(where_, "{}: ends inside a number", name_);
      const auto byte = static_cast<uint8_t>(bytes_[at_++]);
      value |= uint64_t{byte & 0x7fu} << shift;
      if (byte < 0x80) return value;
    }
    fail(where_, "{}: a number has more than 10 bytes", name_);
  }
  uint64_t fixed(size_t size) {
    if (size > bytes_.size() - at_) fail(where_, "{}: ends inside a number", name_);
    uint64_t value = 0;
    std::memcpy(&value, bytes_.data() + at_, size);
    at_ += size;
    return value;
  }
  std::string_view bytes_, where_;
  const char* name_;
  size_t at_ = 0;
};

using Field = Message::Field;

void read_piece(std::string_view bytes, std::string_view where, ScoredVocabulary& out) {
  Message message(bytes, where, "pieces");
  std::string piece;
  float score = 0;
  PieceType type = PieceType::normal;
  for (Field field; message.next(field);) {
    if (field.number == 1 && field.is_bytes) piece = field.bytes;
    if (field.number == 2) score = std::bit_cast<float>(static_cast<uint32_t>(field.integer));
    if (field.number == 3) {
      if (field.integer < 1 || field.integer > 6)
        fail(where, "piece {} has the unknown type {}", out.tokens.size(), field.integer);
      type = static_cast<PieceType>(field.integer);
    }
  }
  if (piece.empty()) fail(where, "piece {} is empty", out.tokens.size());
  out.tokens.push_back(std::move(piece));
  out.scores.push_back(score);
  out.types.push_back(type);
}

void read_trainer(std::string_view bytes, std::string_view where, SentencePieceModel& out) {
  Message message(bytes, where, "trainer_spec");
  out.vocabulary.unk = 0;
  out.vocabulary.bos = 1;
  out.vocabulary.eos = 2;
  const auto id = [](uint64_t value) { return static_cast<int32_t>(static_cast<int64_t>(value)); };
  for (Field field; message.next(field);) {
    switch (field.number) {
      case 3:
        if (field.integer != 1 && field.integer != 2)
          fail(where, "model_type {} is not supported; expected Unigram (1) or BPE (2)", field.integer);
        out.kind = static_cast<SentencePieceModel::Kind>(field.integer);
        break;
      case 24:
        out.whitespace_as_suffix = field.integer != 0;
        break;
      case 35:
        out.vocabulary.byte_fallback = field.integer != 0;
        break;
      case 40:
        out.vocabulary.unk = id(field.integer);
        break;
      case 41:
        out.vocabulary.bos = id(field.integer);
        break;
      case 42:
        out.vocabulary.eos = id(field.integer);
        break;
      case 43:
        out.vocabulary.pad = id(field.integer);
        break;
      default:
        break;
    }
  }
}

void read_normalizer(std::string_view bytes, std::string_view where, SentencePieceModel& out) {
  Message message(bytes, where, "normalizer_spec");
  for (Field field; message.next(field);) {
    if (field.number == 2 && field.is_bytes) out.character_map = field.bytes;
    if (field.number == 3) out.add_dummy_prefix = field.integer != 0;
    if (field.number == 4) out.remove_extra_whitespaces = field.integer != 0;
    if (field.number == 5) out.escape_whitespaces = field.integer != 0;
  }
}

/// The unknown piece is where its type says; the ids of the trainer are only names.
void settle_special(std::string_view where, ScoredVocabulary& vocabulary) {
  int32_t unknown = -1;
  for (size_t id = 0; id < vocabulary.types.size(); ++id) {
    if (vocabulary.types[id] != PieceType::unknown) continue;
    if (unknown >= 0) fail(where, "pieces {} and {} both are the unknown piece", unknown, id);
    unknown = static_cast<int32_t>(id);
  }
  if (unknown < 0) fail(where, "has no unknown piece");
  vocabulary.unk = unknown;
  for (int32_t* id : {&vocabulary.bos, &vocabulary.eos, &vocabulary.pad}) {
    if (*id < 0 || static_cast<size_t>(*id) >= vocabulary.types.size()) {
      *id = -1;
    } else if (vocabulary.types[static_cast<size_t>(*id)] != PieceType::control) {
      *id = -1;
    }
  }
}

}  // namespace

SentencePieceModel read_sentencepiece(std::string_view bytes, std::string_view where) {
  SentencePieceModel out;
  Message message(bytes, where, "model");
  for (Field field; message.next(field);) {
    if (!field.is_bytes) continue;
    if (field.number == 1) read_piece(field.bytes, where, out.vocabulary);
    if (field.number == 2) read_trainer(field.bytes, where, out);
    if (field.number == 3) read_normalizer(field.bytes, where, out);
  }
  if (out.vocabulary.tokens.empty()) fail(where, "has no pieces; is this a SentencePiece model?");
  out.vocabulary.add_space_prefix = out.add_dummy_prefix;
  out.vocabulary.freeze_user_defined = true;
  settle_special(where, out.vocabulary);
  return out;
}

std::shared_ptr<const Tokenizer> Tokenizer::from_sentencepiece(std::string_view bytes,
                                                               std::string_view where) {
  return sentencepiece_tokenizer(read_sentencepiece(bytes, where), where);
}

}  // namespace fettle
