#!/usr/bin/env python3
"""Counts test cases from Meson's testlog.json and prints `N passed, N failed[, N skipped]`.

A program of CMocka counts with each of its cases, one that ends with a line "N passed, N failed"
with those, any other as one. A case that did not report, because its program crashed or was
stopped, has failed, and a program that failed has at least one failed case.
SPDX-License-Identifier: MIT
"""
import json
import re
import sys


def cases(entry):
    """(passed, failed, skipped) of one test program."""
    text = entry.get("stdout", "") + "\n" + entry.get("stderr", "")
    result = entry["result"]
    good = result in ("OK", "EXPECTEDFAIL")
    announced = [int(n) for n in re.findall(r"^\[=+\] .*?Running (\d+) test", text, re.M)]
    own = re.findall(r"^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$", text, re.M)
    if announced:
        passed = len(re.findall(r"^\[ +OK +\]", text, re.M))
        # Skipped cases are named again below the summary.
        skipped = len(set(re.findall(r"^\[ +SKIPPED +\] (?!\d+ test)(\S+)", text, re.M)))
        failed = max(0, sum(announced) - passed - skipped)
    elif own:
        passed, failed, skipped = (int(n or 0) for n in own[-1])
    elif result == "SKIP":
        return 0, 0, 1
    else:
        return (1, 0, 0) if good else (0, 1, 0)
    if not good and result != "SKIP" and failed == 0:
        failed = 1
    return passed, failed, skipped


def main():
    total = [0, 0, 0]
    with open(sys.argv[1], encoding="utf-8") as log:
        for line in log:
            entry = json.loads(line)
            counts = cases(entry)
            total = [a + b for a, b in zip(total, counts)]
            if counts[1]:
                print(f"FAILED: {entry['name']} ({entry['result'].lower()})")
            elif counts[2]:
                print(f"skipped: {counts[2]} of {entry['name']}")
    if sum(total) == 0:
        total[1] = 1
        print("no test ran")
    print(f"{total[0]} passed, {total[1]} failed" + (f", {total[2]} skipped" if total[2] else ""))
    return 1 if total[1] else 0


sys.exit(main())
