#include "text/tokenizer/bpe.h"

#include <fmt/format.h>

#include <atomic>

#include "text/unicode/byte_level.h"
#include "text/unicode/unicode.h"

namespace fettle {

uint32_t WordCache::new_serial() {
  static std::atomic<uint32_t> last{0};
  return ++last;
}

namespace {

constexpr std::string_view kSpaceMark = "\xe2\x96\x81";  // U+2581

}  // namespace

Bpe::Bpe(Vocabulary vocabulary, MergeTable merges, BpeOptions options)
    : TokenModel(std::move(vocabulary)),
      merges_(std::move(merges)),
      options_(std::move(options)),
      serial_(WordCache::new_serial()) {
  lengths_.resize(static_cast<size_t>(vocabulary_.size()));
  for (int32_t id = 0; id < vocabulary_.size(); ++id) {
    const std::string& token = vocabulary_.token(id);
    const auto bytes = options_.byte_level ? byte_level::unspell(token) : std::nullopt;
    lengths_[static_cast<size_t>(id)] = static_cast<uint32_t>(bytes ? bytes->size() : token.size());
  }
  for (size_t byte = 0; byte < 256; ++byte) {
    bytes_[byte] = vocabulary_.find(options_.byte_level ? byte_level::spelling(static_cast<uint8_t>(byte))
                                                        : fmt::format("<0x{:02X}>", byte));
  }
  for (size_t code = 0; code < 128; ++code)
    ascii_[code] = vocabulary_.find(std::string(1, static_cast<char>(code)));
  for (const int32_t id : options_.frozen) {
    AddedToken token;
    token.id = id;
    frozen_.add(vocabulary_.token(id), token);
  }
  find_cuts();
}

void Bpe::find_cuts() {
  can_cut_ = options_.cut_at_spaces && !options_.byte_level && !options_.ignore_merges &&
             options_.continuing_subword_prefix.empty() && options_.end_of_word_suffix.empty() &&
             vocabulary_.find(kSpaceMark) >= 0;
  if (!can_cut_) return;
  for (int32_t id = 0; id < vocabulary_.size(); ++id) {
    const std::string& token = vocabulary_.token(id);
    for (size_t at = token.find(kSpaceMark, 1); at != std::string::npos;
         at = token.find(kSpaceMark, at + 1)) {
      const auto before = static_cast<uint8_t>(token[at - 1]);
      if (before < 128) space_inside_after_[before] = true;
    }
  }
}

/// Collects the first symbols of a word and what is unknown in it.
class Bpe::Starter {
 public:
  Starter(const BpeOptions& options, std::vector<Symbol>& symbols) : options_(options), symbols_(symbols) {}
  void known(int32_t id, uint32_t length) {
    flush();
    put(id, length);
  }
  /// A byte token; it does not end a stretch of unknown characters.
  void byte(int32_t id) { put(id, 1); }
  /// Without an unknown token the character vanishes, and its neighbours may merge; its bytes count to them.
  void unknown(uint32_t length) {
    if (options_.unk < 0) {
      (symbols_.empty() ? dropped_ : symbols_.back().length) += length;
      return;
    }
    if (!options_.fuse_unk) flush();
    unknown_ += length;
  }
  void flush() {
    if (unknown_ > 0) put(options_.unk, unknown_);
    unknown_ = 0;
  }

 private:
  void put(int32_t id, uint32_t length) {
    symbols_.push_back({id, length + dropped_});
    dropped_ = 0;
  }
  const BpeOptions& options_;
  std::vector<Symbol>& symbols_;
  uint32_t unknown_ = 0, dropped_ = 0;
};

/// The first symbols of a byte-level word. False when some byte has no token.
bool Bpe::start_bytes(std::string_view word, std::vector<Symbol>& symbols) const {
  Starter starter(options_, symbols);
  bool regular = true;
  for (const char c : word) {
    const int32_t id = bytes_[static_cast<uint8_t>(c)];
    if (id >= 0) {
      starter.known(id, 1);
    } else {
      starter.unknown(1);
      regular = false;
    }
  }
  starter.flush();
  return regular;
}

int32_t Bpe::find_character(std::string_view character, bool first, bool last) const {
  const bool prefixed = !first && !options_.continuing_subword_prefix.empty();
  const bool suffixed = last && !options_.end_of_word_suffix.empty();
  if (!prefixed && !suffixed) {
    const auto lead = static_cast<uint8_t>(character[0]);
    return lead < 128 ? ascii_[lead] : vocabulary_.find(character);
  }
  std::string key(character);
  if (prefixed) key.insert(0, options_.continuing_subword_prefix);
  if (suffixed) key += options_.end_of_word_suffix;
  return vocabulary_.find(key);
}

/// The first symbols of a word of characters. False when one is unknown or falls back to bytes.
bool Bpe::start_characters(std::string_view word, std::vector<Symbol>& symbols) const {
  Starter starter(options_, symbols);
  bool regular = true;
  for (size_t at = 0; at < word.size();) {
    const size_t length = unicode::length(word[at]);
    const std::string_view character = word.substr(at, length);
    const int32_t id = find_character(character, at == 0, at + length >= word.size());
    at += length;
    if (id >= 0) {
      starter.known(id, static_cast<uint32_t>(length));
      continue;
    }
    regular = false;
    bool all_bytes = options_.byte_fallback;
    for (const char c : character) all_bytes = all_bytes && bytes_[static_cast<uint8_t>(c)] >= 0;
    if (all_bytes) {
      for (const char c : character) starter.byte(bytes_[static_cast<uint8_t>(c)]);
    } else {
      starter.unknown(static_cast<uint32_t>(length));
    }
  }
  starter.flush();
  return regular;
}

/// The merged symbols of a word; false when it must not be cached (its tokens' lengths are not the table's).
bool Bpe::encode_whole(std::string_view word, std::vector<Symbol>& symbols) const {
  symbols.clear();
  if (options_.ignore_merges) {
    const int32_t id = vocabulary_.find(options_.byte_level ? byte_level::spell(word) : std::string(word));
    if (id >= 0) {
      symbols.push_back({id, static_cast<uint32_t>(word.size())});
      return true;
    }
  }
  const bool regular = options_.byte_level ? start_bytes(word, symbols) : start_characters(word, symbols);
  merge_symbols(merges_, symbols);
  return regular && options_.continuing_subword_prefix.empty() && options_.end_of_word_suffix.empty();
}

void Bpe::encode_cached(std::string_view word, uint32_t begin, TokenSink& sink) const {
  WordCache& cache = WordCache::mine();
  const bool fits = word.size() <= WordCache::kMaxWord;
  WordCache::Key key;
  if (fits) {
    key = WordCache::key(word, serial_);
    if (const WordCache::Entry* entry = cache.find(key)) {
      for (size_t i = 0; i < entry->count; ++i) sink.ids.push_back(entry->ids[i]);
      if (!sink.tracked) return;
      for (size_t i = 0; i < entry->count; ++i) {
        sink.begins.push_back(begin);
        begin += lengths_[static_cast<size_t>(entry->ids[i])];
      }
      return;
    }
  }
  thread_local std::vector<Symbol> symbols;
  const bool regular = encode_whole(word, symbols);
  const size_t first = sink.ids.size();
  for (const Symbol& symbol : symbols) {
    sink.put(symbol.id, begin);
    begin += symbol.length;
  }
  if (fits && regular && symbols.size() <= WordCache::kMaxIds)
    cache.store(key, sink.ids.data() + first, symbols.size());
}

void Bpe::encode(std::string_view word, uint32_t begin, TokenSink& sink) const {
  if (frozen_.empty()) return encode_unfrozen(word, begin, sink);
  for (const Fragment& fragment : frozen_.find(word, {})) {
    if (fragment.id >= 0) {
      sink.put(fragment.id, begin + fragment.begin);
    } else {
      encode_unfrozen(word.substr(fragment.begin, fragment.end - fragment.begin), begin + fragment.begin,
                      sink);
    }
  }
}

void Bpe::encode_unfrozen(std::string_view word, uint32_t begin, TokenSink& sink) const {
  if (!can_cut_) {
    if (!word.empty()) encode_cached(word, begin, sink);
    return;
  }
  size_t start = 0;
  for (size_t at = word.find(kSpaceMark, 1); at != std::string_view::npos;
       at = word.find(kSpaceMark, at + 1)) {
    const auto before = static_cast<uint8_t>(word[at - 1]);
    if (before >= 128 || space_inside_after_[before]) continue;
    encode_cached(word.substr(start, at - start), begin + static_cast<uint32_t>(start), sink);
    start = at;
  }
  if (start < word.size()) encode_cached(word.substr(start), begin + static_cast<uint32_t>(start), sink);
}

}  // namespace fettle
