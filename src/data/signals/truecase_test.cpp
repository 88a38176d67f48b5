#include "data/signals/truecase.h"

#include <gtest/gtest.h>

namespace fettle::data {
namespace {

TEST(Truecase, SentenceStartsAndI) {
  EXPECT_EQ(truecase("hello. how are you? i think i'm fine, e.g. today."), "Hello. How are you? I think I'm fine, e.g. Today.");
  EXPECT_EQ(truecase("see:\n```\nx. y\n```\nok. fine"), "See:\n```\nx. y\n```\nok. Fine");
  EXPECT_EQ(truecase("3.5 is i.e. \"quoted. text\""), "3.5 is i.e. \"Quoted. Text\"");
}

}  // namespace
}  // namespace fettle::data
