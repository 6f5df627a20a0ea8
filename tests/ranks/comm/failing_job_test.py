#!/usr/bin/env python3
"""Runs jobs that fail and checks that each ends at once, with its message and its exit code.

Usage: failing_job_test.py FAILING_JOB VERDICT_CASES

FAILING_JOB    binary of failing_job.cpp: failures of a run
VERDICT_CASES  binary of verdict_cases.cpp: failures of a test under the MPI main of tests/support
"""
import os
import subprocess
import sys
import time

LIMIT_S = 10  # no failure may take longer to end the job

# ranks (0: without mpirun), argument, exit code, texts that must appear, texts that must not
JOBS = [
    (3, "good", 0, [], ["error"]),
    (0, "good", 0, [], ["error"]),
    (3, "throw", 3, ["longhaul[2]: error: failed on ", "the cache is corrupt"], ["released"]),
    (3, "thread", 3, ["longhaul[0]: error: failed on ", "the server lost its queue"], ["released"]),
    (3, "setup", 2, ["longhaul[0]: error: rank 2: the model is missing; give --model"], ["longhaul[1]"]),
    (0, "setup", 2, ["error: the model is missing; give --model"], ["rank 0:"]),
    (3, "watched", 0, [], ["error"]),
    (3, "stopped-peer", 3, ["error: failed on ", "a rank of this replica has not been heard of for 1.5 s"], ["longhaul[2]"]),
    (1, "peer-message", 3, ["expects 3 bytes from rank 0 with tag 1, but the message has 2 bytes"], []),
]
VERDICTS = [
    (3, "--gtest_filter=Verdict.Good", 0, ["1 test from"], ["rank 2:"]),
    (3, "--gtest_filter=Verdict.OneRankExpectsInVain", 1, ["rank 2:", "on_last_rank"], ["rank 1:"]),
    (3, "--gtest_filter=Verdict.OneRankAssertsInVain", 1, ["rank 2:", "on_last_rank"], ["rank 1:"]),
    (3, "--gtest_filter=Verdict.OneRankThrows", 1, ["rank 2:", "thrown on purpose"], ["rank 1:"]),
    (1, "--gtest_filter=Verdict.OneRankThrows", 1, ["thrown on purpose"], []),
    (3, "--gtest_filter=Nothing.*", 1, ["no test was selected"], []),
]


def check(program, ranks, argument, code, present, absent):
    """Returns a list of what is wrong."""
    command = [program, argument]
    if ranks > 0:
        command = ["mpirun", "-n", str(ranks), "--oversubscribe"] + command
    start = time.monotonic()
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=LIMIT_S,
                              check=False)
    except subprocess.TimeoutExpired:
        return [f"did not end within {LIMIT_S} s"]
    seconds = time.monotonic() - start
    problems = []
    if done.returncode != code:
        problems.append(f"exit code {done.returncode}, expected {code}")
    problems += [f"'{text}' is missing" for text in present if text not in done.stdout]
    problems += [f"'{text}' appears" for text in absent if text in done.stdout]
    if problems:
        problems.append("output:\n" + done.stdout)
    print(f"{' '.join(command[-2:])} on {ranks} ranks: {seconds:.1f} s, {'FAILED' if problems else 'ok'}")
    return problems


def main():
    if len(sys.argv) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    os.environ.update(OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
    failures = 0
    for program, cases in ((sys.argv[1], JOBS), (sys.argv[2], VERDICTS)):
        for case in cases:
            for problem in check(program, *case):
                print("  " + problem)
                failures += 1
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
