#!/usr/bin/env python3
"""Kills and stops runs at random moments, resumes them, and checks that nothing is lost, doubled or changed.

  same grid        resumed on the same grid with --deterministic: every bit as in an uninterrupted run
  other grids      resumed on grids and chunk sizes chosen at random: log-probabilities within the tolerance of float32
  replicas         2, 4, then 1 replica, each killed before its first epoch
  results          rank 0 is killed before and after it has written a result

A failure says the seed; the same seed makes the same queue and the same choices, though not the same moments.
"""
import argparse
import os
import pathlib
import random
import shutil
import sys
import tempfile

import job_queue
import kill_series
from kill_series import Failed


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--longhaul", required=True, type=pathlib.Path, help="the program")
    parser.add_argument("--model", required=True, type=pathlib.Path, help="a small model")
    parser.add_argument("--kills", type=int, default=6, help="random kills, half of them on the same grid")
    parser.add_argument("--seed", type=int, default=None, help="default: a new one")
    parser.add_argument("--jobs", type=int, default=20, help="jobs of the queue")
    parser.add_argument("--only", choices=("same", "other", "replicas", "results"), help="one series alone")
    parser.add_argument("--folder", type=pathlib.Path, help="work here and keep the files")
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    seed = random.SystemRandom().randrange(10**6) if arguments.seed is None else arguments.seed
    print(f"seed {seed}, {arguments.kills} kills, {arguments.jobs} jobs", flush=True)
    os.environ.update(OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1", OMP_NUM_THREADS="1")
    folder = arguments.folder or pathlib.Path(tempfile.mkdtemp(prefix="longhaul-kills-"))
    folder.mkdir(exist_ok=True)
    jobs = job_queue.write_queue(folder, arguments.jobs, seed)
    tester = kill_series.KillTest(arguments.longhaul.resolve(), arguments.model.resolve(), folder, jobs,
                                  random.Random(seed))
    series = {
        "same": lambda: tester.random_kills((arguments.kills + 1) // 2, same_grid=True),
        "other": lambda: tester.random_kills(arguments.kills // 2, same_grid=False),
        "replicas": tester.replicas_2_4_1,
        "results": tester.kills_at_results,
    }
    try:
        for name, run in series.items():
            if arguments.only in (None, name):
                run()
    except Failed as failure:
        print(f"FAILED with seed {seed}: {failure}\n  files: {folder}")
        return 1
    print(f"passed with seed {seed}: {tester.summary()}")
    if not arguments.folder:
        shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
