#include "server/service_class.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace weir {
namespace {

HttpRequestHead Head(std::vector<HttpHeader> headers) {
  HttpRequestHead head;
  head.headers = std::move(headers);
  return head;
}

TEST(ServiceClassTest, HeaderNamesTheClass) {
  const RequestOwner owner;
  EXPECT_EQ(ReadApplicant(Head({}), owner)->service_class, RequestClass::kDefault);
  EXPECT_EQ(ReadApplicant(Head({{"X-Weir-Class", "interactive"}}), owner)->service_class,
            RequestClass::kInteractive);
  EXPECT_EQ(ReadApplicant(Head({{"X-Weir-Class", "sheddable"}}), owner)->service_class,
            RequestClass::kSheddable);
  const auto unknown = ReadApplicant(Head({{"X-Weir-Class", "first"}}), owner);
  ASSERT_FALSE(unknown.has_value());
  EXPECT_EQ(unknown.error().reason(), "invalid_header");
}

TEST(ServiceClassTest, NobodyGetsMoreThanItsKeyAllows) {
  RequestOwner owner;
  owner.highest_class = RequestClass::kBatch;
  const auto plain = ReadApplicant(Head({}), owner);
  EXPECT_EQ(plain->service_class, RequestClass::kBatch);
  EXPECT_EQ(ClassOfTier("priority", *plain), RequestClass::kBatch);
  const auto above = ReadApplicant(Head({{"X-Weir-Class", "default"}}), owner);
  ASSERT_FALSE(above.has_value());
  EXPECT_EQ(above.error().reason(), "class_not_allowed");
}

TEST(ServiceClassTest, TierOfTheBodyWinsOverTheHeader) {
  const auto applicant = ReadApplicant(Head({{"X-Weir-Class", "batch"}}), {});
  EXPECT_EQ(ClassOfTier("priority", *applicant), RequestClass::kInteractive);
  EXPECT_EQ(ClassOfTier("", *applicant), RequestClass::kBatch);
  EXPECT_EQ(ClassOfTier("auto", *applicant), RequestClass::kBatch);
  EXPECT_EQ(ClassOfTier("flex", *ReadApplicant(Head({}), {})), RequestClass::kBatch);
  EXPECT_EQ(TierName(RequestClass::kInteractive), "priority");
  EXPECT_EQ(TierName(RequestClass::kSheddable), "flex");
}

TEST(ServiceClassTest, OnlyATrustedOwnerNamesForWhomItAsks) {
  RequestOwner owner;
  owner.name = "gateway";
  const HttpRequestHead head = Head({{"x-llm-d-inference-fairness-id", "tenant 7"}});
  EXPECT_EQ(ReadApplicant(head, owner)->owner.name, "gateway");
  owner.trusted = true;
  EXPECT_EQ(ReadApplicant(head, owner)->owner.name, "gateway/tenant 7");
  const HttpRequestHead longest = Head({{"x-gateway-inference-fairness-id", std::string(5000, 'x')}});
  EXPECT_EQ(ReadApplicant(longest, owner)->owner.name.size(), 8u + 64u);
}

TEST(ServiceClassTest, ARetryIsKnownByTheSdksHeader) {
  EXPECT_FALSE(ReadApplicant(Head({}), {})->is_retry);
  EXPECT_FALSE(ReadApplicant(Head({{"X-Stainless-Retry-Count", "0"}}), {})->is_retry);
  EXPECT_TRUE(ReadApplicant(Head({{"X-Stainless-Retry-Count", "2"}}), {})->is_retry);
}

}  // namespace
}  // namespace weir
