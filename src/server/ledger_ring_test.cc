#include "server/ledger_ring.h"

#include <gtest/gtest.h>

#include <cstdint>

namespace weir {
namespace {

ClosedRequest Named(const std::string& id, int status = 200) {
  ClosedRequest request;
  request.id = id;
  request.status = status;
  return request;
}

TEST(LedgerRingTest, KeepsTheNewestAndNumbersThemOn) {
  LedgerRing ring(3);
  for (const char* id : {"a", "b", "c", "d"}) ring.Add(Named(id));
  EXPECT_FALSE(ring.Find("a").has_value());
  const std::vector<ClosedRequest> all = ring.After(0, 10);
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(all[0].id, "b");
  EXPECT_EQ(all[0].number, 2u);
  EXPECT_EQ(all[2].id, "d");
}

TEST(LedgerRingTest, AnswersWhatCameSinceAndNoMoreThanAsked) {
  LedgerRing ring(8);
  EXPECT_TRUE(ring.After(0, 10).empty());
  for (const char* id : {"a", "b", "c"}) ring.Add(Named(id));
  ASSERT_EQ(ring.After(1, 10).size(), 2u);
  EXPECT_EQ(ring.After(1, 1)[0].id, "b");
  EXPECT_TRUE(ring.After(3, 10).empty());
  EXPECT_TRUE(ring.After(UINT64_MAX, 10).empty());
}

TEST(LedgerRingTest, FindsTheNewestOfAnId) {
  LedgerRing ring(8);
  ring.Add(Named("a", 429));
  ring.Add(Named("a", 200));
  EXPECT_EQ(ring.Find("a")->status, 200);
}

TEST(ClosedRequestTest, OutcomeTellsRefusalFromFailure) {
  EXPECT_EQ(Named("a", 200).outcome(), "ok");
  EXPECT_EQ(Named("a", 429).outcome(), "refused");
  EXPECT_EQ(Named("a", 503).outcome(), "refused");
  EXPECT_EQ(Named("a", 400).outcome(), "bad_request");
  EXPECT_EQ(Named("a", 499).outcome(), "cancelled");
  EXPECT_EQ(Named("a", 500).outcome(), "failed");
}

}  // namespace
}  // namespace weir
