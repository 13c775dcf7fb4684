#include "engine/kvcache/block_pool.h"

#include <gtest/gtest.h>

#include <set>

#include "base/rng.h"
#include "engine/kvcache/block_table.h"
#include "engine/kvcache/kv_storage.h"

namespace weir {
namespace {

TEST(BlockPoolTest, HandsOutEveryBlockOnce) {
  BlockPool pool(5);
  std::set<BlockId> blocks;
  while (pool.CanAllocate(1)) blocks.insert(pool.Allocate());
  EXPECT_EQ(blocks.size(), 5u);
  EXPECT_EQ(pool.num_free(), 0);
  EXPECT_EQ(pool.peak_used(), 5);
  for (BlockId block : blocks) pool.Release(block);
  EXPECT_EQ(pool.num_free(), 5);
  EXPECT_EQ(pool.peak_used(), 5);
  EXPECT_EQ(pool.CheckInvariants(), "");
}

TEST(BlockPoolTest, SharedBlockIsFreeOnlyAfterItsLastRelease) {
  BlockPool pool(2);
  const BlockId block = pool.Allocate();
  pool.AddReference(block);
  pool.Release(block);
  EXPECT_EQ(pool.num_used(), 1);
  pool.Release(block);
  EXPECT_EQ(pool.num_used(), 0);
  EXPECT_EQ(pool.CheckInvariants(), "");
}

TEST(BlockPoolDeathTest, ReleasingAFreeBlockEndsTheProcess) {
  BlockPool pool(2);
  EXPECT_DEATH(pool.Release(0), "references_");
}

TEST(BlockTableTest, CoversExactlyTheBlocksItNeeds) {
  BlockPool pool(4);
  BlockTable table;
  EXPECT_EQ(table.BlocksMissing(1), 1);
  EXPECT_EQ(table.BlocksMissing(kBlockSize), 1);
  EXPECT_EQ(table.BlocksMissing(kBlockSize + 1), 2);
  table.Cover(pool, kBlockSize + 1);
  EXPECT_EQ(table.blocks().size(), 2u);
  EXPECT_EQ(table.BlocksMissing(2 * kBlockSize), 0);
  EXPECT_TRUE(table.CanCover(pool, 4 * kBlockSize));
  EXPECT_FALSE(table.CanCover(pool, 4 * kBlockSize + 1));
  table.Free(pool);
  EXPECT_EQ(pool.num_free(), 4);
}

TEST(BlockTableTest, SlotsLieInTheBlocksInOrder) {
  BlockPool pool(8);
  BlockTable first;
  BlockTable second;
  first.Cover(pool, kBlockSize);
  second.Cover(pool, kBlockSize);
  first.Cover(pool, 2 * kBlockSize);
  std::set<int64_t> slots;
  for (int i = 0; i < 2 * kBlockSize; ++i) {
    EXPECT_EQ(first.SlotOf(i) / kBlockSize, first.blocks()[i / kBlockSize]);
    EXPECT_EQ(first.SlotOf(i) % kBlockSize, i % kBlockSize);
    slots.insert(first.SlotOf(i));
  }
  for (int i = 0; i < kBlockSize; ++i) slots.insert(second.SlotOf(i));
  EXPECT_EQ(slots.size(), static_cast<size_t>(3 * kBlockSize));
  first.Free(pool);
  second.Free(pool);
}

TEST(BlockTableTest, MovedFromTableHoldsNothing) {
  BlockPool pool(2);
  BlockTable first;
  first.Cover(pool, 20);
  BlockTable second(std::move(first));
  EXPECT_TRUE(first.blocks().empty());  // NOLINT: that is what is tested
  EXPECT_EQ(second.blocks().size(), 2u);
  second.Free(pool);
}

TEST(BlockPoolTest, StaysSoundUnderRandomTables) {
  Rng rng(11);
  BlockPool pool(40);
  std::vector<BlockTable> tables(6);
  std::vector<int64_t> lengths(6, 0);
  for (int i = 0; i < 3000; ++i) {
    const size_t which = rng.NextBelow(tables.size());
    if (rng.NextBelow(4) == 0) {
      tables[which].Free(pool);
      lengths[which] = 0;
    } else if (const int64_t longer = lengths[which] + 1 + static_cast<int64_t>(rng.NextBelow(30));
               tables[which].CanCover(pool, longer)) {
      tables[which].Cover(pool, longer);
      lengths[which] = longer;
    }
    int held = 0;
    for (const BlockTable& table : tables) held += static_cast<int>(table.blocks().size());
    ASSERT_EQ(held, pool.num_used());
    ASSERT_EQ(pool.CheckInvariants(), "");
  }
  for (BlockTable& table : tables) table.Free(pool);
  EXPECT_EQ(pool.num_free(), 40);
}

TEST(KvStorageTest, LayersAndHeadsLieApartAndFillTheBuffer) {
  for (const KvDtype dtype : {KvDtype::kF16, KvDtype::kInt8}) {
    const KvShape shape{.num_layers = 3, .num_kv_heads = 2, .head_dim = 8, .dtype = dtype};
    Result<KvStorage> storage = KvStorage::Create(shape, 5);
    ASSERT_TRUE(storage.has_value()) << storage.error().message();
    EXPECT_EQ(storage->block_stride(), 2 * shape.bytes_per_head_block());
    for (int layer = 0; layer < shape.num_layers; ++layer) {
      EXPECT_EQ(storage->blocks(layer, 1) - storage->blocks(layer, 0), shape.bytes_per_head_block());
      EXPECT_EQ(storage->blocks(layer, 0) - storage->blocks(0, 0), layer * 5 * storage->block_stride());
    }
    EXPECT_EQ(storage->bytes(), 5 * shape.bytes_per_block());
  }
}

TEST(KvStorageTest, CountsTheScalesOfInt8) {
  const KvShape fp16{.num_layers = 30, .num_kv_heads = 3, .head_dim = 64};
  EXPECT_EQ(fp16.bytes_per_token(), 30 * 3 * 2 * 64 * 2);
  KvShape int8 = fp16;
  int8.dtype = KvDtype::kInt8;
  EXPECT_EQ(int8.bytes_per_token(), 30 * 3 * 2 * (64 + 4));
  int8.head_dim = 18;
  EXPECT_EQ(int8.bytes_per_token(), 30 * 3 * 2 * (20 + 4));
}

TEST(KvStorageTest, RefusesSizesThatCannotBe) {
  const KvShape shape{.num_layers = 1 << 20, .num_kv_heads = 1 << 20, .head_dim = 1 << 20};
  Result<KvStorage> storage = KvStorage::Create(shape, 1 << 20);
  ASSERT_FALSE(storage.has_value());
  EXPECT_EQ(storage.error().code(), StatusCode::kResourceExhausted);
}

}  // namespace
}  // namespace weir
