#include "engine/gguf/fault_guard.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <csignal>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/support/temp_file.h"

namespace weir {
namespace {

constexpr size_t kPage = 4096;

// Four pages of a file, of which later only the first is left.
class FaultGuardTest : public testing::Test {
 protected:
  FaultGuardTest() : file_(std::string(4 * kPage, 'x')) {
    const int descriptor = open(file_.path().c_str(), O_RDONLY | O_CLOEXEC);
    void* const mapping = mmap(nullptr, 4 * kPage, PROT_READ, MAP_PRIVATE, descriptor, 0);
    close(descriptor);
    EXPECT_NE(mapping, MAP_FAILED);
    data_ = static_cast<const volatile char*>(mapping);
  }
  ~FaultGuardTest() override { munmap(const_cast<char*>(data_), 4 * kPage); }
  Result<FaultGuard> Protect() { return FaultGuard::Protect(const_cast<char*>(data_), 4 * kPage); }

  TempFile file_;
  const volatile char* data_ = nullptr;
};

TEST_F(FaultGuardTest, AMissingPageReadsAsZerosAndIsRemembered) {
  const auto guard = Protect();
  ASSERT_TRUE(guard.has_value());
  EXPECT_EQ(data_[3 * kPage], 'x');
  EXPECT_FALSE(guard->Faulted());
  file_.Truncate(kPage);
  EXPECT_EQ(data_[2 * kPage], '\0');
  EXPECT_EQ(data_[0], 'x');
  EXPECT_TRUE(guard->Faulted());
}

TEST_F(FaultGuardTest, ManyThreadsMayHitTheSamePage) {
  const auto guard = Protect();
  ASSERT_TRUE(guard.has_value());
  file_.Truncate(kPage);
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([this] {
      for (size_t at = kPage; at < 4 * kPage; ++at) EXPECT_EQ(data_[at], '\0');
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(guard->Faulted());
}

TEST_F(FaultGuardTest, MovingKeepsTheProtection) {
  auto first = Protect();
  ASSERT_TRUE(first.has_value());
  FaultGuard second;
  second = std::move(*first);
  file_.Truncate(0);
  EXPECT_EQ(data_[0], '\0');
  EXPECT_TRUE(second.Faulted());
}

using FaultGuardDeathTest = FaultGuardTest;

TEST_F(FaultGuardDeathTest, AFaultElsewhereStillEndsTheProcess) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_EXIT(
      {
        std::signal(SIGBUS, SIG_DFL);
        auto guard = Protect();
        { const FaultGuard gone = std::move(*guard); }
        file_.Truncate(kPage);
        (void)data_[2 * kPage];
      },
      testing::KilledBySignal(SIGBUS), "");
}

TEST_F(FaultGuardTest, TooManyRangesAreRefused) {
  std::vector<FaultGuard> guards;
  for (int i = 0; i < 1000; ++i) {
    auto guard = Protect();
    if (!guard.has_value()) {
      EXPECT_EQ(guard.error().code(), StatusCode::kResourceExhausted);
      return;
    }
    guards.push_back(std::move(*guard));
  }
  FAIL() << "a thousand ranges were accepted by a table of fixed size";
}

}  // namespace
}  // namespace weir
