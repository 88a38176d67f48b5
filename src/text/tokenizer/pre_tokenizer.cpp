#include "text/tokenizer/pre_tokenizer.h"

#include <algorithm>

#include "text/tokenizer/split_patterns.h"
#include "text/unicode/byte_level.h"
#include "text/unicode/regex.h"
#include "text/unicode/unicode.h"

namespace fettle {

SplitBehavior parse_split_behavior(std::string_view name, std::string_view where) {
  if (name == "Removed") return SplitBehavior::removed;
  if (name == "Isolated") return SplitBehavior::isolated;
  if (name == "MergedWithPrevious") return SplitBehavior::merged_with_previous;
  if (name == "MergedWithNext") return SplitBehavior::merged_with_next;
  if (name == "Contiguous") return SplitBehavior::contiguous;
  fail(where, "split behavior '{}' is not known", name);
}

void split_by(const std::vector<MatchPiece>& pieces, SplitBehavior behavior, std::vector<Span>& out) {
  std::vector<Span> made;
  bool previous = false;
  const auto join_forward = [&](const MatchPiece& piece, bool join) {
    if (join && !made.empty()) {
      made.back().end = piece.span.end;
    } else {
      made.push_back(piece.span);
    }
  };
  switch (behavior) {
    case SplitBehavior::removed:
      for (const MatchPiece& piece : pieces) {
        if (!piece.matched) made.push_back(piece.span);
      }
      break;
    case SplitBehavior::isolated:
      for (const MatchPiece& piece : pieces) made.push_back(piece.span);
      break;
    case SplitBehavior::contiguous:
      for (const MatchPiece& piece : pieces) {
        join_forward(piece, piece.matched == previous);
        previous = piece.matched;
      }
      break;
    case SplitBehavior::merged_with_previous:
      for (const MatchPiece& piece : pieces) {
        join_forward(piece, piece.matched && !previous);
        previous = piece.matched;
      }
      break;
    case SplitBehavior::merged_with_next:
      for (auto piece = pieces.rbegin(); piece != pieces.rend(); ++piece) {
        if (piece->matched && !previous && !made.empty()) {
          made.back().begin = piece->span.begin;
        } else {
          made.push_back(piece->span);
        }
        previous = piece->matched;
      }
      std::reverse(made.begin(), made.end());
      break;
  }
  for (const Span& span : made) {
    if (span.begin < span.end) out.push_back(span);
  }
}

namespace {

/// Cuts every word by the pieces that a derived class finds in it.
class Splitter : public PreTokenizer {
 public:
  explicit Splitter(SplitBehavior behavior, bool invert = false) : behavior_(behavior), invert_(invert) {}
  void apply(PreTokenized& text) const override {
    std::vector<Span> out;
    std::vector<MatchPiece> pieces;
    for (const Span& word : text.words) {
      pieces.clear();
      find(text.text.view(), word, pieces);
      if (invert_) {
        for (MatchPiece& piece : pieces) piece.matched = !piece.matched;
      }
      split_by(pieces, behavior_, out);
    }
    text.words = std::move(out);
  }

 protected:
  virtual void find(std::string_view text, Span word, std::vector<MatchPiece>& pieces) const = 0;

 private:
  SplitBehavior behavior_;
  bool invert_;
};

/// Pieces from matches: what lies between them did not match.
class PieceList {
 public:
  PieceList(Span word, std::vector<MatchPiece>& pieces) : word_(word), done_(word.begin), pieces_(pieces) {}
  void match(uint32_t begin, uint32_t end) {
    if (done_ < begin) pieces_.push_back({{done_, begin}, false});
    pieces_.push_back({{begin, end}, true});
    done_ = end;
  }
  void finish() {
    if (done_ < word_.end) pieces_.push_back({{done_, word_.end}, false});
  }

 private:
  Span word_;
  uint32_t done_;
  std::vector<MatchPiece>& pieces_;
};

class RegexSplit final : public Splitter {
 public:
  RegexSplit(std::string_view pattern, SplitBehavior behavior, bool invert, std::string_view where)
      : Splitter(behavior, invert), regex_(pattern, where) {}

 protected:
  void find(std::string_view text, Span word, std::vector<MatchPiece>& pieces) const override {
    PieceList list(word, pieces);
    regex_.each(text.substr(word.begin, word.end - word.begin), [&](size_t begin, size_t end) {
      list.match(word.begin + static_cast<uint32_t>(begin), word.begin + static_cast<uint32_t>(end));
    });
    list.finish();
  }

 private:
  Regex regex_;
};

class StringSplit final : public Splitter {
 public:
  StringSplit(std::string content, SplitBehavior behavior, bool invert)
      : Splitter(behavior, invert), content_(std::move(content)) {}

 protected:
  void find(std::string_view text, Span word, std::vector<MatchPiece>& pieces) const override {
    PieceList list(word, pieces);
    const std::string_view inside = text.substr(0, word.end);
    for (size_t at = word.begin; !content_.empty();) {
      at = inside.find(content_, at);
      if (at == std::string_view::npos) break;
      list.match(static_cast<uint32_t>(at), static_cast<uint32_t>(at + content_.size()));
      at += content_.size();
    }
    list.finish();
  }

 private:
  std::string content_;
};

/// Matches single characters of a class.
class CharacterSplit final : public Splitter {
 public:
  using Predicate = bool (*)(char32_t);
  CharacterSplit(Predicate predicate, SplitBehavior behavior) : Splitter(behavior), predicate_(predicate) {}

 protected:
  void find(std::string_view text, Span word, std::vector<MatchPiece>& pieces) const override {
    PieceList list(word, pieces);
    for (size_t at = word.begin; at < word.end;) {
      const size_t start = at;
      if (predicate_(unicode::next(text, at)))
        list.match(static_cast<uint32_t>(start), static_cast<uint32_t>(at));
    }
    list.finish();
  }

 private:
  Predicate predicate_;
};

bool is_numeric(char32_t code) {
  return (unicode::classes(code) & unicode::kNumber) != 0;
}
bool is_space(char32_t code) {
  return (unicode::classes(code) & unicode::kSpace) != 0;
}
bool is_punctuation(char32_t code) {
  const bool ascii =
      code > ' ' && code < 127 && (unicode::classes(code) & (unicode::kLetter | unicode::kNumber)) == 0;
  return ascii || (unicode::classes(code) & unicode::kPunctuation) != 0;
}

/// A hand-written matcher whose matches cover the text.
class MatcherSplit final : public PreTokenizer {
 public:
  explicit MatcherSplit(SplitMatcher matcher) : matcher_(matcher) {}
  void apply(PreTokenized& text) const override {
    std::vector<Span> out;
    out.reserve(text.text.size() / 4 + 4);
    for (const Span& word : text.words) matcher_(text.text.view(), word, out);
    text.words = std::move(out);
  }

 private:
  SplitMatcher matcher_;
};

/// Rewrites every word; derived classes write one word at a time.
class WordRewriter : public PreTokenizer {
 public:
  void apply(PreTokenized& text) const override {
    AlignedText::Rewrite rewrite;
    rewrite.text.reserve(text.text.size() + 16);
    for (Span& word : text.words) {
      const auto begin = static_cast<uint32_t>(rewrite.text.size());
      write(text.text, word, rewrite);
      word = {begin, static_cast<uint32_t>(rewrite.text.size())};
    }
    text.text.replace(std::move(rewrite));
  }

 protected:
  virtual void write(const AlignedText& text, Span word, AlignedText::Rewrite& rewrite) const = 0;
};

class PrefixSpace final : public WordRewriter {
 protected:
  void write(const AlignedText& text, Span word, AlignedText::Rewrite& rewrite) const override {
    if (text.view()[word.begin] != ' ') rewrite.put(" ", text, word.begin);
    rewrite.copy(text, word.begin, word.end);
  }
};

class SpellBytes final : public WordRewriter {
 protected:
  void write(const AlignedText& text, Span word, AlignedText::Rewrite& rewrite) const override {
    for (uint32_t at = word.begin; at < word.end; ++at) {
      rewrite.put(byte_level::spelling(static_cast<uint8_t>(text.view()[at])), text, at);
    }
  }
};

class Metaspace final : public WordRewriter {
 public:
  enum class Prepend { never, first, always };
  Metaspace(std::string replacement, Prepend prepend)
      : replacement_(std::move(replacement)), prepend_(prepend) {}

 protected:
  void write(const AlignedText& text, Span word, AlignedText::Rewrite& rewrite) const override {
    const std::string_view view = text.view(word);
    const bool first = text.start() == 0 && word.begin == 0;
    const bool wanted = prepend_ == Prepend::always || (prepend_ == Prepend::first && first);
    if (wanted && view[0] != ' ' && !view.starts_with(replacement_))
      rewrite.put(replacement_, text, word.begin);
    for (uint32_t at = word.begin; at < word.end;) {
      uint32_t end = at;
      while (end < word.end && text.view()[end] != ' ') ++end;
      if (at < end) rewrite.copy(text, at, end);
      if (end < word.end) rewrite.put(replacement_, text, end);
      at = end + 1;
    }
  }

 private:
  std::string replacement_;
  Prepend prepend_;
};

class FixedLength final : public PreTokenizer {
 public:
  explicit FixedLength(size_t length) : length_(length) {}
  void apply(PreTokenized& text) const override {
    std::vector<Span> out;
    for (const Span& word : text.words) {
      size_t at = word.begin;
      while (at < word.end) {
        const size_t start = at;
        for (size_t i = 0; i < length_ && at < word.end; ++i) at += unicode::length(text.text.view()[at]);
        out.push_back({static_cast<uint32_t>(start), static_cast<uint32_t>(at)});
      }
    }
    text.words = std::move(out);
  }

 private:
  size_t length_;
};

class Sequence final : public PreTokenizer {
 public:
  explicit Sequence(std::vector<std::unique_ptr<PreTokenizer>> stages) : stages_(std::move(stages)) {}
  void apply(PreTokenized& text) const override {
    for (const auto& stage : stages_) stage->apply(text);
  }

 private:
  std::vector<std::unique_ptr<PreTokenizer>> stages_;
};

using Stages = std::vector<std::unique_ptr<PreTokenizer>>;

std::string kind_of(const Json& description) {
  const auto found = description.find("type");
  return found != description.end() && found->is_string() ? found->get<std::string>() : std::string();
}

bool splits_single_digits(const Json& stage, std::string_view where) {
  return kind_of(stage) == "Digits" && json_get_or(stage, "individual_digits", false, where);
}

bool is_plain_byte_level(const Json& stage, std::string_view where) {
  return kind_of(stage) == "ByteLevel" && !json_get_or(stage, "add_prefix_space", true, where) &&
         json_get_or(stage, "use_regex", true, where);
}

void add_byte_level(const Json& stage, std::string_view where, bool keep_bytes, Stages& out) {
  if (json_get_or(stage, "add_prefix_space", true, where)) out.push_back(std::make_unique<PrefixSpace>());
  if (json_get_or(stage, "use_regex", true, where)) {
    out.push_back(std::make_unique<MatcherSplit>(find_split_matcher(kGpt2Pattern)));
  }
  if (!keep_bytes) out.push_back(std::make_unique<SpellBytes>());
}

void add_split(const Json& stage, std::string_view where, Stages& out) {
  const Json pattern = json_get<Json>(stage, "pattern", where);
  const SplitBehavior behavior = parse_split_behavior(json_get<std::string>(stage, "behavior", where), where);
  const bool invert = json_get_or(stage, "invert", false, where);
  if (pattern.contains("String")) {
    out.push_back(
        std::make_unique<StringSplit>(json_get<std::string>(pattern, "String", where), behavior, invert));
    return;
  }
  const auto regex = json_get<std::string>(pattern, "Regex", where);
  const SplitMatcher matcher = find_split_matcher(regex);
  const bool covers =
      (behavior == SplitBehavior::isolated && !invert) || (behavior == SplitBehavior::removed && invert);
  if (matcher != nullptr && covers) {
    out.push_back(std::make_unique<MatcherSplit>(matcher));
  } else {
    out.push_back(std::make_unique<RegexSplit>(regex, behavior, invert, where));
  }
}

void add_metaspace(const Json& stage, std::string_view where, Stages& out) {
  const auto replacement = json_get_or<std::string>(stage, "replacement", "\xe2\x96\x81", where);
  if (replacement.empty()) fail(where, "Metaspace needs a replacement");
  // Files of before tokenizers 0.14 say add_prefix_space instead.
  const bool add = json_get_or(stage, "add_prefix_space", true, where);
  const auto scheme = json_get_or<std::string>(stage, "prepend_scheme", add ? "always" : "never", where);
  if (scheme != "always" && scheme != "first" && scheme != "never")
    fail(where, "prepend_scheme '{}' is not known", scheme);
  const auto prepend = scheme == "always"  ? Metaspace::Prepend::always
                       : scheme == "first" ? Metaspace::Prepend::first
                                           : Metaspace::Prepend::never;
  out.push_back(std::make_unique<Metaspace>(replacement, prepend));
  if (json_get_or(stage, "split", true, where)) {
    out.push_back(std::make_unique<StringSplit>(replacement, SplitBehavior::merged_with_next, false));
  }
}

void add_stage(const Json& stage, std::string_view where, bool keep_bytes, Stages& out);

void add_sequence(const Json& sequence, std::string_view where, bool keep_bytes, Stages& out) {
  const auto stages = json_get<std::vector<Json>>(sequence, "pretokenizers", where);
  for (size_t i = 0; i < stages.size(); ++i) {
    const bool last = i + 1 == stages.size();
    if (!last && splits_single_digits(stages[i], where) && is_plain_byte_level(stages[i + 1], where)) {
      out.push_back(std::make_unique<MatcherSplit>(split_gpt2_single_digits));
      if (!(keep_bytes && i + 2 == stages.size())) out.push_back(std::make_unique<SpellBytes>());
      ++i;
      continue;
    }
    add_stage(stages[i], where, keep_bytes && last, out);
  }
}

void add_character_split(const Json& stage, std::string_view kind, std::string_view where, Stages& out) {
  if (kind == "Digits") {
    const bool single = json_get_or(stage, "individual_digits", false, where);
    out.push_back(std::make_unique<CharacterSplit>(
        is_numeric, single ? SplitBehavior::isolated : SplitBehavior::contiguous));
  } else if (kind == "Punctuation") {
    const auto behavior = json_get_or<std::string>(stage, "behavior", "Isolated", where);
    out.push_back(std::make_unique<CharacterSplit>(is_punctuation, parse_split_behavior(behavior, where)));
  } else {
    out.push_back(std::make_unique<CharacterSplit>(is_space, SplitBehavior::removed));
    if (kind == "BertPreTokenizer") {
      out.push_back(std::make_unique<CharacterSplit>(is_punctuation, SplitBehavior::isolated));
    }
  }
}

void add_stage(const Json& stage, std::string_view where, bool keep_bytes, Stages& out) {
  const auto kind = json_get<std::string>(stage, "type", where);
  if (kind == "Sequence") {
    add_sequence(stage, where, keep_bytes, out);
  } else if (kind == "ByteLevel") {
    add_byte_level(stage, where, keep_bytes, out);
  } else if (kind == "Split") {
    add_split(stage, where, out);
  } else if (kind == "Metaspace") {
    add_metaspace(stage, where, out);
  } else if (kind == "Whitespace") {
    constexpr std::string_view word = R"([\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}])";
    const std::string outside = R"([^\s\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]+)";
    out.push_back(std::make_unique<RegexSplit>(fmt::format("{}+|{}", word, outside), SplitBehavior::removed,
                                               true, where));
  } else if (kind == "CharDelimiterSplit") {
    out.push_back(std::make_unique<StringSplit>(json_get<std::string>(stage, "delimiter", where),
                                                SplitBehavior::removed, false));
  } else if (kind == "FixedLength") {
    const auto length = json_get_or<int64_t>(stage, "length", 5, where);
    if (length < 1) fail(where, "FixedLength needs a positive length, got {}", length);
    out.push_back(std::make_unique<FixedLength>(static_cast<size_t>(length)));
  } else if (kind == "Digits" || kind == "Punctuation" || kind == "WhitespaceSplit" ||
             kind == "BertPreTokenizer") {
    add_character_split(stage, kind, where, out);
  } else {
    fail(where, "the type '{}' is not supported", kind);
  }
}

}  // namespace

std::unique_ptr<PreTokenizer> make_pre_tokenizer(const Json& description, std::string_view where,
                                                 bool keep_bytes) {
  if (description.is_null()) return nullptr;
  Stages stages;
  add_stage(description, where, keep_bytes, stages);
  return std::make_unique<Sequence>(std::move(stages));
}

bool ends_with_byte_level(const Json& description) {
  const std::string kind = kind_of(description);
  if (kind != "Sequence") return kind == "ByteLevel";
  const auto stages = description.find("pretokenizers");
  return stages != description.end() && stages->is_array() && !stages->empty() &&
         ends_with_byte_level(stages->back());
}

}  // namespace fettle
