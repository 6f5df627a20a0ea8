#!/usr/bin/env python3
"""Prints the results of a run for people: texts, time to first token, time between tokens, rates.

Usage: show_results.py OUTPUT [--seconds S]
    OUTPUT        the folder given to longhaul run --output
    --seconds S   wall time of the run, for the total rate
Exit code 1 when a job failed or there is no result.
"""
import argparse
import json
import pathlib
import sys
import textwrap


def read_results(folder):
    """The last line of each id counts; a torn last line of a killed run is passed over."""
    results = {}
    path = folder / "results.jsonl"
    if not path.is_file():
        sys.exit(f"error: {path} does not exist: no run has written to {folder} yet")
    # Not splitlines(): texts may hold line separators that are none in JSON lines.
    for line in path.read_bytes().decode("utf-8", "replace").split("\n"):
        try:
            result = json.loads(line)
        except json.JSONDecodeError:
            continue
        results[result["id"]] = result
    return list(results.values())


def milliseconds(seconds):
    return "-" if seconds is None else f"{1000 * seconds:.0f}"


def row(result):
    tbt = result.get("tbt_s") or {}
    ttft = result.get("ttft_s")
    p50 = tbt.get("p50")
    return [result["id"], str(result.get("prompt_tokens", "-")),
            str(result.get("completion_tokens", "-")), "-" if ttft is None else f"{ttft:.2f}",
            milliseconds(p50), milliseconds(tbt.get("p99")), f"{1 / p50:.1f}" if p50 else "-"]


def print_table(rows):
    widths = [max(len(line[column]) for line in rows) for column in range(len(rows[0]))]
    for line in rows:
        cells = [line[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(line[1:], widths[1:])]
        print("  ".join(cells))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=pathlib.Path)
    parser.add_argument("--seconds", type=float)
    options = parser.parse_args()
    results = read_results(options.output)
    failed = [result for result in results if result.get("status") == "error"]
    done = [result for result in results if result.get("status") != "error"]
    for result in done:
        print(f"\n== {result['id']}")
        text = result.get("text", "").strip()
        for line in text.splitlines():
            print(textwrap.fill(line, width=100))
        if result.get("finish_reason") == "length":
            print("[cut at max_tokens]")
    for result in failed:
        error = result.get("error", {})
        print(f"\n== {result['id']}: failed: {error.get('code')}: {error.get('message')}")
    print()
    if done:
        print_table([["job", "prompt", "generated", "TTFT s", "TBT p50 ms", "TBT p99 ms", "decode tok/s"]]
                    + [row(result) for result in done])
    if done and options.seconds:
        prompt = sum(result.get("prompt_tokens", 0) for result in done)
        generated = sum(result.get("completion_tokens", 0) for result in done)
        print(f"\n{len(done)} jobs in {options.seconds:.1f} s: {prompt} prompt + {generated} generated "
              f"tokens, {(prompt + generated) / options.seconds:.1f} tokens/s, loading included")
    return 1 if failed or not results else 0


if __name__ == "__main__":
    sys.exit(main())
