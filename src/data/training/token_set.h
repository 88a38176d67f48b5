#pragma once
// A tokenised training set on disk: parts of a folder, mapped, and a manifest that says it is whole. Made by
// token_maker.h, found again by token_cache.h.
#include <atomic>
#include <functional>
#include <memory>

#include "data/training/data_source.h"
#include "data/training/token_facts.h"
#include "data/training/token_part.h"

namespace fettle::data {

/// How a set is cut into entries: 0: a record is an entry; else texts become pieces of so many tokens.
int64_t pieces_of(int64_t length, int64_t piece_length);

/// The names inside the folder of a set.
fs::path part_path(const fs::path& folder, size_t number);
fs::path part_state_path(const fs::path& folder, size_t number);
fs::path part_rejected_path(const fs::path& folder, size_t number);
fs::path manifest_path(const fs::path& folder);

OrderedJson to_json(const PartState& state);
PartState part_state_from_json(const OrderedJson& json);

/// Opens a part that was finished in `state`. A file that is another than then is read whole and compared. Throws DamagedTokens.
std::unique_ptr<TokenPart> open_part(const fs::path& path, PartState& state);

/// What a whole set is.
struct TokenManifest {
  RowShape shape = RowShape::sequence;
  int64_t piece_length = 0;
  std::vector<PartState> parts;
  TokenFacts facts;
};
OrderedJson to_json(const TokenManifest& manifest);

/// Thread-safe but for keep_note(). Rows are copied out of the map, each checked by its checksum: a damaged one is an Error(io),
/// and the set is removed so that the next run makes it anew. Few of its pages count as this process's memory at any time.
class TokenizedSet {
 public:
  /// So many bytes of its pages may count as this process's memory.
  static constexpr int64_t most_resident = int64_t{64} << 20;
  /// Throws DamagedTokens where the folder holds no whole set. `owner`: a temporary folder that it lies in.
  explicit TokenizedSet(const fs::path& folder, std::shared_ptr<const TemporaryFolder> owner = {});
  /// The parts that are there already, for whoever is making the set.
  TokenizedSet(const fs::path& folder, TokenManifest manifest);

  RowShape shape() const { return manifest_.shape; }
  const TokenFacts& facts() const { return manifest_.facts; }
  const fs::path& folder() const { return folder_; }
  bool is_temporary() const { return owner_ != nullptr; }
  int64_t size() const { return entries_; }
  /// Bytes of all its files.
  int64_t bytes() const;
  /// The row as training takes it: of a long text, the piece, whose first token is no label.
  TokenRow row(int64_t entry) const;
  /// Whether it is of the conversation of the entry before.
  bool continues(int64_t entry) const;
  /// The records that begin at entries [first, end), whole, with the entry where each begins.
  void each_record(int64_t first, int64_t end, const std::function<void(int64_t entry, TokenRow&&)>& take) const;
  /// All entries in order, as row() gives them.
  void each_row(const std::function<void(int64_t entry, TokenRow&&)>& take) const;

  /// What a caller worked out from the rows, and wants to find again by `name`.
  std::optional<OrderedJson> note(const std::string& name) const;
  void keep_note(const std::string& name, const OrderedJson& value) const;
  /// The rows that could not be used, in the order of their files. Where their texts were not kept they are read from `sources`, those
  /// that the set was made from, once more; Error(input) when they have changed since.
  void replay_rejected(const std::vector<DataSource>& sources, RejectedRows& to) const;

 private:
  void open_parts(bool must_match);
  size_t part_of(int64_t entry) const;
  TokenRow read(int64_t entry, bool whole) const;
  TokenRecord record(int64_t entry, TokenRange range) const;
  [[noreturn]] void fail_damaged(size_t part, int64_t entry) const;
  void count_touched(size_t bytes) const;

  fs::path folder_;
  std::shared_ptr<const TemporaryFolder> owner_;
  TokenManifest manifest_;
  std::vector<std::unique_ptr<TokenPart>> parts_;
  std::vector<int64_t> begins_;  ///< the first entry of each part
  int64_t entries_ = 0;
  mutable std::atomic<size_t> touched_{0};  ///< bytes of pages since they were given back
};

}  // namespace fettle::data
