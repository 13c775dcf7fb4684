#include "cli/diagnosis.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace weir {
namespace {

using testing::HasSubstr;

// A machine with nothing to complain about.
MachineFacts Healthy() {
  MachineFacts facts;
  facts.cpu_model = "Example CPU";
  facts.virtualization = "none seen";
  facts.physical_cores = facts.logical_cores = facts.usable_cores = 4;
  facts.load_average = 0.1;
  facts.cpu_flags = {"avx2", "fma"};
  facts.kernel_paths = {"generic", "avx2"};
  facts.chosen_path = "avx2";
  facts.huge_page_mode = "madvise";
  facts.open_file_limit = 65536;
  facts.memory.total_bytes = 16'000'000'000;
  facts.memory.available_bytes = 10'000'000'000;
  facts.roofs = MachineRoofs{};
  facts.roofs->read_bandwidth_bytes_per_s = 20e9;
  facts.roofs->huge_page_ratio = 1;
  facts.model_path = "m.gguf";
  facts.model_weight_bytes = 100'000'000;
  return facts;
}

Finding About(const std::string& subject, const MachineFacts& facts) {
  const auto findings = Diagnose(facts);
  const auto at =
      std::find_if(findings.begin(), findings.end(), [&](const Finding& f) { return f.subject == subject; });
  if (at == findings.end()) return {FindingLevel::kOk, "", "", ""};
  return *at;
}

TEST(DiagnosisTest, AHealthyMachineHasNothingToDo) {
  for (const Finding& finding : Diagnose(Healthy())) {
    EXPECT_EQ(finding.level, FindingLevel::kOk) << finding.subject << ": " << finding.text;
    EXPECT_EQ(finding.advice, "") << finding.subject;
  }
  EXPECT_THAT(About("model", Healthy()).text, HasSubstr("at most 200 tokens/s"));
}

TEST(DiagnosisTest, EveryHintSaysWhatToDo) {
  MachineFacts facts = Healthy();
  facts.huge_page_mode = "never";
  facts.load_average = 3;
  facts.governor = "powersave";
  facts.open_file_limit = 256;
  facts.cpu_quota = 1.5;
  facts.kernel_paths = {"generic", "avx2", "avx512vnni"};
  facts.forced_path = "avx2";
  for (const char* subject : {"huge pages", "other load", "governor", "open files", "CPU", "kernels"}) {
    const Finding finding = About(subject, facts);
    EXPECT_EQ(finding.level, FindingLevel::kHint) << subject;
    EXPECT_NE(finding.advice, "") << subject;
  }
  EXPECT_THAT(About("CPU", facts).advice, HasSubstr("--threads 1"));
}

TEST(DiagnosisTest, FragmentedMemoryIsNoticedByTheProbe) {
  MachineFacts facts = Healthy();
  facts.roofs->huge_page_ratio = 0.4;
  EXPECT_EQ(About("huge pages", facts).level, FindingLevel::kHint);
  EXPECT_THAT(About("huge pages", facts).text, HasSubstr("40 %"));
}

TEST(DiagnosisTest, WhatCannotWorkIsAProblem) {
  MachineFacts facts = Healthy();
  facts.chosen_path = "";
  facts.kernel_error = "unknown kernel path 'avx9'";
  EXPECT_EQ(About("kernels", facts).level, FindingLevel::kProblem);
  facts = Healthy();
  facts.memory.available_bytes = 100'000'000;
  EXPECT_EQ(About("memory", facts).level, FindingLevel::kProblem);
  EXPECT_EQ(About("model", facts).level, FindingLevel::kProblem);
  facts = Healthy();
  facts.model_obstacle = "architecture 'hovercraft' is not supported";
  EXPECT_EQ(About("model", facts).level, FindingLevel::kProblem);
}

TEST(DiagnosisTest, AMissingModelIsOnlyAHint) {
  MachineFacts facts = Healthy();
  facts.model_error = "no model named";
  EXPECT_EQ(About("model", facts).level, FindingLevel::kHint);
}

TEST(FitModelsTest, FitFollowsMemoryAndSpeedFollowsBandwidth) {
  MachineFacts facts = Healthy();
  const auto fits = FitModels(facts);
  ASSERT_GT(fits.size(), 4u);
  EXPECT_TRUE(fits.front().q8_fits);
  EXPECT_FALSE(fits.back().q4_fits);
  for (const ModelFit& fit : fits) {
    EXPECT_GE(fit.q4_fits, fit.q8_fits);
    EXPECT_NEAR(fit.q4_tokens_per_s * static_cast<double>(fit.q4_bytes), 20e9, 1e6 * 20);
  }
  facts.roofs.reset();
  EXPECT_EQ(FitModels(facts).front().q4_tokens_per_s, 0);
}

TEST(MachineFactsTest, SystemLinesAreRead) {
  EXPECT_EQ(BracketedWord("always [madvise] never"), "madvise");
  EXPECT_EQ(BracketedWord(""), "");
  EXPECT_EQ(BracketedWord("] ["), "");
  EXPECT_EQ(ParseCpuQuota("max 100000"), 0);
  EXPECT_EQ(ParseCpuQuota("150000 100000"), 1.5);
  EXPECT_EQ(ParseCpuQuota(""), 0);
}

TEST(MachineFactsTest, ThisMachineHasMemoryCoresAndAKernelPath) {
  const MachineFacts facts = CollectMachineFacts();
  EXPECT_GT(facts.memory.total_bytes, 0);
  EXPECT_GE(facts.memory.total_bytes, facts.memory.available_bytes);
  EXPECT_GE(facts.usable_cores, 1);
  EXPECT_FALSE(facts.kernel_paths.empty());
  EXPECT_FALSE(facts.chosen_path.empty()) << facts.kernel_error;
}

}  // namespace
}  // namespace weir
