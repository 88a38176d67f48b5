#pragma once
// Answers of models that were paid for once: a file of SQLite, found by everything that decides an answer. A killed run asks nothing
// again, a changed prompt asks for its own answer alone, and another recipe finds what the first one asked for.
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/file.h"
#include "generate/chat_client.h"

namespace fettle::feedback {

/// What decides an answer, as the key that it is stored under: SHA-256 over the model, its revision, the messages, and every option.
/// `draw` tells apart several answers to the same question.
std::string answer_key(const std::string& model, const std::string& revision, const Messages& messages, const ChatOptions& options, int64_t draw);

/// Safe to use from many threads and processes at once. The file is readable by its owner alone. Errors: Error(io) with the path and
/// SQLite's reason; a file that is no store, or a damaged one, is Error(input).
class AnswerStore {
 public:
  explicit AnswerStore(const fs::path& file);
  ~AnswerStore();
  AnswerStore(const AnswerStore&) = delete;
  AnswerStore& operator=(const AnswerStore&) = delete;

  /// None when it is not there, or when what is there does not have its checksum.
  std::optional<ChatReply> find(const std::string& key);
  /// On the disk, for other processes too, once this returns.
  void put(const std::string& key, const ChatReply& reply);
  int64_t size();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// answers.sqlite in the folder of caches.
fs::path answer_store_path();

}  // namespace fettle::feedback
