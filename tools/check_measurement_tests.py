#!/usr/bin/env python3
"""Every mistake that load generators are known to make has a test that would catch it here. Fails when a test of the list is gone.

    tools/check_measurement_tests.py            # exit code 1 when a test is missing
    tools/check_measurement_tests.py --list     # every mistake with its tests
"""
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MISTAKES = {
    "M-01 the wait for a slot is hidden": ["LoadScriptedTest.AnOpenLoopChargesTheWaitForASlot"],
    "M-02 the client is the bottleneck": [
        "client_capacity", "LoadScriptedTest.APromptOfFiftyThousandTokensCostsTheAnswerNothing",
        "LoadScriptedTest.AClientThatIsSlowOverEveryChunkVoidsItsGaps", "LoadLoopTest.AClientThatIsSlowedSaysSo"],
    "M-03 a chunk is taken for a token": [
        "LoadScriptedTest.AChunkOfThreeTokensIsThreeTokens", "RequestMetricsTest.AChunkIsNotAToken",
        "LoadRowTest.ManyTokensPerChunkVoidTheGaps"],
    "M-04 the prefix cache is warm": [
        "LoadScriptedTest.PromptsTheServerRemembersVoidTheRun", "WarmCacheTest.PromptsThatTheServerKnowsVoidTheRun",
        "LoadLevelsTest.EveryStageIsARowAndRepeatsNoPrompt"],
    "M-05 the warm-up sends a measured prompt": [
        "LoadScriptedTest.WarmUpIsNeverMeasuredAndKeepsTheCap", "LoadScriptedTest.WarmUpPromptsAreNewInEveryRun",
        "BuiltinPromptsTest.WarmsUpWithWordsNoMeasuredPromptBeginsWith"],
    "M-06 prompts have another length than asked for": [
        "DatasetTest.RandomPromptsHaveExactlyTheLengthAskedFor", "LoadLevelsTest.RandomPromptsAreJudgedByTheirLength"],
    "M-07 outputs are tokenized again": ["LoadScriptedTest.TokensAreCountedByTheirIdsWhateverTheirText"],
    "M-08 the first request is an outlier": [
        "LoadScriptedTest.ASlowFirstRequestIsLeftToTheWarmUp", "LoadChecksTest.AColdFirstRequestIsNoticed"],
    "M-09 the schedule drifts": [
        "ArrivalsTest.ConstantRateIsExact", "ArrivalsTest.PoissonGapsAreTheRawDraws",
        "ArrivalsTest.PoissonGapsPassKolmogorovSmirnovAtOnePercent", "LoadLoopTest.AStallOfTheClientMovesNoLaterArrival"],
    "M-10 the benchmark is not the server": [
        "SameWorkloadTest.OtherOutputsPromptsOrSettingsVoidTheAttribution",
        "ReportTest.AnUnexplainedRestVoidsTheWaterfallAndItsCauses"],
    "M-11 one word means two formulas": [
        "RequestMetricsTest.WorkedExampleOfTheMeasurementDocument", "VllmFormatTest.HasItsWordsFormulasAndUnits",
        "AiperfFormatTest.ItsInterTokenLatencyIsPerRequest"],
    "M-12 percentiles are those of survivors": ["ReportTest.SurvivorsPercentilesAreNotCalledSimilar"],
    "M-13 nobody checks the number of tokens": ["ReportTest.TokensThatDoNotAddUpAreNoticed"],
    "M-14 the last batch is not full": [
        "BenchRowTest.AFullLastGroupIsCountedAsOne", "BenchRowTest.CutOffFillersCountInTheSteadyWindow"],
    "a stall hides from an open loop": ["LoadLevelsTest.AStallOfTheServerShowsInTheTailOfAnOpenLoop"],
}


def main():
    known = set()
    for path in [*ROOT.glob("src/**/*_test.cc"), *ROOT.glob("tests/**/*_test.cc")]:
        found = re.findall(r"\bTEST(?:_F|_P)?\(\s*(\w+),\s*(\w+)\)", path.read_text(encoding="utf-8"))
        known.update(f"{suite}.{name}" for suite, name in found)
    for path in ROOT.glob("**/CMakeLists.txt"):
        known.update(re.findall(r"add_test\(NAME (\w+)", path.read_text(encoding="utf-8")))
    if "--list" in sys.argv:
        for mistake, tests in MISTAKES.items():
            print(f"{mistake}: {', '.join(tests)}")
    missing = [f"{test} ({mistake})" for mistake, tests in MISTAKES.items() for test in tests if test not in known]
    if missing:
        sys.exit(f"no such test: {'; '.join(missing)}")
    print(f"{len(MISTAKES)} mistakes, {sum(map(len, MISTAKES.values()))} tests")


if __name__ == "__main__":
    main()
