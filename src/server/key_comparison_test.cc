// How much a server works to refuse a key: counted, because a clock on a shared machine tells too little.
#include <gtest/gtest.h>

#ifdef __x86_64__

#include <signal.h>
#include <ucontext.h>

#include <string>
#include <vector>

#include "server/key_ring.h"

namespace weir {
namespace {

volatile sig_atomic_t num_steps = 0;

void CountStep(int, siginfo_t*, void*) { num_steps = num_steps + 1; }

// The processor stops after each instruction while its trap flag is set, and the kernel makes a signal of that.
void SetTrapFlag() { asm volatile("pushfq\n\torq $0x100, (%%rsp)\n\tpopfq" ::: "memory", "cc"); }
void ClearTrapFlag() { asm volatile("pushfq\n\tandq $~0x100, (%%rsp)\n\tpopfq" ::: "memory", "cc"); }

template <class Call>
int Instructions(const Call& call) {
  struct sigaction counting {
  }, before{};
  counting.sa_sigaction = &CountStep;
  counting.sa_flags = SA_SIGINFO | SA_NODEFER;
  sigaction(SIGTRAP, &counting, &before);
  num_steps = 0;
  SetTrapFlag();
  call();
  ClearTrapFlag();
  sigaction(SIGTRAP, &before, nullptr);
  return num_steps;
}

// Warm: the first calls of a library look for what they need.
template <class Call>
int InstructionsOnceWarm(const Call& call) {
  for (int i = 0; i < 3; ++i) call();
  return Instructions(call);
}

class HostileApiKeysTest : public testing::Test {
 protected:
  void SetUp() override {
#ifdef __SANITIZE_ADDRESS__
    GTEST_SKIP() << "the sanitizer's own work, which depends on addresses, would be counted too";
#endif
    volatile int sum = 0;
    const int few = Instructions([&] { sum = sum + 1; });
    const int many = Instructions([&] {
      for (int i = 0; i < 100; ++i) sum = sum + i;
    });
    if (many < few + 100) GTEST_SKIP() << "instructions cannot be counted here: " << few << " and " << many;
  }
};

TEST_F(HostileApiKeysTest, A7DigestsAreComparedByTheSameWorkWhereverTheyDiffer) {
  const Sha256Digest right = Sha256Bytes("secret");
  bool same = true;
  const int equal = InstructionsOnceWarm([&] { same = SameDigest(right, right); });
  EXPECT_TRUE(same);
  EXPECT_GT(equal, 32);
  for (size_t i = 0; i < right.size(); ++i) {
    for (const int bit : {1, 128}) {
      Sha256Digest other = right;
      other[i] = static_cast<uint8_t>(other[i] ^ bit);
      EXPECT_EQ(InstructionsOnceWarm([&] { same = SameDigest(right, other); }), equal) << i;
      EXPECT_FALSE(same);
    }
  }
}

TEST_F(HostileApiKeysTest, A7AWrongKeyCostsTheSameWorkHoweverNearItIs) {
  const std::string secret = "correct-horse-battery";
  std::vector<ApiKey> keys(5);
  for (size_t i = 0; i < keys.size(); ++i) {
    keys[i].owner.name = std::to_string(i);
    keys[i].digest = Sha256Bytes(secret + static_cast<char>('0' + i));
  }
  const KeyRing ring(keys);
  const auto now = std::chrono::system_clock::now();
  const ApiKey* found = nullptr;
  const auto work_for = [&](const std::string& presented) {
    return InstructionsOnceWarm([&] { found = ring.Find(presented, now); });
  };
  const int wrong = work_for(std::string(secret.size() + 1, 'x'));
  ASSERT_EQ(found, nullptr);
  EXPECT_GT(wrong, 1000);
  for (size_t i = 0; i <= secret.size(); i += 7) {
    std::string near = secret + "0";
    near[i] = static_cast<char>(near[i] ^ 64);
    EXPECT_EQ(work_for(near), wrong) << "differs in character " << i;
    EXPECT_EQ(found, nullptr);
  }
  // Nor does it matter which of the keys it is: none ends the search.
  const int first = work_for(secret + "0");
  ASSERT_NE(found, nullptr);
  for (size_t i = 1; i < keys.size(); ++i) {
    EXPECT_EQ(work_for(secret + static_cast<char>('0' + i)), first);
    ASSERT_NE(found, nullptr);
    EXPECT_EQ(found->owner.name, keys[i].owner.name);
  }
}

}  // namespace
}  // namespace weir

#endif
