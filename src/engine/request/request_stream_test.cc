#include "engine/request/request_stream.h"

#include <gtest/gtest.h>

#include <thread>

namespace weir {
namespace {

TokenEvent Token(int index) {
  TokenEvent event;
  event.token = index * 3;
  event.index = index;
  return event;
}

TokenEvent Final() {
  TokenEvent event;
  event.finish = FinishReason::kLength;
  return event;
}

TEST(RequestStreamTest, DeliversEventsInOrder) {
  RequestStream stream("r", nullptr);
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(stream.Push(Token(i)));
  ASSERT_TRUE(stream.Push(Final()));
  TokenEvent event;
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(stream.Pop(&event));
    EXPECT_EQ(event.index, i);
  }
  ASSERT_TRUE(stream.Pop(&event));
  EXPECT_EQ(event.finish, FinishReason::kLength);
  EXPECT_FALSE(stream.Pop(&event));
}

TEST(RequestStreamTest, KeepsOnePlaceForTheFinalEvent) {
  RequestStream stream("r", nullptr);
  int pushed = 0;
  while (stream.Push(Token(pushed))) ++pushed;
  EXPECT_EQ(pushed, RequestStream::kCapacity - 1);
  EXPECT_TRUE(stream.Push(Final()));
  EXPECT_TRUE(stream.finished());
}

TEST(RequestStreamTest, ShortAnswerNeverFindsItsRingFull) {
  for (int max_events : {0, 1, 2, 3, 7, 8, 100, 1023}) {
    RequestStream stream("r", nullptr, max_events);
    for (int i = 0; i + 1 < max_events; ++i) ASSERT_TRUE(stream.Push(Token(i))) << max_events;
    EXPECT_TRUE(stream.Push(Final())) << max_events;
  }
}

TEST(RequestStreamTest, NamesOnlyTheReasonsThatClientsSee) {
  EXPECT_EQ(FinishReasonName(FinishReason::kStop), "stop");
  EXPECT_EQ(FinishReasonName(FinishReason::kLength), "length");
  EXPECT_EQ(FinishReasonName(FinishReason::kError), "");
}

TEST(RequestStreamTest, HandsEveryEventOverBetweenTwoThreads) {
  RequestStream stream("r", nullptr, 8);
  constexpr int kEvents = 20000;
  std::thread writer([&] {
    for (int i = 0; i < kEvents;) {
      if (stream.Push(Token(i))) {
        ++i;
      } else {
        std::this_thread::yield();
      }
    }
    stream.ledger().num_steps = kEvents;  // the reader may look after the final event
    stream.Push(Final());
  });
  int next = 0;
  bool in_order = true;
  for (TokenEvent event;;) {
    if (!stream.Pop(&event)) {
      std::this_thread::yield();
      continue;
    }
    if (event.finish != FinishReason::kNone) break;
    in_order = in_order && event.index == next && event.token == next * 3;
    ++next;
  }
  EXPECT_TRUE(in_order);
  EXPECT_EQ(next, kEvents);
  EXPECT_EQ(stream.ledger().num_steps, kEvents);
  writer.join();
}

}  // namespace
}  // namespace weir
