#include "generate/constrain/string_formats.h"

#include <map>
#include <mutex>
#include <string>

#include "base/error.h"
#include "generate/constrain/pattern.h"

namespace fettle {
namespace {

const std::string hour_minute = "(?:[01]\\d|2[0-3]):[0-5]\\d";
const std::string date =
    "(?:\\d{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\\d|30)|02-(?:0[1-"
    "9]|1\\d|2[0-8]))"
    "|(?:\\d\\d(?:0[48]|[2468][048]|[13579][26])|(?:[2468][048]|[13579][26]|0[48])00)-02-29)";
const std::string time_of_day = hour_minute + ":[0-5]\\d(?:\\.\\d{1,9})?(?:Z|[+-]" + hour_minute + ")";
const std::string label = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,60}[A-Za-z0-9])?";
const std::string octet = "(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)";
const std::string ipv4 = "(?:" + octet + "\\.){3}" + octet;

std::string duration() {
  const std::string time = "T(?:\\d{1,9}H(?:\\d{1,9}M(?:\\d{1,9}S)?)?|\\d{1,9}M(?:\\d{1,9}S)?|\\d{1,9}S)";
  const std::string days = "(?:\\d{1,9}Y(?:\\d{1,9}M(?:\\d{1,9}D)?)?|\\d{1,9}M(?:\\d{1,9}D)?|\\d{1,9}D)";
  return "P(?:" + days + "(?:" + time + ")?|" + time + "|\\d{1,9}W)";
}

/// Eight groups, or some before and some behind the :: that stands for the rest.
std::string ipv6() {
  const std::string group = "[0-9A-Fa-f]{1,4}";
  std::string all = "(?:" + group + ":){7}" + group;
  for (int before = 0; before <= 7; ++before) {
    for (int behind = 0; before + behind <= 7; ++behind) {
      all += "|" + (before == 0 ? "" : group + fmt::format("(?::{}){{{}}}", group, before - 1)) +
             "::" + (behind == 0 ? "" : fmt::format("(?:{}:){{{}}}", group, behind - 1) + group);
    }
  }
  return "(?:" + all + ")";
}

std::string uuid(std::string_view version) {
  const std::string hex = "[0-9a-fA-F]";
  if (version.empty()) return fmt::format("{0}{{8}}-(?:{0}{{4}}-){{3}}{0}{{12}}", hex);
  return fmt::format("{0}{{8}}-{0}{{4}}-{1}{0}{{3}}-[89abAB]{0}{{3}}-{0}{{12}}", hex, version);
}

std::string uri() {
  const std::string free = "[A-Za-z0-9._~!$&'()*+,;=:@-]", escaped = "%[0-9A-Fa-f]{2}",
                    part = "(?:" + free + "|" + escaped + ")";
  const std::string host = "[A-Za-z0-9]+(?:[.-][A-Za-z0-9]+)*";
  const std::string tail = "(?:\\?(?:" + part + "|[/?])*)?(?:#(?:" + part + "|[/?])*)?";
  return "(?:[A-Za-z][A-Za-z0-9+.-]*://" + host + "(?::[1-9]\\d{0,3})?(?:/" + part + "*)*" + tail +
         "|(?:mailto|urn|data|tel|news):" + part + "+" + tail + ")";
}

using Patterns = std::map<std::string, std::string, std::less<>>;

Patterns made_patterns() {
  const std::string name = "(?:" + label + "\\.){0,3}[A-Za-z](?:[A-Za-z0-9-]{0,60}[A-Za-z0-9])?";
  const std::string email =
      "[A-Za-z0-9_+-]{1,30}(?:\\.[A-Za-z0-9_+-]{1,30})?@(?:" + label + "\\.){1,2}[A-Za-z]{2,24}";
  Patterns all{
      {"date", "(?!0000)" + date},
      {"time", time_of_day},
      {"date-time", "(?!0000)" + date + "T" + time_of_day},
      {"duration", duration()},
      {"email", email},
      {"idn-email", email},
      {"hostname", name},
      {"idn-hostname", name},
      {"ipv4", ipv4},
      {"ipv6", ipv6()},
      {"uuid", uuid("")},
      {"uri", uri()},
      {"json-pointer", "(?:/(?:[^~/]|~[01])*)*"},
      {"ipvanyaddress", "(?:" + ipv4 + "|" + ipv6() + ")"},
      {"ipvanyinterface", ipv4 + "/(?:[12]?\\d|3[0-2])"},
  };
  for (const char* name : {"uri-reference", "iri", "iri-reference"}) all[name] = all["uri"];
  for (const char version : std::string_view("1345678"))
    all[std::string("uuid") + version] = uuid({&version, 1});
  // These say how a text is meant, not which characters it has.
  for (const char* any :
       {"password", "binary", "byte", "base64", "base64url", "path", "file-path", "directory-path",
        "json-string", "text", "markdown", "html", "multi-line", "multi-host-uri"})
    all[any] = "[^]*";
  return all;
}

const Patterns& patterns() {
  static const Patterns all = made_patterns();
  return all;
}

}  // namespace

bool is_string_format(std::string_view name) {
  return patterns().contains(name);
}

const CharacterAutomaton& string_format(std::string_view name) {
  static std::map<std::string, CharacterAutomaton, std::less<>> made;
  static std::mutex mutex;
  const auto pattern = patterns().find(name);
  if (pattern == patterns().end()) {
    std::vector<std::string> names;
    for (const auto& [one, text] : patterns()) names.push_back(one);
    throw Error(fmt::format("the format '{}' is not supported; there are {}", name.substr(0, 60),
                            fmt::join(names, ", ")));
  }
  const std::lock_guard lock(mutex);
  auto found = made.find(name);
  if (found == made.end()) found = made.emplace(name, whole_pattern_automaton(pattern->second)).first;
  return found->second;
}

}  // namespace fettle
