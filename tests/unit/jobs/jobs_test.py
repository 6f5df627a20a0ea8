#!/usr/bin/env python3
"""The job scripts of jobs/ against a cluster of small fakes (fake_cluster.py); no Slurm, no MPI."""
import fcntl
import json
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

from fake_cluster import FakeCluster, ROOT

SCRIPTS = sorted(path.name for path in (ROOT / "jobs").glob("*.sbatch"))
DONE = {"state": "complete", "code": 0, "results": 3}
SAVED = {"state": "requeue", "code": 75, "epoch": True}
KILLED = {"state": "running", "code": 137}


def lib(command, *arguments):
    """What a command prints in a shell that has sourced lib.sh; "!" and its status where it fails."""
    shell = subprocess.run(["bash", "-c", f". '{ROOT}/jobs/lib.sh'\n{command}", "bash", *map(str, arguments)],
                           capture_output=True, text=True, timeout=60)
    assert not shell.stderr, shell.stderr
    return shell.stdout.strip() if shell.returncode == 0 else f"!{shell.returncode}"


class Functions(unittest.TestCase):
    def table(self, command, rows):
        for *arguments, expected in rows:
            with self.subTest(arguments=arguments):
                self.assertEqual(lib(command, *arguments), str(expected))

    def test_seconds_of(self):
        self.table('seconds_of "$1"', [
            ("0:07", 7), ("59:59", 3599), ("08:09", 489), ("1:00:00", 3600), ("23:59:59", 86399), ("08:08:08", 29288),
            ("1-00:00:00", 86400), ("10-09:08:07", 896887), ("364-23:59:57", 31535997), ("0:00", 0),
            ("UNLIMITED", ""), ("INVALID", ""), ("NOT_SET", ""), ("", ""), ("7", ""), ("1-0:07", ""), ("a:b", ""), ("-1:30", "")])

    def test_decide(self):
        self.table('decide "$@" | cut -d" " -f1', [
            ("requeue", 75, 0, "requeue"), ("requeue", 75, 2, "requeue"), ("requeue", 75, 3, "stop"),
            ("requeue", 205, 0, "requeue"), ("requeue", 1, 0, "requeue"), ("requeue", 137, 3, "stop"),
            ("running", 137, 0, "requeue"), ("running", 205, 1, "requeue"), ("running", 3, 0, "requeue"),
            ("running", 75, 0, "requeue"), ("running", 143, 2, "requeue"), ("running", 137, 3, "stop"),
            ("running", 0, 0, "stop"), ("running", 1, 0, "stop"), ("running", 2, 0, "stop"),
            ("unknown", 205, 0, "requeue"), ("unknown", 2, 0, "stop"), ("unknown", 1, 0, "stop"), ("unknown", 127, 3, "stop"),
            ("complete", 0, 0, "stop"), ("complete", 1, 0, "stop"), ("complete", 205, 0, "stop"), ("complete", 75, 0, "stop")])

    def test_may_requeue(self):
        self.table('may_requeue "$@" && echo yes || echo no', [
            ("RUNNING", "None", "yes"), ("COMPLETING", "TimeLimit", "yes"), ("COMPLETING", "None", "no"),
            ("PENDING", "BeginTime", "no"), ("CANCELLED", "None", "no"), ("", "", "no")])

    def test_options(self):
        self.table('options=(--chunk 64 --quiet --tp=2 --spp 2); add_defaults $1; echo "${options[@]}"', [
            ("--chunk 9 --max-batch 2", "--chunk 64 --quiet --tp=2 --spp 2 --max-batch 2"),
            ("--tp 4 --quiet", "--chunk 64 --quiet --tp=2 --spp 2"), ("", "--chunk 64 --quiet --tp=2 --spp 2"),
            ("--deterministic --spp=3 --dtype f32", "--chunk 64 --quiet --tp=2 --spp 2 --deterministic --dtype f32")])
        self.table('options=(--chunk 64 --quiet --tp=2 --spp 2); drop_options $1; echo "${options[@]}"', [
            ("--chunk --tp", "--quiet --spp 2"), ("--quiet --kvp", "--chunk 64 --tp=2 --spp 2"), ("--chunk --quiet --tp --spp", "")])


class Attempts(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="longhaul-jobs-")
        self.addCleanup(folder.cleanup)
        self.cluster = FakeCluster(folder.name)

    def attempt(self, run, script="summarize.sbatch", arguments=None, **rest):
        return self.cluster.run(script, arguments or ["model.gguf", "queue.jsonl", self.cluster.output], run, **rest)

    def longhaul(self):
        """Words of the last longhaul."""
        return json.loads((self.cluster.folder / "longhaul.log").read_text().splitlines()[-1])

    def value(self, option):
        words = self.longhaul()["words"]
        return words[words.index(option) + 1] if option in words else None

    def test_complete_run(self):
        code, text = self.attempt(DONE)
        self.assertEqual(code, 0, text)
        self.assertFalse(self.cluster.requeued())
        self.assertNotRegex(text, r"lib.sh|No such file")
        self.assertRegex(text, r"job 7, restart 0 on node\[1-2\]: 4 ranks, 2 per node, 3 cores each")
        self.assertEqual(self.cluster.calls("mpirun")[0][:8],
                         ["-n", "4", "--map-by", "ppr:2:node:PE=3", "--bind-to", "core", "-x", "OMP_NUM_THREADS"])
        self.assertEqual(self.longhaul()["threads"], "3")
        self.assertEqual((self.value("--threads"), self.value("--time-limit")), ("3", "3723s"))
        self.assertEqual((self.value("--model"), self.value("--queue")), ("model.gguf", "queue.jsonl"))

    def test_failed_jobs_and_bad_set_up_end_the_job(self):
        for run in [{"state": "complete", "code": 1}, {"code": 2}, {"state": "running", "code": 2}]:
            with self.subTest(run=run):
                code, text = self.attempt(run)
                self.assertEqual(code, run["code"], text)
                self.assertFalse(self.cluster.requeued())

    def test_requeues(self):
        for run in [SAVED, KILLED, {"state": "running", "code": 205}, {"code": 205}, {"state": "requeue", "code": 205}]:
            with self.subTest(run=run):
                _, text = self.attempt(run)
                self.assertTrue(self.cluster.requeued(), text)

    def test_state_of_an_earlier_attempt_does_not_count(self):
        self.attempt(SAVED)
        code, text = self.attempt({"code": 2}, SLURM_RESTART_COUNT=1)
        self.assertEqual(code, 2)
        self.assertFalse(self.cluster.requeued(), text)

    def test_signals_are_handed_on(self):
        for number in [signal.SIGUSR1, signal.SIGTERM]:
            with self.subTest(number):
                process = self.cluster.start("summarize.sbatch", ["m", "q", self.cluster.output], dict(SAVED, wait=True))
                self.cluster.wait_until_started()
                process.send_signal(number)
                process.send_signal(number)
                text, _ = process.communicate(timeout=30)
                self.assertIn("exit code 75, state requeue: requeue", text)
                self.assertTrue(self.cluster.requeued(), text)

    def test_signal_before_the_run(self):
        self.cluster.output.mkdir()
        with open(self.cluster.output / "lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            process = self.cluster.start("summarize.sbatch", ["m", "q", self.cluster.output], DONE)
            while "waiting" not in process.stdout.readline():
                pass
            process.send_signal(signal.SIGUSR1)
        text, _ = process.communicate(timeout=30)
        self.assertTrue(self.cluster.requeued(), text)
        self.assertFalse((self.cluster.folder / "longhaul.log").exists())

    def test_lock_of_a_dying_predecessor(self):
        self.cluster.output.mkdir()
        with open(self.cluster.output / "lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            process = self.cluster.start("summarize.sbatch", ["m", "q", self.cluster.output], DONE)
            while "waiting up to 60 s" not in process.stdout.readline():
                pass
            time.sleep(0.3)
            self.assertFalse((self.cluster.folder / "started").exists())
        text, _ = process.communicate(timeout=30)
        self.assertEqual(process.returncode, 0, text)

    def test_jobs_that_slurm_ends_are_left_to_it(self):
        """Requeueing a job that scancel has ended would bring it back to life."""
        for state, reason, code, expected in [("COMPLETING", "None", 137, False), ("COMPLETING", "TimeLimit", 137, True), ("", "", 2, False)]:
            with self.subTest(state=state, reason=reason):
                ended, text = self.attempt(KILLED, squeue={"%T": state, "%r": reason})
                self.assertEqual((ended, self.cluster.requeued()), (code, expected), text)
                self.assertIsNone(self.value("--time-limit"))

    def test_stops_after_three_restarts_without_progress(self):
        """Rows: what attempt 0, 1, ... does, and whether it goes back into the queue."""
        nothing, epoch, result = KILLED, dict(KILLED, epoch=True), dict(KILLED, results=1)
        for rows in [[(nothing, True)] * 3 + [(nothing, False)],
                     [(nothing, True)] * 3 + [(epoch, True)] + [(nothing, True)] * 2,
                     [(result, True)] + [(nothing, True)] * 3 + [(nothing, False)],
                     [(nothing, True)] * 2 + [(result, True), (nothing, True), (epoch, True), (nothing, True), (result, True)],
                     [(dict(SAVED, epoch=False), True)] * 3 + [(dict(SAVED, epoch=False), False)]]:
            shutil.rmtree(self.cluster.output, ignore_errors=True)
            for restart, (run, expected) in enumerate(rows):
                with self.subTest(rows=rows, restart=restart):
                    _, text = self.attempt(run, SLURM_RESTART_COUNT=restart)
                    self.assertEqual(self.cluster.requeued(), expected, text)
        # Slurm may requeue it once more by itself (a node that this job brings down); a new submission starts afresh.
        code, text = self.attempt(KILLED, SLURM_RESTART_COUNT=4)
        self.assertEqual((code, self.cluster.calls("mpirun")), (2, []), text)
        self.attempt(KILLED, SLURM_JOB_ID=8, SLURM_RESTART_COUNT=0)
        self.assertEqual(self.cluster.calls("scontrol"), [["requeue", "8"]])

    def test_checkpoints_elsewhere_count(self):
        for elsewhere, expected in [("ckpt", True), ("empty", False)]:
            for restart in range(4):
                arguments = ["m", "q", self.cluster.output, "--checkpoint", self.cluster.folder / elsewhere]
                _, text = self.attempt(dict(KILLED, epoch=expected), arguments=arguments, SLURM_RESTART_COUNT=restart)
            self.assertEqual(self.cluster.requeued(), expected, text)

    def test_fresh_is_for_the_first_attempt(self):
        for restart in [0, 1]:
            self.attempt(SAVED, arguments=["m", "q", self.cluster.output, "--fresh", "--chunk", "64"], SLURM_RESTART_COUNT=restart)
            self.assertEqual("--fresh" in self.longhaul()["words"], restart == 0)
            self.assertEqual(self.value("--chunk"), "64")

    def test_site(self):
        self.cluster.write_site("srun", "run_options=(--max-batch 16 --dtype f32)")
        code, text = self.attempt(DONE, arguments=["m", "q", self.cluster.output, "--dtype=bf16", "--time-limit", "9s"])
        self.assertEqual(code, 0, text)
        self.assertEqual(self.cluster.calls("srun")[0][:4], ["--ntasks=4", "--cpus-per-task=3", "--mpi=pmix", "--cpu-bind=cores"])
        self.assertEqual((self.value("--max-batch"), self.value("--dtype"), self.value("--time-limit")), ("16", None, "9s"))
        self.cluster.write_site("rsh")
        self.assertEqual(self.attempt(DONE)[0], 2)

    def test_array(self):
        code, text = self.attempt(DONE, "array.sbatch", ["m", "parts", self.cluster.output], SLURM_ARRAY_TASK_ID=2, SLURM_ARRAY_JOB_ID=5)
        self.assertEqual(code, 0, text)
        self.assertEqual(self.value("--queue"), "parts/part-2.jsonl")
        self.assertEqual(self.value("--output"), f"{self.cluster.output}/part-2")
        self.assertIn("element 2 of 5", text)
        self.assertEqual(self.attempt(DONE, "array.sbatch")[0], 2)

    def test_resume(self):
        options = ["--spp", "2", "--tp", "2", "--chunk", "64", "--deterministic", "--fresh"]
        self.attempt(KILLED, arguments=["m m", "q", self.cluster.output] + options)
        rows = [(4, [], "--spp 2 --tp 2 --chunk 64 --deterministic"), (8, [], "--chunk 64 --deterministic"),
                (4, ["--kvp", "4"], "--kvp 4 --chunk 64 --deterministic"), (4, ["--chunk=9"], "--chunk=9 --kvp 4 --deterministic")]
        for ranks, given, expected in rows:
            with self.subTest(ranks=ranks, given=given):
                code, text = self.attempt(DONE, "resume.sbatch", [self.cluster.output] + given, SLURM_NTASKS=ranks, SLURM_CPUS_PER_TASK=5)
                self.assertEqual(code, 0, text)
                words = self.longhaul()["words"]
                self.assertEqual(words[1:7], ["--model", f"{self.cluster.folder}/m m", "--queue", f"{self.cluster.folder}/q",
                                              "--output", str(self.cluster.output)])
                self.assertEqual(" ".join(words[7:words.index("--threads")]), expected)
                self.assertEqual(self.value("--threads"), "5")
        self.assertEqual(self.attempt(DONE, "resume.sbatch", [self.cluster.folder / "nowhere"])[0], 2)

    def test_defaults_of_the_scripts(self):
        for script, chunk in [("score.sbatch", "2048"), ("video.sbatch", "1024"), ("summarize.sbatch", None)]:
            self.attempt(DONE, script)
            self.assertEqual(self.value("--chunk"), chunk)
            self.attempt(DONE, script, ["m", "q", self.cluster.output, "--chunk", "7"])
            self.assertEqual(self.longhaul()["words"].count("--chunk"), 1)

    def test_wrong_use(self):
        for script in SCRIPTS:
            self.assertEqual(self.attempt(DONE, script, ["--help"])[0], 2, script)
        self.assertEqual(self.attempt(DONE, SLURM_JOB_ID="")[0], 2)
        self.assertEqual(self.attempt(DONE, LONGHAUL_HOME="/nowhere")[0], 2)


class Text(unittest.TestCase):
    def test_headers(self):
        self.assertEqual(SCRIPTS, ["array.sbatch", "resume.sbatch", "score.sbatch", "summarize.sbatch", "video.sbatch"])
        for script in SCRIPTS:
            head = (ROOT / "jobs" / script).read_text()
            for pattern in [r"\A#!/bin/bash\n", r"--signal=B:USR1@(\d+)", "--requeue", "--open-mode=append", r"--nodes=\d+",
                            r"--ntasks-per-node=\d+", r"--cpus-per-task=\d+", r"--time=\S+", "--output=%x-"]:
                self.assertRegex(head, pattern if pattern.startswith(r"\A") else rf"(?m)^#SBATCH {pattern}", script)
            # Slurm looks every 30 s.
            self.assertGreaterEqual(int(re.search(r"USR1@(\d+)", head)[1]), 90)

    def test_shellcheck(self):
        if not shutil.which("shellcheck"):
            self.skipTest("there is no shellcheck here")
        files = [f"jobs/{name}" for name in SCRIPTS + ["lib.sh", "site.sh"]]
        check = subprocess.run(["shellcheck", "-x"] + files, cwd=ROOT, capture_output=True, text=True)
        self.assertEqual(check.returncode, 0, check.stdout)


class Container(unittest.TestCase):
    """longhaul.def is never built here; what it relies on is looked up."""

    def setUp(self):
        self.text = (ROOT / "jobs/longhaul.def").read_text()
        self.sections = dict(re.findall(r"(?ms)^%(\w+)\n(.*?)(?=^%|\Z)", self.text))

    def test_header_and_sections(self):
        self.assertRegex(self.text, r"(?m)^Bootstrap: docker$")
        self.assertRegex(self.text, r"(?m)^From: debian:12(-slim)?$")
        self.assertLessEqual({"files", "post", "runscript", "test", "help"}, set(self.sections))
        self.assertIn('exec longhaul "$@"', self.sections["runscript"])

    def test_copies_what_the_build_needs(self):
        copied = [line.split() for line in self.sections["files"].splitlines() if line.strip()]
        names = {source for source, _ in copied}
        for source, target in copied:
            self.assertTrue((ROOT / source).exists(), source)
            self.assertEqual(target, f"/opt/longhaul/{source}")
        needed = set(re.findall(r"CMAKE_SOURCE_DIR\}/(\w+)", (ROOT / "CMakeLists.txt").read_text())) - {"tests"}
        self.assertLessEqual(needed | {"CMakeLists.txt", "CMakePresets.json"}, names)

    def test_builds_the_program_alone(self):
        post = self.sections["post"]
        for pattern in [r"(?m)^ *scripts/setup.sh$", r"cmake --preset cpu .*-DLONGHAUL_TESTS=OFF", "--target longhaul",
                        r"install .*build/cpu/longhaul /usr/local/bin/longhaul"]:
            self.assertRegex(post, pattern)
        self.assertIn("option(LONGHAUL_TESTS", (ROOT / "CMakeLists.txt").read_text())


if __name__ == "__main__":
    unittest.main()
