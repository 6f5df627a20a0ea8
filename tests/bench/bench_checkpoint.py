#!/usr/bin/env python3
"""What saving costs: the same queue with and without checkpoints, in turn, and how long a stop and a resume take.

Every repeat runs longhaul with `--checkpoint-every off` and then with the interval asked for, so that both see the same state of
the machine; the ratio is that of the medians. A third run is stopped in the middle by SIGUSR1 and gone on with. The target is
a ratio of at most 1.03 at 30 s.
"""

import argparse
import json
import pathlib
import random
import shlex
import signal
import statistics
import subprocess
import tempfile
import time

kTarget = 1.03


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--longhaul", required=True, type=pathlib.Path)
    parser.add_argument("--model", required=True, type=pathlib.Path)
    parser.add_argument("--launcher", default="", help="put before longhaul, e.g. 'mpirun -n 2'")
    parser.add_argument("--options", default="--threads 2", help="further options of longhaul run")
    parser.add_argument("--every", default="30s", help="the interval (default 30s)")
    parser.add_argument("--tokens", type=int, default=24000, help="length of the document")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", type=pathlib.Path, help="where to write; default: a temporary folder")
    return parser.parse_args()


def write_queue(folder, tokens):
    """One long document, scored: prefill alone, so that the time does not depend on how long an answer is."""
    ids = [random.Random(5).randrange(1000, 20000) for _ in range(tokens)]
    job = {"id": "long", "kind": "document", "token_ids": ids, "max_tokens": 8, "ignore_eos": True}
    (folder / "queue.jsonl").write_text(json.dumps(job) + "\n")


def command(arguments, folder, output, every):
    return [*shlex.split(arguments.launcher), str(arguments.longhaul), "run", "--model", str(arguments.model),
            "--queue", str(folder / "queue.jsonl"), "--output", str(folder / output), "--quiet",
            "--checkpoint-every", every, *shlex.split(arguments.options)]


def timed_run(arguments, folder, every):
    subprocess.run(["rm", "-rf", str(folder / "out")], check=True)
    subprocess.run(command(arguments, folder, "out", every), check=True)
    return json.loads((folder / "out/run.json").read_text())


def stopped_run(arguments, folder, after_s):
    subprocess.run(["rm", "-rf", str(folder / "stopped")], check=True)
    line = command(arguments, folder, "stopped", arguments.every)
    process = subprocess.Popen(line, stderr=subprocess.DEVNULL)
    time.sleep(after_s)
    asked = time.monotonic()
    process.send_signal(signal.SIGUSR1)
    if process.wait() != 75:
        return None
    saving_s = time.monotonic() - asked
    saved = sum(file.stat().st_size for file in (folder / "stopped/checkpoint/segments").iterdir())
    subprocess.run(line, check=True)
    return saving_s, saved, json.loads((folder / "stopped/run.json").read_text())


def main():
    arguments = parse_arguments()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = pathlib.Path(name)
        write_queue(folder, arguments.tokens)
        times = {"off": [], arguments.every: []}
        stalled = 0.0
        for repeat in range(arguments.repeats):
            for every in times:
                record = timed_run(arguments, folder, every)
                times[every].append(record["timings_s"]["steps"])
                stalled = max(stalled, record.get("checkpoint", {}).get("stalled_s", 0.0))
                print(f"repeat {repeat + 1}: --checkpoint-every {every}: {times[every][-1]:.2f} s", flush=True)
        off, on = (statistics.median(times[every]) for every in times)
        verdict = "met" if on / off <= kTarget else "missed"
        print(f"median {off:.2f} s without, {on:.2f} s with: ratio {on / off:.3f} (target {kTarget}: {verdict}); "
              f"steps waited for the disk {stalled:.2f} s")
        stop = stopped_run(arguments, folder, off / 2)
        if stop:
            saving_s, saved, record = stop
            print(f"stopped after {off / 2:.1f} s: saved {saved / 1e6:.0f} MB and ended in {saving_s:.2f} s; "
                  f"the resumed run took {record['timings_s']['steps']:.2f} s and computed "
                  f"{record['tokens']['computed']} of {arguments.tokens + 7} entries")


if __name__ == "__main__":
    main()
