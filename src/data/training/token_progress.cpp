#include "data/training/token_progress.h"

#include <array>
#include <utility>

namespace fettle::data {
namespace {

/// The numbers of a progress, under the names that they have on disk.
std::array<std::pair<const char*, int64_t TokenProgress::*>, 10> numbers() {
  return {{{"round", &TokenProgress::round},
           {"rows", &TokenProgress::rows},
           {"unreadable", &TokenProgress::unreadable},
           {"copied", &TokenProgress::copied},
           {"source_begin", &TokenProgress::source_begin},
           {"source_end", &TokenProgress::source_end},
           {"entries", &TokenProgress::entries},
           {"last_conversation", &TokenProgress::last_conversation},
           {"rows_lost", &TokenProgress::rows_lost},
           {"repaired", &TokenProgress::repaired}}};
}

}  // namespace

OrderedJson to_json(const TokenProgress& progress) {
  OrderedJson json{{"source", progress.source}, {"tally", progress.tally.counts()}, {"facts", to_json(progress.facts)}};
  for (const auto& [name, member] : numbers()) json[name] = progress.*member;
  return json;
}

TokenProgress token_progress_from_json(const OrderedJson& json) {
  TokenProgress progress;
  json.at("source").get_to(progress.source);
  progress.tally = InputTally::from_counts(json.at("tally"));
  progress.facts = token_facts_from_json(json.at("facts"));
  for (const auto& [name, member] : numbers()) json.at(name).get_to(progress.*member);
  return progress;
}

}  // namespace fettle::data
