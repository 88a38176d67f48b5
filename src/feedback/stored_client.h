#pragma once
// A chat model whose answers are kept and whose costs are counted.
#include <memory>
#include <string>

#include "feedback/answer_store.h"
#include "feedback/costs.h"
#include "generate/chat_client.h"

namespace fettle::feedback {

/// Asks a model through the store of answers. Thread-safe. The client, store and costs must outlive it.
class StoredClient {
 public:
  /// `revision` tells apart models of one name: of a folder the hash of its files. `store` may be null: everything is asked.
  StoredClient(ChatClient& client, std::string revision, AnswerStore* store, Costs& costs, Price price = {});

  const std::string& name() const { return name_; }
  /// The stored answer, else the model's own, stored before this returns. `draw`: the how-manieth answer to the same question.
  ChatReply ask(const Messages& messages, const ChatOptions& options, int64_t draw = 0);

 private:
  double most(const Messages& messages, const ChatOptions& options) const;

  ChatClient& client_;
  std::string name_, revision_;
  AnswerStore* store_;
  Costs& costs_;
  Price price_;
};

}  // namespace fettle::feedback
