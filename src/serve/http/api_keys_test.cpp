#include "serve/http/api_keys.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace fettle::serve {
namespace {

using Keys = std::vector<std::string>;

TEST(ApiKeys, LinesAreTrimmedAndCommentsSkipped) {
  EXPECT_EQ(read_keys("  one \r\n\n# two\n\tthree,3\t", "f", false), (Keys{"one", "three,3"}));
  EXPECT_EQ(read_keys(" a , b,,c \n", "f", true), (Keys{"a", "b", "c"}));
  EXPECT_EQ(read_keys("\xEF\xBB\xBFkey\n", "f", false), (Keys{"key"}));
}

TEST(ApiKeys, APlaceWithoutAKeyIsAnErrorThatNamesIt) {
  for (const char* text : {"", " ", "\n\n", "# only a comment\n", ",", " , "}) {
    try {
      read_keys(text, "$FETTLE_API_KEYS", true);
      ADD_FAILURE() << "'" << text << "' opened the server";
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find("$FETTLE_API_KEYS"), std::string::npos);
    }
  }
  EXPECT_THROW(read_keys("two words\n", "f", false), Error);
  EXPECT_THROW(read_keys("schl\xC3\xBCssel\n", "f", false), Error);
}

TEST(ApiKeys, AFileThatOthersCanReadIsWarnedAbout) {
  const TemporaryFolder folder;
  const fs::path file = folder.path() / "keys";
  write_file(file, "key\n");
  EXPECT_EQ(read_keys_file(file), Keys{"key"});
  fs::permissions(file, fs::perms::owner_read | fs::perms::owner_write);
  EXPECT_EQ(secret_file_warning(file), "");
  for (const fs::perms more : {fs::perms::group_read, fs::perms::others_read}) {
    fs::permissions(file, fs::perms::owner_read | fs::perms::owner_write | more);
    EXPECT_NE(secret_file_warning(file).find(file.string()), std::string::npos);
  }
  write_file(file, "# none\n");
  EXPECT_THROW(read_keys_file(file), Error);
}

}  // namespace
}  // namespace fettle::serve
