#include "generate/constrain/grammar_work.h"

#include "base/error.h"

namespace fettle {
namespace {

thread_local bool work_open = false;
thread_local size_t work_left = 0;

}  // namespace

GrammarWork::GrammarWork() : opened_(!work_open) {
  if (!opened_) return;
  work_open = true;
  work_left = most_steps;
}

GrammarWork::~GrammarWork() {
  if (opened_) work_open = false;
}

void GrammarWork::spend(size_t steps) {
  if (!work_open) return;
  if (steps > work_left) {
    work_left = 0;
    throw Error(fmt::format("takes more than {} steps to compile; make its patterns, lists and bounds smaller", most_steps));
  }
  work_left -= steps;
}

}  // namespace fettle
