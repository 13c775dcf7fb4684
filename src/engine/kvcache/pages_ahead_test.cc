#include "engine/kvcache/pages_ahead.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <chrono>
#include <thread>
#include <vector>

namespace weir {
namespace {

// 16 blocks of 128 KiB to a huge page; 8 huge pages to a layer.
KvStorage Storage() {
  Result<KvStorage> storage =
      KvStorage::Create({.num_layers = 2, .num_kv_heads = 16, .head_dim = 128}, 8 * 16);
  EXPECT_TRUE(storage.has_value());
  return std::move(storage).value();
}

// How many bytes of the blocks below `end` are in memory.
int64_t ResidentBytes(const KvStorage& storage, int end) {
  int64_t bytes = 0;
  for (int layer = 0; layer < storage.shape().num_layers; ++layer) {
    const int64_t length = end * storage.block_stride();
    std::vector<unsigned char> pages(static_cast<size_t>(length / 4096));
    EXPECT_EQ(mincore(storage.blocks(layer, 0), static_cast<size_t>(length), pages.data()), 0);
    for (const unsigned char page : pages) bytes += (page & 1) * 4096;
  }
  return bytes;
}

void WaitFor(const PagesAhead& pages, int num_blocks) {
  for (int i = 0; i < 2000 && pages.num_prepared() < num_blocks; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
}

TEST(PagesAheadTest, KeepsTwoHugePagesPerLayerAheadOfWhatIsUsed) {
  const KvStorage storage = Storage();
  ASSERT_EQ(ResidentBytes(storage, 128), 0);
  PagesAhead pages(&storage);
  ASSERT_EQ(pages.blocks_per_page(), 16);
  WaitFor(pages, 32);
  if (pages.num_prepared() == 0) GTEST_SKIP() << "this kernel gives pages only when they are written";
  EXPECT_EQ(ResidentBytes(storage, 32), 2 * 32 * storage.block_stride());
  EXPECT_EQ(ResidentBytes(storage, 128), 2 * 32 * storage.block_stride()) << "the rest is nobody's yet";
  pages.NoteUsed(17);
  WaitFor(pages, 49);
  EXPECT_EQ(pages.num_prepared(), 64);
  EXPECT_EQ(ResidentBytes(storage, 128), 2 * 64 * storage.block_stride());
  pages.NoteUsed(128);
  WaitFor(pages, 128);
  EXPECT_EQ(pages.num_prepared(), 128);
  EXPECT_EQ(ResidentBytes(storage, 128), storage.bytes());
}

TEST(PagesAheadTest, ChangesNothingThatWasWritten) {
  const KvStorage storage = Storage();
  for (int layer = 0; layer < 2; ++layer) storage.blocks(layer, 0)[5 * storage.block_stride()] = 42;
  PagesAhead pages(&storage);
  pages.NoteUsed(128);
  WaitFor(pages, 128);
  for (int layer = 0; layer < 2; ++layer) {
    EXPECT_EQ(storage.blocks(layer, 0)[5 * storage.block_stride()], 42);
    EXPECT_EQ(storage.blocks(layer, 0)[6 * storage.block_stride()], 0);
  }
}

TEST(PagesAheadTest, EndsInTheMiddleOfItsWork) {
  const KvStorage storage = Storage();
  PagesAhead pages(&storage);
  pages.NoteUsed(128);
}

}  // namespace
}  // namespace weir
