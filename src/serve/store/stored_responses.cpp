#include "serve/store/stored_responses.h"

namespace fettle::serve {

StoredResponses::Place StoredResponses::touch(const std::string& id) const {
  const auto found = by_id_.find(id);
  if (found == by_id_.end()) return entries_.end();
  entries_.splice(entries_.begin(), entries_, found->second);
  return found->second;
}

void StoredResponses::drop(Place place) {
  bytes_ -= place->bytes;
  for (const Json& item : place->response["output"]) {
    const auto owner = response_of_item_.find(item.value("id", ""));
    if (owner != response_of_item_.end() && owner->second == place->id) response_of_item_.erase(owner);
  }
  by_id_.erase(place->id);
  entries_.erase(place);
}

void StoredResponses::add(const Json& response, const OrderedJson& items) {
  // The tree of a JSON value takes several times the bytes of its text.
  const size_t bytes = 4 * (dump_json(response).size() + dump_json(items).size());
  if (bytes > most_bytes_) return;
  std::lock_guard lock(mutex_);
  while (bytes_ + bytes > most_bytes_) drop(std::prev(entries_.end()));
  entries_.push_front({response["id"], response, items, bytes});
  bytes_ += bytes;
  by_id_[entries_.front().id] = entries_.begin();
  for (const Json& item : response["output"]) response_of_item_[item["id"]] = entries_.front().id;
}

std::optional<Json> StoredResponses::find(const std::string& id) const {
  std::lock_guard lock(mutex_);
  const auto place = touch(id);
  if (place == entries_.end()) return std::nullopt;
  return place->response;
}

std::optional<OrderedJson> StoredResponses::conversation(const std::string& id) const {
  std::lock_guard lock(mutex_);
  const auto place = touch(id);
  if (place == entries_.end()) return std::nullopt;
  return place->items;
}

std::optional<OrderedJson> StoredResponses::item(const std::string& id) const {
  std::lock_guard lock(mutex_);
  const auto owner = response_of_item_.find(id);
  if (owner == response_of_item_.end()) return std::nullopt;
  for (const OrderedJson& item : touch(owner->second)->items) {
    if (item.is_object() && item.contains("id") && item["id"] == id) return item;
  }
  return std::nullopt;
}

bool StoredResponses::remove(const std::string& id) {
  std::lock_guard lock(mutex_);
  const auto found = by_id_.find(id);
  if (found == by_id_.end()) return false;
  drop(found->second);
  return true;
}

}  // namespace fettle::serve
