#pragma once
// `fettle data convert`.
// Rows stream from files to a file, in the files' order, the same for any number of threads. Errors: usage for options that
// make no sense, input for files that cannot be read; rows that cannot be used are counted and go to the rejected file.

#include "data/passes/pass.h"
#include "data/training/tokenize.h"

namespace fettle::data {

/// From one row format to another, or with a tokenizer to token rows {"id", "ids", "mask" (or "weights" where
/// not all are 0 or 1)}. A pair becomes its chosen answer where the target cannot hold both, or two judged
/// rows.
struct ConvertOptions {
  Format from = Format::automatic;
  Columns columns;
  Format to = Format::messages;
  const Tokenizer* tokenizer = nullptr;  ///< set: token rows instead of `to`
  const ChatTemplate* chat = nullptr;
  TokenizeOptions tokenize;
};
PassReport convert_rows(const PassFiles& files, const ConvertOptions& options);

}  // namespace fettle::data
