#pragma once
// What making the grammar of one request may cost. A schema of two kilobytes can ask for years of work; every loop whose
// length is not the text's own spends from a budget instead.
#include <cstddef>

namespace fettle {

/// Opened by the functions that make a grammar; while one is open in a thread, opening another there spends from the first.
class GrammarWork {
 public:
  /// A few tenths of a second.
  static constexpr size_t most_steps = size_t{1} << 24;

  GrammarWork();
  ~GrammarWork();
  GrammarWork(const GrammarWork&) = delete;
  GrammarWork& operator=(const GrammarWork&) = delete;

  /// Throws Error when the open budget has not as many left. Does nothing where none is open.
  static void spend(size_t steps);

 private:
  bool opened_;
};

}  // namespace fettle
