// Any bytes as a YAML document, as one value, and as an assignment on top of the document.
#include "base/yaml.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto attempt = [](const auto& work) {
    try {
      work();
    } catch (const fettle::Error&) {
    }
  };
  fettle::OrderedJson value = fettle::OrderedJson::object();
  attempt([&] {
    fettle::YamlDocument document = fettle::parse_yaml(text, "fuzz");
    for (const auto& [path, line] : document.lines) FETTLE_CHECK(line > 0 && !document.place(path).empty());
    fettle::dump_json(document.value);
    value = std::move(document.value);
  });
  attempt([&] { fettle::dump_json(fettle::parse_yaml_value(text, "fuzz")); });
  attempt([&] { fettle::set_by_path(value, std::string(text.substr(0, text.find('\n')))); });
  return 0;
}
