#!/usr/bin/env python3
"""Runs clang-tidy on the sources that changed, with the flags of the build in build/PRESET.

Usage: tidy.py [--since REV] [--all] [--preset cpu] [--budget SECONDS] [--jobs N] [FILE ...]
    default          what differs from the merge base with the main branch; where there is none (a
                     shallow clone, or the main branch itself), what the last commits changed
    --since REV      what differs from REV, changes not yet committed included
    --all            every source file
    --budget S       start no further file after S seconds; what was left out is said
A changed header is checked with the changed sources that include it, or else through the generated
file that compiles it alone. What passed is remembered by content (with its headers), so an
unchanged file costs nothing the second time.
Exit code 1 when there are findings.
"""
import argparse
import concurrent.futures
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "longhaul/tidy"
SOURCES = (".cpp", ".hpp")
FALLBACK_COMMITS = 50
# g++'s own options mean nothing to clang, and warnings are the compiler's business.
EXTRA = ["--extra-arg=-Wno-everything", "--extra-arg=-Wno-unknown-warning-option",
         "--extra-arg=-Wno-error", "--extra-arg=-fno-caret-diagnostics"]


def git(*arguments):
    run = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True)
    return run.stdout.strip() if run.returncode == 0 else None


def base_revision():
    """The commit to compare with, or None when the whole tree counts as changed."""
    head = git("rev-parse", "HEAD")
    for branch in ("origin/HEAD", "origin/main", "main"):
        base = git("merge-base", "HEAD", branch)
        if base and base != head:
            return base
    count = int(git("rev-list", "--count", "--first-parent", "HEAD") or 0)
    return f"HEAD~{FALLBACK_COMMITS}" if count > FALLBACK_COMMITS else None


def changed_files(since):
    if since is None:
        return [path.relative_to(ROOT).as_posix() for top in ("app", "kernels", "lib", "tests")
                for path in sorted((ROOT / top).rglob("*")) if path.suffix in SOURCES]
    names = git("diff", "--name-only", "--diff-filter=d", since, "--")
    if names is None:
        sys.exit(f"error: git does not know the revision {since}")
    new = git("ls-files", "--others", "--exclude-standard") or ""
    return [name for name in (names + "\n" + new).splitlines() if name.endswith(SOURCES)]


class Build:
    """The compile commands and header dependencies of one build folder."""

    def __init__(self, preset):
        self.folder = ROOT / "build" / preset
        database = self.folder / "compile_commands.json"
        if not database.is_file():
            sys.exit(f"error: {database} is missing; build first: scripts/dev.sh {preset}")
        self.commands = {}
        self.header_files = {}
        for entry in json.loads(database.read_text(encoding="utf-8")):
            path = pathlib.Path(entry["directory"], entry["file"]).resolve()
            self.commands[path] = entry["command"]
            if path.name.startswith("header_") and self.folder in path.parents:
                for header in re.findall(r'^#include "(.+)"', path.read_text(), re.MULTILINE):
                    self.header_files[pathlib.Path(header).resolve()] = path
        self.dependencies = self.read_dependencies()

    def read_dependencies(self):
        """Source file -> files of the tree it includes, from ninja's log; empty if never built."""
        run = subprocess.run(["ninja", "-C", str(self.folder), "-t", "deps"],
                             capture_output=True, text=True)
        found, current = {}, []
        for line in run.stdout.splitlines():
            if not line.startswith(" "):
                current = []
                continue
            path = pathlib.Path(os.path.normpath(self.folder / line.strip()))
            if not current:
                found[path] = current
            if ROOT in path.parents:
                current.append(path)
        return found

    def unit_for(self, name):
        """The file to hand to clang-tidy for a changed source or header, or None."""
        path = (ROOT / name).resolve()
        return path if path in self.commands else self.header_files.get(path)

    def units_for(self, names):
        """Returns ({unit: name}, [names that this build does not contain])."""
        units, unknown, covered = {}, [], set()
        for name in sorted(names, key=lambda name: name.endswith(".hpp")):
            unit = self.unit_for(name)
            if unit is None:
                unknown.append(name)
            elif (ROOT / name).resolve() not in covered:
                units[unit] = name
                covered.update(self.dependencies.get(unit, []))
        return units, unknown

    def key(self, unit):
        """Changes when the unit, a header of the tree, its flags or the rules change."""
        if unit not in self.dependencies:
            return None
        digest = hashlib.sha256(self.commands[unit].replace(str(ROOT), ".").encode())
        for path in [ROOT / ".clang-tidy", unit, *sorted(self.dependencies[unit])]:
            digest.update(path.read_bytes().replace(str(ROOT).encode(), b"."))
        return digest.hexdigest()


def check(build, unit, deadline):
    """Returns (verdict, seconds, output); verdict is 'passed', 'known', 'failed' or 'left out'."""
    begin = time.monotonic()
    key = build.key(unit)
    stamp = CACHE / key if key else None
    if stamp and stamp.exists():
        return "known", 0.0, ""
    if begin > deadline:
        return "left out", 0.0, ""
    run = subprocess.run(["clang-tidy", "--quiet", "-p", str(build.folder), *EXTRA, str(unit)],
                         stdin=subprocess.DEVNULL, capture_output=True, text=True)
    seconds = time.monotonic() - begin
    if run.returncode != 0:
        return "failed", seconds, run.stdout or run.stderr
    if stamp:
        CACHE.mkdir(parents=True, exist_ok=True)
        stamp.touch()
    return "passed", seconds, ""


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*", metavar="FILE")
    parser.add_argument("--since", metavar="REV")
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--preset", default="cpu")
    parser.add_argument("--budget", type=float, default=float("inf"), metavar="SECONDS")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    return parser.parse_args()


def main():
    options = parse_options()
    build = Build(options.preset)
    if options.files:
        names = options.files
    elif options.all:
        names = changed_files(None)
    else:
        names = changed_files(options.since or base_revision())
    units, not_built = build.units_for(names)
    deadline = time.monotonic() + options.budget
    left_out = []
    count = {"passed": 0, "known": 0, "failed": 0, "left out": 0}
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        runs = {pool.submit(check, build, unit, deadline): name for unit, name in units.items()}
        for run in concurrent.futures.as_completed(runs):
            verdict, seconds, output = run.result()
            count[verdict] += 1
            if verdict == "left out":
                left_out.append(runs[run])
            if verdict in ("passed", "failed"):
                print(f"{verdict} {runs[run]} ({seconds:.1f} s)", flush=True)
            if output:
                print(output.replace(str(ROOT) + "/", ""), flush=True)
    if not_built:
        print(f"not part of build/{options.preset}: {' '.join(not_built)}")
    print(f"tidy: {len(units)} files: {count['passed']} passed, {count['known']} known to pass, "
          f"{count['failed']} failed, {count['left out']} left out for lack of time")
    if left_out:
        print(f"WARNING: NOT CHECKED for lack of time, {len(left_out)} of {len(units)} files: "
              + " ".join(sorted(left_out)), flush=True)
    return 1 if count["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
