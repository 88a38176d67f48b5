#pragma once
// The texts of rejected rows, read from the inputs again instead of being kept beside the tokens.
#include <memory>
#include <optional>
#include <vector>

#include "base/progress.h"
#include "data/files/reader.h"
#include "data/training/data_source.h"

namespace fettle::data {

class RejectedTexts {
 public:
  /// Nothing is read before the first fill().
  explicit RejectedTexts(const std::vector<DataSource>& sources) : sources_(sources) {}

  /// Gives the row its text. Rows must come in the order in which the sources hold them. Throws Error(input) when it is not there.
  void fill(Rejection& rejection);

 private:
  bool advance();
  bool next_batch();

  const std::vector<DataSource>& sources_;
  size_t source_ = 0;
  RejectedRows unused_;
  std::unique_ptr<RowReader> reader_;
  std::unique_ptr<Progress> progress_;
  std::vector<Row> rows_;
  std::vector<Unreadable> unreadable_;
  size_t next_row_ = 0, next_unreadable_ = 0;
  Rejection at_;  ///< what advance() came to: file, line and text
};

}  // namespace fettle::data
