#include "server/route_table.h"

#include <gtest/gtest.h>

namespace weir {
namespace {

TEST(RouteTableTest, HeadWorksWhereverGetDoes) {
  for (const Route& route : Routes()) {
    if (route.method != "GET") continue;
    const std::string path = std::string(route.path) + (route.path.ends_with('/') ? "x" : "");
    const Listener listener = route.listeners & kDataListener ? kDataListener : kControlListener;
    EXPECT_EQ(FindRoute("HEAD", path, listener).route, &route) << path;
  }
}

TEST(RouteTableTest, AWrongMethodNamesTheRightOnes) {
  const RouteMatch match = FindRoute("GET", "/v1/completions", kDataListener);
  EXPECT_EQ(match.route, nullptr);
  EXPECT_EQ(match.allow, "POST");
  EXPECT_EQ(FindRoute("POST", "/health", kDataListener).allow, "GET, HEAD");
}

TEST(RouteTableTest, OddSpellingsAndOtherListenersFindNothing) {
  for (const char* path :
       {"/V1/models", "//v1/models", "/v1/models/", "/v1", "", "/health/", "/health/x", "/ledger/"}) {
    const RouteMatch match = FindRoute("GET", path, kDataListener);
    EXPECT_EQ(match.route, nullptr) << path;
    EXPECT_EQ(match.allow, "") << path;
  }
  for (const char* path : {"/debug/requests", "/debug/requests/x", "/debug/state"})
    EXPECT_EQ(FindRoute("GET", path, kDataListener).route, nullptr) << path;
  EXPECT_EQ(FindRoute("POST", "/v1/completions", kControlListener).allow, "");
}

TEST(RouteTableTest, APrefixRouteKeepsTheRest) {
  EXPECT_EQ(FindRoute("GET", "/v1/models/a/b", kDataListener).rest, "a/b");
  EXPECT_EQ(FindRoute("GET", "/debug/requests/r1", kControlListener).rest, "r1");
}

}  // namespace
}  // namespace weir
