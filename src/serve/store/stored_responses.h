#pragma once
// Answers of /v1/responses that a client may come back to, in memory alone.
#include <cstdint>
#include <list>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>

#include "base/json.h"

namespace fettle::serve {

/// Bounded: the answer that was asked for longest ago makes room. Thread-safe.
class StoredResponses {
 public:
  explicit StoredResponses(size_t most_bytes = 64 << 20) : most_bytes_(most_bytes) {}

  /// `items`: the conversation with the answer's own output. Larger than the whole store: it is not kept.
  void add(const Json& response, const OrderedJson& items);
  /// The response as it was sent.
  std::optional<Json> find(const std::string& id) const;
  /// The conversation up to it, its answer included.
  std::optional<OrderedJson> conversation(const std::string& id) const;
  /// An item of a stored conversation.
  std::optional<OrderedJson> item(const std::string& id) const;
  bool remove(const std::string& id);

 private:
  struct Entry {
    std::string id;
    Json response;
    OrderedJson items;
    size_t bytes;
  };
  using Place = std::list<Entry>::iterator;
  Place touch(const std::string& id) const;
  void drop(Place place);

  size_t most_bytes_;
  mutable std::mutex mutex_;
  mutable std::list<Entry> entries_;  ///< the one used last stands first
  std::unordered_map<std::string, Place> by_id_;
  std::unordered_map<std::string, std::string> response_of_item_;
  size_t bytes_ = 0;
};

}  // namespace fettle::serve
