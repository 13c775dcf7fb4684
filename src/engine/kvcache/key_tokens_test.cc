#include "engine/kvcache/key_tokens.h"

#include <gtest/gtest.h>

#include <vector>

#include "engine/kvcache/block_pool.h"

namespace weir {
namespace {

TEST(TurnKeysTest, PutsTheTokensOfEveryValueSideBySide) {
  constexpr int kStride = 70;
  std::vector<uint16_t> keys(kBlockSize * kStride);
  for (size_t i = 0; i < keys.size(); ++i) keys[i] = static_cast<uint16_t>(i);
  for (const int count : {8, 24, 64}) {
    std::vector<uint16_t> to(static_cast<size_t>(count + 1) * kBlockSize, 0xabcd);
    TurnKeys(keys.data(), kStride, count, to.data());
    for (int d = 0; d < count; ++d)
      for (int token = 0; token < kBlockSize; ++token)
        ASSERT_EQ(to[static_cast<size_t>(d * kBlockSize + token)], token * kStride + d) << count;
    for (int token = 0; token < kBlockSize; ++token)
      EXPECT_EQ(to[static_cast<size_t>(count * kBlockSize + token)], 0xabcd) << "beyond the values";
  }
}

}  // namespace
}  // namespace weir
