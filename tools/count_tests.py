#!/usr/bin/env python3
"""Print "N passed, N failed, N skipped" from ctest's JUnit file and exit like the test run.

usage: count_tests.py RESULTS.xml CTEST_EXIT_STATUS
"""
import sys
import xml.etree.ElementTree as tree


def main():
    path, status = sys.argv[1], int(sys.argv[2])
    passed = failed = skipped = 0
    skipped_names = []
    for case in tree.parse(path).getroot().iter("testcase"):
        if case.find("failure") is not None or case.get("status") == "fail":
            failed += 1
        elif case.find("skipped") is not None or case.get("status") in ("notrun", "disabled"):
            skipped += 1
            skipped_names.append(case.get("name"))
        else:
            passed += 1
    if skipped_names:
        print("skipped, because the machine or the build lacks what they need: " + ", ".join(skipped_names))
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    sys.exit(1 if failed or status or not passed else 0)


main()
