// Run alone, these tests see the empty group; under mpirun the same ones see as many ranks as it starts (tests/ranks).
#include <gtest/gtest.h>

#include <bit>
#include <map>

#include "parallel/agree.h"
#include "parallel/dealing.h"
#include "parallel/launch.h"
#include "parallel/packed.h"
#include "parallel/world.h"

namespace fettle::parallel {
namespace {

class Ranks : public ::testing::Environment {
 public:
  void SetUp() override { world(); }
  void TearDown() override { leave_world(); }
};
const auto* const ranks = ::testing::AddGlobalTestEnvironment(new Ranks);

Launch launch_of(const std::map<std::string, std::string>& variables) {
  return read_launch([&](const char* name) {
    const auto found = variables.find(name);
    return found == variables.end() ? nullptr : found->second.c_str();
  });
}

TEST(Launch, ReadsWhatStartersSet) {
  EXPECT_EQ(launch_of({}).size, 1);
  const Launch open = launch_of({{"OMPI_COMM_WORLD_SIZE", "4"}, {"OMPI_COMM_WORLD_RANK", "3"}, {"SLURM_STEP_NUM_TASKS", "1"}, {"SLURM_STEP_ID", "0"}});
  EXPECT_EQ(open.size, 4);
  EXPECT_EQ(open.rank, 3);
  EXPECT_EQ(open.by, "mpirun");
  EXPECT_EQ(launch_of({{"PMI_SIZE", "2"}, {"PMI_RANK", "1"}}).rank, 1);
  const Launch slurm = launch_of({{"SLURM_STEP_NUM_TASKS", "8"}, {"SLURM_PROCID", "5"}, {"SLURM_STEP_ID", "0"}});
  EXPECT_EQ(slurm.size, 8);
  EXPECT_EQ(slurm.by, "srun");
  // A batch script's own shell, and a single task.
  EXPECT_EQ(launch_of({{"SLURM_NTASKS", "8"}, {"SLURM_PROCID", "0"}, {"SLURM_JOB_ID", "7"}}).size, 1);
  EXPECT_EQ(launch_of({{"SLURM_STEP_NUM_TASKS", "1"}, {"SLURM_PROCID", "0"}, {"SLURM_STEP_ID", "0"}}).by, "");
}

TEST(Launch, RefusesWhatCannotBe) {
  for (const auto& [size, rank] : std::map<std::string, std::string>{{"2", "2"}, {"0", "0"}, {"two", "0"}, {"2x", "0"}, {"-1", "0"}, {"3", ""},
                                                                     {"99999999999", "0"}})
    EXPECT_THROW(launch_of({{"OMPI_COMM_WORLD_SIZE", size}, {"OMPI_COMM_WORLD_RANK", rank}}), Error) << size << ' ' << rank;
  EXPECT_THROW(launch_of({{"OMPI_COMM_WORLD_SIZE", "2"}}), Error);
}

TEST(Group, SumsInTheOrderOfTheRanks) {
  ProcessGroup& group = world();
  for (const int64_t count : {int64_t{0}, int64_t{1}, int64_t{5}, int64_t{1000}, int64_t{800'003}}) {
    // 1e8 + 1 - 1e8 and the like differ with the order.
    const auto value = [&](int rank, int64_t i) { return (rank % 2 == 0 ? 1e8F : -1e8F) / static_cast<float>(i % 7 + 1) + static_cast<float>(rank); };
    std::vector<float> mine(static_cast<size_t>(count)), other(3, static_cast<float>(group.rank()));
    for (int64_t i = 0; i < count; ++i) mine[static_cast<size_t>(i)] = value(group.rank(), i);
    const FlatBuffer buffers[] = {{mine.data(), count}, {other.data(), 3}};
    group.all_reduce(buffers);
    for (int64_t i = 0; i < count; ++i) {
      float sum = value(0, i);
      for (int rank = 1; rank < group.size(); ++rank) sum += value(rank, i);
      ASSERT_EQ(mine[static_cast<size_t>(i)], sum) << i << " of " << count;
    }
    EXPECT_EQ(other[2], static_cast<float>(group.size() * (group.size() - 1) / 2));
  }
}

TEST(Group, SumsBrainFloatsInFullPrecision) {
  ProcessGroup& group = world();
  std::vector<uint16_t> mine(777, static_cast<uint16_t>(std::bit_cast<uint32_t>(1.0F + 1.0F / 128) >> 16));
  const FlatBuffer buffer{mine.data(), 777, Element::bf16};
  group.all_reduce({&buffer, 1});
  const float exact = static_cast<float>(group.size()) * (1.0F + 1.0F / 128), got = std::bit_cast<float>(uint32_t{mine[776]} << 16);
  EXPECT_NEAR(got, exact, exact / 256);
}

TEST(Group, ScattersGathersAndBroadcasts) {
  ProcessGroup& group = world();
  const int size = group.size(), rank = group.rank();
  constexpr int64_t share = 300'001;
  std::vector<float> all(static_cast<size_t>(share * size)), part(share);
  for (size_t i = 0; i < all.size(); ++i) all[i] = static_cast<float>(i % 1000) * static_cast<float>(rank + 1);
  group.reduce_scatter({all.data(), share * size}, {part.data(), share});
  const float times = static_cast<float>(size * (size + 1) / 2);
  for (int64_t i = 0; i < share; i += 997) ASSERT_EQ(part[static_cast<size_t>(i)], static_cast<float>((i + rank * share) % 1000) * times);
  group.all_gather({part.data(), share}, {all.data(), share * size});
  for (size_t i = 0; i < all.size(); i += 991) ASSERT_EQ(all[i], static_cast<float>(i % 1000) * times);
  if (rank != size - 1) std::fill(all.begin(), all.end(), -1.0F);
  const FlatBuffer buffer{all.data(), share * size};
  group.broadcast({&buffer, 1}, size - 1);
  for (size_t i = 0; i < all.size(); i += 991) ASSERT_EQ(all[i], static_cast<float>(i % 1000) * times);
  group.barrier();
}

TEST(Group, ExchangesBytesOfAnyLength) {
  ProcessGroup& group = world();
  const auto text = [](int from, int to) { return std::string(static_cast<size_t>(from * 1'000'003 + to * 7), static_cast<char>('a' + from)); };
  std::vector<std::string> send;
  for (int to = 0; to < group.size(); ++to) send.push_back(text(group.rank(), to));
  const auto got = group.all_to_all(send);
  for (int from = 0; from < group.size(); ++from) EXPECT_EQ(got[static_cast<size_t>(from)], text(from, group.rank()));
  const auto gathered = group.gather(text(group.rank(), 1), 0);
  ASSERT_EQ(gathered.size(), group.leads() ? static_cast<size_t>(group.size()) : size_t{0});
  for (size_t from = 0; from < gathered.size(); ++from) EXPECT_EQ(gathered[from], text(static_cast<int>(from), 1));
  EXPECT_EQ(group.all_gather(text(group.rank(), 2)).back(), text(group.size() - 1, 2));
}

TEST(Agree, ThrowsEverywhereWhatOneRankMeets) {
  ProcessGroup& group = world();
  const int last = group.size() - 1;
  try {
    together_do(group, [&] {
      if (group.rank() == last) fail("here", "is something wrong");
    });
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("here: is something wrong"), std::string::npos) << error.what();
    EXPECT_EQ(std::string(error.what()).starts_with("rank"), !group.is_alone());
  }
  EXPECT_TRUE(any(group, group.rank() == last));
  EXPECT_FALSE(any(group, false));
  EXPECT_EQ(from_leader(group, std::to_string(group.rank())), "0");
}

TEST(Dealing, TakesRowsBackInTheirOrder) {
  ProcessGroup& group = world();
  for (const int64_t rows : {0, 1, 4, 5, 97, 1000}) {
    const Dealing dealing(group, 4);
    std::vector<std::string> mine, all;
    for (int64_t row = 0; row < rows; ++row)
      if (dealing.is_mine(row)) mine.push_back(std::to_string(row));
    size_t at = 0;
    in_row_order(group, dealing, rows, 16, [&] { return mine.at(at++); }, [&](std::string_view text) { all.emplace_back(text); });
    EXPECT_EQ(at, mine.size());
    ASSERT_EQ(all.size(), group.leads() ? static_cast<size_t>(rows) : size_t{0});
    for (size_t row = 0; row < all.size(); ++row) EXPECT_EQ(all[row], std::to_string(row));
  }
}

TEST(Dealing, FindsOtherContents) {
  ProcessGroup& group = world();
  ReadingHash same, other;
  same.add("row");
  other.add(group.leads() ? "row" : "roW");
  EXPECT_NO_THROW(check_same_reading(group, "rows.jsonl", 1, same));
  if (group.is_alone()) return;
  EXPECT_THROW(check_same_reading(group, "rows.jsonl", 1, other), AgreedError);
  EXPECT_THROW(check_same_reading(group, "rows.jsonl", group.rank(), same), AgreedError);
}

TEST(Packed, ShortMessagesAreAnError) {
  Packer packer;
  packer.put_text("text");
  packer.put(3.5);
  const std::string bytes = packer.take();
  Unpacker from(bytes);
  EXPECT_EQ(from.get_text(), "text");
  EXPECT_EQ(from.get<double>(), 3.5);
  EXPECT_TRUE(from.at_end());
  EXPECT_THROW(from.get<int>(), Error);
  EXPECT_THROW(Unpacker(std::string_view(bytes).substr(0, 9)).get_text(), Error);
}

}  // namespace
}  // namespace fettle::parallel
