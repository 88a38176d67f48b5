#include "data/training/rejected_texts.h"

#include "base/error.h"
#include "base/interrupt.h"

namespace fettle::data {

void RejectedTexts::fill(Rejection& rejection) {
  while (advance()) {
    if (at_.line != rejection.line || at_.file != rejection.file) continue;
    rejection.text = std::move(at_.text);
    return;
  }
  fail(rejection.file, "line {}, which was rejected when the data were tokenised, is not there any more: the file has changed; start again", rejection.line);
}

bool RejectedTexts::advance() {
  for (;;) {
    const bool is_unreadable = next_unreadable_ < unreadable_.size() && unreadable_[next_unreadable_].before <= next_row_;
    if (is_unreadable) {
      at_ = std::move(unreadable_[next_unreadable_++].rejection);
      return true;
    }
    if (next_row_ < rows_.size()) {
      Row& row = rows_[next_row_++];
      at_.file = *row.file;
      at_.line = row.line;
      at_.text = std::move(row.text);
      return true;
    }
    if (!next_batch()) return false;
  }
}

bool RejectedTexts::next_batch() {
  throw_if_interrupted();
  if (!progress_) progress_ = std::make_unique<Progress>("reading rejected rows", 0, "rows");
  progress_->advance(rows_.size());
  next_row_ = next_unreadable_ = 0;
  while (source_ < sources_.size()) {
    if (!reader_) reader_ = std::make_unique<RowReader>(sources_[source_].paths, unused_);
    unreadable_.clear();
    if (reader_->next(rows_, unreadable_)) return true;
    reader_.reset();
    ++source_;
  }
  return false;
}

}  // namespace fettle::data
