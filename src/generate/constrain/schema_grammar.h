#pragma once
// Rules for the instances of one JSON Schema. For json_schema.cpp; schema_object.cpp has the objects.
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "generate/constrain/json_rules.h"
#include "generate/constrain/schema_constraints.h"

namespace fettle {

class SchemaGrammar {
 public:
  SchemaGrammar(JsonRules& json, const OrderedJson& root)
      : json_(json), g_(json.grammar()), root_(root), source_(root) {}

  /// The rule for instances. Throws Error naming the place of what is not supported or what no value fits.
  int32_t whole();

 private:
  using Sequence = Grammar::Sequence;
  static Grammar::Symbol ref(int32_t rule) { return Grammar::reference(rule); }

  /// For values that fit all of `places`.
  int32_t rule(const std::vector<SchemaPlace>& places, int depth);
  int32_t rule(const SchemaAtoms& atoms, int depth);
  int32_t nothing() { return g_.add_rule(); }

  int32_t choice(const SchemaAtoms& atoms, const SchemaAtom& chosen, int depth);
  void check_exclusive(const SchemaAtom& chosen);
  /// A schema with its references followed and its keywords read, once.
  struct Described {
    bool fits = false;
    SchemaAtoms atoms;
    SchemaConstraints constraints;
  };
  const Described& described(const SchemaPlace& place);
  bool exclusive(const SchemaPlace& a, const SchemaPlace& b, int depth);
  bool cannot_fit(const SchemaConstraints& written, const SchemaConstraints& wanted, int depth);

  int32_t typed(const SchemaConstraints& c, int depth);
  int32_t values(const SchemaConstraints& c);
  /// `numbers`: those of c, made when the first one is asked for.
  bool keeps(const SchemaConstraints& c, const OrderedJson& value, std::optional<CharacterAutomaton>& numbers);
  int32_t string(const SchemaConstraints& c);
  int32_t number(const SchemaConstraints& c);
  NumberRange range_of(const SchemaConstraints& c) const;
  /// The strings that fit patterns and formats; made once for each set of them.
  const CharacterAutomaton& characters(const SchemaConstraints& c);
  int32_t array(const SchemaConstraints& c, int depth);
  int32_t distinct_items(const SchemaConstraints& c, int depth);

  int32_t object(const SchemaConstraints& c, int depth);
  /// A property that may be written: its key with the colon, and its value.
  struct Member {
    Sequence key;
    int32_t value;
    bool required = false;
  };
  std::vector<Member> listed_members(const SchemaConstraints& c, int depth);
  std::vector<Member> free_members(const SchemaConstraints& c, int depth);
  int32_t members(const SchemaConstraints& c, const std::vector<Member>& listed,
                  const std::vector<Member>& free);
  bool may_be_named(const SchemaConstraints& c, const std::string& name);
  void check_size(const std::string& path) const;

  JsonRules& json_;
  Grammar& g_;
  const OrderedJson& root_;
  SchemaSource source_;
  const CharacterAutomaton& pattern(const std::string& text, const std::string& path);

  std::map<SchemaAtoms, int32_t> made_;
  std::map<const OrderedJson*, Described> described_;
  std::map<std::vector<std::string>, CharacterAutomaton> characters_;
  std::map<std::tuple<const CharacterAutomaton*, int64_t, int64_t>, int32_t> strings_;
  std::map<std::string, CharacterAutomaton> patterns_;
  std::vector<std::pair<int32_t, std::string>> places_;  ///< rules and where they come from
};

}  // namespace fettle
