#include "engine/scheduler/fair_shares.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>

namespace weir {
namespace {

RequestOwner Owner(const std::string& name, double weight = 1) {
  RequestOwner owner;
  owner.name = name;
  owner.weight = weight;
  return owner;
}

TEST(FairSharesTest, CountsCostByWeightAndClass) {
  FairShares shares;
  ServedFlow* plain = shares.Enter(Owner("a"), RequestClass::kDefault);
  ServedFlow* heavy = shares.Enter(Owner("b", 2), RequestClass::kDefault);
  ServedFlow* urgent = shares.Enter(Owner("a"), RequestClass::kInteractive);
  for (ServedFlow* flow : {plain, heavy, urgent}) shares.Charge(flow, 80);
  EXPECT_EQ(plain->counter, 20);
  EXPECT_EQ(heavy->counter, 10);
  EXPECT_EQ(urgent->counter, 10);
  EXPECT_EQ(shares.ServedCost("a"), 160);
  EXPECT_EQ(shares.ServedCost("nobody"), 0);
}

TEST(FairSharesTest, WhoComesBackStartsAtTheLeastOfThoseWhoAreThere) {
  FairShares shares;
  ServedFlow* idle = shares.Enter(Owner("idle"), RequestClass::kDefault);
  shares.Leave(idle);
  ServedFlow* busy = shares.Enter(Owner("busy"), RequestClass::kDefault);
  ServedFlow* busier = shares.Enter(Owner("busier"), RequestClass::kDefault);
  shares.Charge(busy, 400);
  shares.Charge(busier, 800);
  EXPECT_EQ(shares.Enter(Owner("idle"), RequestClass::kDefault)->counter, 100);
  // Who had more keeps it.
  shares.Leave(busier);
  EXPECT_EQ(shares.Enter(Owner("busier"), RequestClass::kDefault)->counter, 200);
}

TEST(FairSharesTest, ANewcomerToAnEmptyServerHasNoAdvantageOverWhoJustLeft) {
  FairShares shares;
  ServedFlow* first = shares.Enter(Owner("first"), RequestClass::kDefault);
  shares.Charge(first, 4000);
  shares.Leave(first);
  EXPECT_EQ(shares.Enter(Owner("second"), RequestClass::kDefault)->counter, 1000);
}

TEST(FairSharesTest, HoldsWeightsWhereACounterStillMoves) {
  for (const double weight :
       {0.0, -1.0, std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
    FairShares shares;
    ServedFlow* flow = shares.Enter(Owner("a", weight), RequestClass::kSheddable);
    shares.Charge(flow, 1);
    EXPECT_GT(flow->counter, 0) << weight;
    EXPECT_LE(flow->counter, 1000) << weight;
  }
}

TEST(FairSharesTest, ForgetsIdleFlowsBeyondAThousandAndNoneThatIsHere) {
  FairShares shares;
  ServedFlow* here = shares.Enter(Owner("here"), RequestClass::kDefault);
  shares.Charge(here, 4);
  for (int i = 0; i < 5000; ++i) {
    ServedFlow* flow = shares.Enter(Owner("gateway user " + std::to_string(i)), RequestClass::kDefault);
    shares.Charge(flow, 10);
    shares.Leave(flow);
  }
  EXPECT_LE(shares.num_flows(), FairShares::kMaxFlows);
  EXPECT_EQ(here->num_sequences, 1);
  EXPECT_EQ(shares.ServedCost("here"), 4);
}

}  // namespace
}  // namespace weir
