#pragma once
// A text on its way through a tokenizer's stages, and where each of its bytes came from.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace fettle {

/// Bytes [begin, end) of an AlignedText. The struct has a name of its own because kernels/ has a Span of
/// another shape, and two structs of one name would share std::vector's code.
struct TextSpan {
  uint32_t begin, end;
};
using Span = TextSpan;

/// `view()` is valid UTF-8 throughout. While nothing was rewritten it looks straight at the caller's text,
/// which must outlive it. One owner, not thread-safe.
class AlignedText {
 public:
  /// `start` is the offset of `text` in the whole input. With `tracked` the origin of every byte is kept.
  AlignedText(std::string_view text, uint32_t start, bool tracked)
      : view_(text), start_(start), size_(static_cast<uint32_t>(text.size())), tracked_(tracked) {}
  AlignedText(const AlignedText&) = delete;
  AlignedText& operator=(const AlignedText&) = delete;

  std::string_view view() const { return view_; }
  std::string_view view(Span span) const { return view_.substr(span.begin, span.end - span.begin); }
  uint32_t size() const { return static_cast<uint32_t>(view_.size()); }
  bool tracked() const { return tracked_; }
  /// Offset of this text in the whole input.
  uint32_t start() const { return start_; }

  /// Offset in the whole input of byte `at` (at == size(): the end).
  uint32_t origin(uint32_t at) const {
    if (!rewritten_) return start_ + at;
    return at < origins_.size() ? origins_[at] : start_ + size_;
  }

  /// What stages may make of the text in all: the longest that Unicode's own forms make of a character is eleven times as long.
  size_t largest() const { return size_t{64} * size_ + 4096; }

  /// Collects a rewritten text; hand it to replace().
  struct Rewrite {
    std::string text;
    std::vector<uint32_t> origins;  ///< filled when tracked
    /// Appends `piece`, all of whose bytes came from byte `at` of `source`.
    void put(std::string_view piece, const AlignedText& source, uint32_t at) {
      if (text.size() + piece.size() > source.largest()) {
        fail("normalizer", "makes more than {} bytes of a text of {}; no sound tokenizer does, so its file is broken", source.largest(),
             source.size_);
      }
      text.append(piece);
      if (source.tracked()) origins.insert(origins.end(), piece.size(), source.origin(at));
    }
    /// Appends source[begin, end) as it is.
    void copy(const AlignedText& source, uint32_t begin, uint32_t end) {
      text.append(source.view().substr(begin, end - begin));
      if (!source.tracked()) return;
      for (uint32_t i = begin; i < end; ++i) origins.push_back(source.origin(i));
    }
  };
  void replace(Rewrite&& rewrite) {
    owned_ = std::move(rewrite.text);
    view_ = owned_;
    if (tracked_) {
      origins_ = std::move(rewrite.origins);
      rewritten_ = true;
    }
  }

 private:
  std::string_view view_;
  std::string owned_;
  std::vector<uint32_t> origins_;
  uint32_t start_, size_;
  bool tracked_, rewritten_ = false;
};

}  // namespace fettle
