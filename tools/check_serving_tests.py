#!/usr/bin/env python3
"""Every point that the server is held to has a test. Fails when a test of the list is gone.

    tools/check_serving_tests.py            # exit code 1 when a test is missing
    tools/check_serving_tests.py --list     # every point with its tests

Points: OA what OpenAI's clients rely on, SE streams, OV overload, SQ sequential mode, LG ledger, MT metrics, SC security, GT the HTTP gate,
OP operations. "file.py: name" is a test or a measurement in Python. Hostile inputs have a list of their own: check_hostile_tests.py.
"""
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CLIENT = "openai_client_test.py: "
OVERLOAD = "overload.py: "
POINTS = {
    "OA-1 bodies pass the client's own validation": [CLIENT + "test_bodies_pass_the_clients_own_validation"],
    "OA-2 errors raise the client's classes": [
        CLIENT + "test_errors_raise_the_clients_classes_with_code_and_param", CLIENT + "test_keys_and_classes_raise_their_own_errors",
        "StatusHttpTest.BadInputIsNeverAServerError"],
    "OA-3 retry headers": [
        CLIENT + "test_every_request_is_answered_or_told_when_to_come_back", "StatusHttpTest.EveryRefusalSaysWhenToComeBack",
        "StatusHttpTest.WhatRetryingCannotHelpSaysSo"],
    "OA-4 a stream that fails says so": [
        "ServerLoopbackTest.AStopInMidStreamSendsAnErrorEvent", CLIENT + "test_a_stream_that_fails_raises"],
    "OA-5 a stream that breaks does not look whole": [
        "ServerTest.BreaksAStreamOnAbort", "TlsTest.ABrokenStreamDoesNotLookWhole", CLIENT + "test_a_stream_that_breaks_raises"],
    "OA-6 chunks": ["ServerStreamTest.OA6FinishReasonIsPresentAndNullUntilTheLastChunk",
                    CLIENT + "test_streamed_chunks_join_to_the_whole_answer"],
    "OA-7 finish reasons": ["ServerGrammarTest.JsonObjectGivesAnObjectOrRunsOutOfTokens",
                            "EngineTest.StopsARunningRequestAtItsDeadline", CLIENT + "test_a_stop_string_never_comes_out"],
    "OA-8 usage chunk": [CLIENT + "test_streamed_chunks_join_to_the_whole_answer", CLIENT + "test_no_usage_chunk_unless_asked_for"],
    "OA-9 usage counts": [CLIENT + "test_usage_counts_template_tokens_and_adds_up",
                          "ServerLoopbackTest.TellsCachedTokensInUsageMetricsAndLedger"],
    "OA-10 tool call deltas": ["ServerToolsTest.OA10StreamedCallsJoinToTheSame",
                               CLIENT + "test_a_required_tool_call_has_arguments_of_its_schema"],
    "OA-11 log-probabilities": [CLIENT + "test_chat_logprobs_spell_the_text",
                                CLIENT + "test_completion_logprobs_have_equal_lengths_and_echo_scores_the_prompt"],
    "OA-12 stop strings": [CLIENT + "test_a_stop_string_never_comes_out"],
    "OA-13 constraints fail closed": ["ServerGrammarTest.WhatCannotBeEnforcedIsRefusedAndNothingStaysBehind",
                                      "HostileGrammarTest.S3RefusesBadSchemas", "SchemaGrammarTest.NoObjectHasAKeyTwice"],
    "OA-14 request ids and rate limits": ["ServerLoopbackTest.EveryAnswerHasARequestIdAndErrorsHaveTheApisForm",
                                          "AccessTest.AKeyAtItsLimitIsToldWhenToComeBack"],
    "OA-15 greedy output is the same everywhere": [
        "EngineInvarianceTest.OutputsAloneEqualOutputsAmongRandomArrivalsSmallChunksAndPreemption",
        "EngineInvarianceTest.PrefixHitsChangeNoBitOfAnyLogProbability", "ServerLoopbackTest.StreamedTextEqualsTheWholeText"],
    "SE-1 head": ["ServerStreamTest.SE1TheHeadSaysThatItIsAStream", "ServerTest.StreamsToHttp10WithoutChunksAndCloses"],
    "SE-2 events": ["ServerStreamTest.SE2EventsAreOneLineOfDataEachAndChoicesShareOneEnd",
                    CLIENT + "test_several_choices_interleave_under_their_index"],
    "SE-3 held-back head, keep-alive": ["ServerStreamTest.SE3TheHeadIsHeldBackAndASilentStreamIsKeptAlive"],
    "SE-4 events and tokens": ["ServerStreamTest.SE4TokensCanShareAnEvent", "ServerTest.StreamsInChunks"],
    "SE-5 whole characters": ["HostileText.T5NeverSplitsCharacters", "ServerLoopbackTest.StreamedTextEqualsTheWholeText"],
    "SE-6 one wake-up per step": ["EngineTest.WakesASinkAtMostOncePerStep"],
    "SE-7 slow readers": ["ServerTest.CancelsAStreamThatIsNotRead", "EngineTest.CancelsAReaderThatNeverReads",
                          "HostileHttp.H5OutlastsAThousandSlowReadersOfStreams"],
    "OV-1 goodput": ["OverloadTest.OV1KeepsGoodputAndWaitsAtTenTimesItsCapacity", OVERLOAD + "overload"],
    "OV-2 refusals": ["ServerParametersTest.OV2ARefusalAtTheDoorDoesNoWorkOnTheBody", "OverloadTest.GivesUpNobodyWhileThePredictionsHold",
                      OVERLOAD + "overload"],
    "OV-3 recovery": ["OverloadTest.OV3RecoversWithinFiveSecondsFromTenTimesItsCapacity", OVERLOAD + "recovery"],
    "OV-4 fairness": ["OverloadTest.OV4TwoEqualKeysAreServedAlikeThoughOneAsksTenTimesAsMuch", OVERLOAD + "fairness"],
    "OV-5 nothing hangs": ["OverloadTest.OV5And6EveryRequestEndsAndEveryRefusalSaysWhenToComeAgain", "slow.soak"],
    "OV-6 no 503, hardly a 504": ["OverloadTest.OV5And6EveryRequestEndsAndEveryRefusalSaysWhenToComeAgain", OVERLOAD + "overload",
                                  OVERLOAD + "deadlines"],
    "OV-7 predictions": ["OverloadTest.OV7PredictsTheTimeToTheFirstToken", OVERLOAD + "overload"],
    "OV-8 first retries": ["OverloadTest.OV8WhoWaitsAsLongAsToldIsAdmittedAtTheFirstRetry", OVERLOAD + "retries"],
    "OV-9 long prompts": ["OverloadTest.OV9OneLongPromptHoldsUpNobodysStream", OVERLOAD + "long_prompt"],
    "OV-10 seeds": ["SimulationTest.EverySeedKeepsEveryInvariantAndEndsEveryRequest"],
    "SQ-1, SQ-2, SQ-3 sequential mode": ["StudyTest.QuickRunShowsTheFailureAndItsRepair", "EngineTest.SequentialModeAnswersInArrivalOrder",
                                         "ServerLoopbackTest.AnUnboundedQueueRefusesNobody", "EngineOverdueTest.WithoutBoundsNobodyIsGivenUp"],
    "LG-1 stages sum to the wall time": ["ServerLoopbackTest.StagesOfEveryLedgerSumToItsWallTime",
                                         "LedgerTest.StagesSumToTheWallTimeWhateverTheOrder", "check_ledger.py: main"],
    "LG-2 stages up to the first token": ["ServerLoopbackTest.LG2TheLedgerUpToTheFirstTokenSumsToTheTimeToIt",
                                          "EngineTest.LedgerStagesSumToTheWallTime", "LedgerTest.KeepsTheAccountUpToTheFirstToken"],
    "LG-3 the client's time": ["check_ledger.py: main"],
    "LG-4 shares of the engine's time": ["EngineTest.LG4SharesOfTheEnginesTimeSumToTheTimeItWasBusy"],
    "LG-5 one source of times": ["ServerLoopbackTest.TellsCachedTokensInUsageMetricsAndLedger"],
    "LG-6 what the ledger costs, and that everybody has one": [
        "EngineTest.LG6AccountsTakeFourReadingsOfAStepAndThreeChangesOfEachOfItsSequences", "ledger_cost",
        "ServerLoopbackTest.LG6EveryOutcomeHasALedger"],
    "MT-1, MT-2 names that gateways read": [CLIENT + "test_metrics_are_text_that_prometheus_reads",
                                            "AccessTest.OperatorsQuestionsAreAnsweredOnTheControlListener"],
    "MT-3 age of the values": ["ServerPressureTest.MT3WhatRunsIsInTheMetricsWithinTwoHundredMilliseconds"],
    "MT-4 metrics under load": [OVERLOAD + "overload", "ServerPressureTest.ShowsWhatAnOperatorLooksForUnderPressure"],
    "memory ladder": ["MemoryLadderTest.ClimbsAtNinetyTwoAndNinetyFivePercent", "MemoryLadderTest.EachStepEndsTwoPointsBelowItsBeginning",
                      "ServerPressureTest.RefusesAsLongAsMemoryIsNearlyUsedUp", "ServerPressureTest.SparesMemoryBeforeItRefuses"],
    "CoDel": ["QueueDelayTest.IsOverloadedAfterAnIntervalInWhichSomebodyAlwaysWaitedTooLong",
              "EngineOverdueTest.GivesUpWhoWaitedLongerThanAnIntervalWhileTheQueueStands",
              "OverloadTest.GivesUpTheOldestWhereTheMachineGetsSlowerThanPredicted", "SchedulerTest.StartsTheNewestFirstWhenToldTo"],
    "SC-1 loopback": ["AccessTest.OtherMachinesNeedKeysOrTheOperatorsWord",
                      "AccessTest.TheControlListenerAsksForAKeyOnlyWhenOthersCanReachIt"],
    "SC-2 keys": ["ApiKeysFileTest.ReadsEveryField", "ApiKeysFileTest.AFileThatOthersCanReadIsRefused", "ServeOperationsTest.NoFlagTakesAKey"],
    "SC-3 constant time": ["HostileApiKeysTest.A7AWrongKeyCostsTheSameWorkHoweverNearItIs"],
    "SC-4 deny by default": ["HostileApi.A7DeniesByDefault", "RouteTableTest.OddSpellingsAndOtherListenersFindNothing"],
    "SC-5 Host and Origin": ["AccessTest.WithoutKeysOnlyThisMachinesNamesAreAnswered", "AccessTest.PagesOfOtherSitesAreRefused"],
    "SC-6 TLS": ["TlsTest.SpeaksTls12And13WithHttp11", "TlsTest.RefusesOldVersionsWeakCiphersAndOtherProtocols",
                 "TlsTest.RefusesRenegotiation"],
    "SC-7 nothing secret in logs": ["ApiKeysFileTest.SaysWhatIsWrongOnWhichLineAndNeverTheKey", "HostileHttp.H6EscapesLogFields"],
    "SC-8 request ids": ["HostileHttp.H6EscapesLogFields"],
    "SC-9 prefix cache": ["EnginePrefixTest.A9KeepsTenantsApartEvenWhenAllHashesCollide"],
    "SC-10 no connection outwards": ["HostileApi.A8FetchesNothing", "HostileApi.A11OpensNoOtherPort"],
    "SC-11 a failed step": ["HostileModelEngineTest.G11RowWithoutAChoiceFailsItsOwnRequestOnly",
                            "ServeOperationsTest.AModelFileCutWhileItIsServedMappedEndsTheServerWithExitCodeOne"],
    "GT-1 to GT-17 the gate": ["HostileHttp.H1RefusesAmbiguousFraming", "HostileHttp.H1DropsTrailers", "HostileHttp.H2BoundsChunks",
                               "HostileHttp.H2WaitsForTheEndOfAChunkLine", "HostileHttp.H3BoundsHeads",
                               "HostileHttp.H1AcceptsWhatOnlyLooksOdd"],
    "OP-1 one option table": ["SettingsTest.TheFlagGoesBeforeTheEnvironmentAndThatBeforeTheFile", "generated_files"],
    "OP-2 print-config": ["ServeOperationsTest.PrintsAConfigurationThatItsOwnCheckAccepts",
                          "SettingsTest.WhatIsPrintedIsAConfigFileOfTheSameValues", "SettingsTest.MistakesAreNamedWithTheirPlace"],
    "OP-3 the start": ["BadInputTest.APortInUseIsSaidBeforeTheModelLoads", "BadInputTest.MissingModelsAndFoldersAreNamed",
                       "MemoryPlanTest.AutomaticSequencesFollowTheThreads"],
    "OP-4 systemd": ["ServeOperationsTest.TellsTheServiceManagerHowItIs", "ServeOperationsTest.TheUnitFileWaitsLongerThanADrainTakes"],
    "OP-5 reload": ["ServeOperationsTest.AReloadChangesTheKeysAndABrokenFileChangesNothing",
                    "ServeOperationsTest.AReloadChangesTheCertificateOfNewConnections"],
    "OP-6 watchdog": ["ProgressWatchdogTest.WorkThatStandsStillForTenSecondsIsAStall", "ProgressWatchdogTest.AnIdleServerIsNeverStalled"],
    "OP-7 log, descriptors, idle connections": ["ServerTest.AcceptsAgainAfterDescriptorsRanOut",
                                                "SlowClientsTest.OP7AThousandIdleConnectionsCostAtMostThirtyTwoMiB"],
    "OP-8 clients obey Retry-After": ["LoadRetriesTest.AShedRequestIsTriedAgainAndCountsFromItsFirstIntendedSend",
                                      "LoadRetriesTest.AttemptsAreBoundedAndOtherFailuresAreNotRepeated"],
    "OP-9 drain": ["ServeOperationsTest.ADrainFinishesTwentyStreamsAndTakesNothingNew"],
}


def main():
    known = set()
    for path in [*ROOT.glob("src/**/*_test.cc"), *ROOT.glob("tests/**/*_test.cc")]:
        found = re.findall(r"\bTEST(?:_F|_P)?\(\s*(\w+),\s*(\w+)\)", path.read_text(encoding="utf-8"))
        known.update(f"{suite}.{name}" for suite, name in found)
    for path in ROOT.glob("**/CMakeLists.txt"):
        known.update(re.findall(r"add_test\(NAME ([\w.]+)", path.read_text(encoding="utf-8")))
    for path in [ROOT / "tests/e2e/openai_client_test.py", *ROOT.glob("tools/*.py")]:
        known.update(f"{path.name}: {name}" for name in re.findall(r"^\s*(?:async )?def (\w+)\(", path.read_text(encoding="utf-8"), re.M))
    if "--list" in sys.argv:
        for point, tests in POINTS.items():
            print(f"{point}: {', '.join(tests)}")
    missing = [f"{test} ({point})" for point, tests in POINTS.items() for test in tests if test not in known]
    if missing:
        sys.exit(f"no such test: {'; '.join(missing)}")
    print(f"{len(POINTS)} rows of points, {sum(map(len, POINTS.values()))} tests")


if __name__ == "__main__":
    main()
