#!/usr/bin/env python3
"""The job scripts on a real Slurm (testbed.py): whatever happens to a job, its queue ends complete, every job once, with the
answers of an undisturbed run.

Usage: slurm_test.py --longhaul PROGRAM --make-tiny-model PROGRAM [UNITTEST OPTION...]
Exit code 77: skipped, for the reason printed.
"""
import argparse
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

from testbed import CannotRun, ROOT, SKIP, Testbed, until

JOBS = 32
TOKENS = 200
# Far from the limit: the scripts ask for a signal five minutes before it.
NODES = ["--nodes=2", "--ntasks-per-node=2", "--cpus-per-task=1", "--time=60"]
# The same grid everywhere, so that answers can be compared bit for bit.
OPTIONS = ["--spp", "2", "--kvp", "2", "--tp", "1", "--dtype", "f32", "--deterministic", "--max-batch", "2", "--chunk", "32"]


class Slurm(unittest.TestCase):
    maxDiff = 2000

    @classmethod
    def setUpClass(cls):
        cls.folder, cls.slurm = folder, testbed
        subprocess.run([programs.make_tiny_model, cls.folder / "tiny.gguf"], check=True, timeout=60)
        site = (ROOT / "jobs/site.sh").read_text()
        # Two cores stand for two nodes: nothing can be bound.
        site += f"longhaul=('{programs.longhaul}')\nmpirun_options=(--map-by ppr:$ranks_per_node:node)\n"
        (cls.folder / "site.sh").write_text(site)
        (cls.folder / "site-srun.sh").write_text(f"{site}launcher=srun\nsrun_options=(--mpi=pmix)\n")
        cls.slurm.environment["LONGHAUL_SITE"] = str(cls.folder / "site.sh")
        (cls.folder / "queue.jsonl").write_text("".join(cls.queue_lines()))
        cls.reference = None

    @classmethod
    def queue_lines(cls):
        for i in range(JOBS):
            document = cls.folder / f"document-{i % 8}.txt"
            document.write_text(f"This is the text of document {i % 8}. " * (3 + i % 8))
            yield json.dumps({"id": f"job-{i}", "kind": "document", "path": document.name, "prompt": f"Question {i}?",
                              "max_tokens": TOKENS, "ignore_eos": True, "logprobs": 0}) + "\n"

    def setUp(self):
        self.begin = time.monotonic()
        self.addCleanup(lambda: print(f"  {time.monotonic() - self.begin:.0f} s", flush=True))
        self.output = self.folder / self._testMethodName
        self.log = self.folder / f"{self._testMethodName}.log"

    def submit(self, *words):
        return self.slurm.submit(f"--output={self.log}", *NODES, *words, "jobs/summarize.sbatch", self.folder / "tiny.gguf",
                                 self.folder / "queue.jsonl", self.output, *OPTIONS)

    def results(self, path=None):
        """Answers by id, without timings; no id may stand twice."""
        answers = {}
        for line in (path or self.output / "results.jsonl").read_text().splitlines():
            result = json.loads(line)
            self.assertNotIn(result["id"], answers, "a job has two results")
            answers[result["id"]] = {name: result.get(name) for name in
                                     ["status", "text", "token_ids", "logprobs", "finish_reason", "prompt_tokens", "job_hash"]}
        return answers

    def undisturbed(self):
        """The answers of a run that nothing happens to, made when first asked for."""
        if Slurm.reference is None:
            output, log = self.output, self.log
            self.output, self.log = self.folder / "undisturbed", self.folder / "undisturbed.log"
            self.slurm.wait(self.submit(), 60, self.story)
            self.assertEqual(self.attempts(), 1, self.story())
            Slurm.reference = self.results()
            self.assertEqual(len(Slurm.reference), JOBS, self.story())
            self.assertEqual({answer["status"] for answer in Slurm.reference.values()}, {"ok"})
            self.output, self.log = output, log
        return Slurm.reference

    def story(self):
        log = self.log.read_text() if self.log.exists() else "no log"
        return f"the log of the job:\n{log}\n{self.slurm.call('squeue')}\n{self.slurm.call('sinfo')}"

    def attempts(self):
        return len(re.findall(r"\] job \d+.* restart \d+ on ", self.log.read_text()))

    def wait_until_under_way(self):
        """In the middle: some results are there, most are not."""
        def lines():
            path = self.output / "results.jsonl"
            return path.exists() and len(path.read_text().splitlines()) >= 3
        until(lines, 60, self.story)
        self.assertLess(len((self.output / "results.jsonl").read_text().splitlines()), JOBS - 6, "too quick to be disturbed")

    def expect_complete_after_restart(self, job):
        self.slurm.wait(job, 120, self.story)
        self.assertEqual(json.loads((self.output / "state.json").read_text())["state"], "complete", self.story())
        self.assertEqual(self.attempts(), 2, self.story())
        self.assertEqual(self.results(), self.undisturbed())

    def test_a_signal_before_the_time_limit(self):
        job = self.submit()
        self.wait_until_under_way()
        self.slurm.call("scancel", "--signal=USR1", "--batch", job)
        self.expect_complete_after_restart(job)
        self.assertRegex(self.log.read_text(), "exit code 75, state requeue: requeue")

    def test_a_signal_with_srun(self):
        job = self.submit(f"--export=ALL,LONGHAUL_SITE={self.folder}/site-srun.sh")
        self.wait_until_under_way()
        self.slurm.call("scancel", "--signal=USR1", "--batch", job)
        self.expect_complete_after_restart(job)
        self.assertRegex(self.log.read_text(), "exit code 75, state requeue: requeue")

    def test_b_preemption_with_grace(self):
        job = self.submit("--partition=grace")
        self.wait_until_under_way()
        urgent = self.slurm.submit("--partition=urgent", "--nodes=2", "--exclusive", "--output=/dev/null", "--wrap=sleep 1")
        self.slurm.wait(urgent, 60, self.story)
        self.expect_complete_after_restart(job)
        self.assertRegex(self.log.read_text(), "exit code 75, state requeue: requeue")

    def test_c_crash_of_the_other_node(self):
        job = self.submit()
        self.wait_until_under_way()
        batch = self.slurm.job(job, "%B")
        self.slurm.crash("node2" if batch == "node1" else "node1")
        self.expect_complete_after_restart(job)

    def test_d_crash_of_the_batch_node(self):
        job = self.submit()
        self.wait_until_under_way()
        self.slurm.crash(self.slurm.job(job, "%B"))
        self.expect_complete_after_restart(job)

    def test_e_requeue_from_outside(self):
        job = self.submit()
        self.wait_until_under_way()
        self.slurm.call("scontrol", "requeue", job)
        self.expect_complete_after_restart(job)

    def test_f_cancelled_jobs_stay_cancelled(self):
        job = self.submit()
        self.wait_until_under_way()
        self.slurm.call("scancel", job)
        self.slurm.wait(job, 30, self.story)
        self.assertEqual(self.attempts(), 1, self.story())

    def test_g_resume_on_other_nodes_after_a_cancellation(self):
        job = self.submit()
        self.wait_until_under_way()
        self.slurm.call("scancel", job)
        self.slurm.wait(job, 30, self.story)
        again = self.slurm.submit(f"--output={self.log}", "--nodes=1", "--ntasks-per-node=4", "--cpus-per-task=1", "--time=60",
                                  "jobs/resume.sbatch", self.output)
        self.expect_complete_after_restart(again)

    def test_h_array(self):
        parts = self.folder / "parts"
        merged = self.output / "all"
        subprocess.run([programs.longhaul, "queue", "split", self.folder / "queue.jsonl", "--parts", "3", "--output", parts],
                       check=True, timeout=60, stdout=subprocess.DEVNULL)
        job = self.slurm.submit(f"--output={self.log}", "--array=0-2", "--nodes=1", "--ntasks-per-node=4", "--cpus-per-task=1",
                                "--time=60", "jobs/array.sbatch", self.folder / "tiny.gguf", parts, self.output, *OPTIONS)
        self.slurm.wait(job, 120, self.story)
        outputs = [self.output / f"part-{i}" for i in range(3)]
        merge = subprocess.run([programs.longhaul, "queue", "merge", *outputs, "--output", merged, "--queue", self.folder / "queue.jsonl"],
                               capture_output=True, text=True, timeout=60)
        self.assertEqual(merge.returncode, 0, f"{merge.stdout}{merge.stderr}{self.story()}")
        answers = self.results(merged / "results.jsonl")
        self.assertEqual(answers, self.undisturbed())
        self.assertEqual(list(answers), [f"job-{i}" for i in range(JOBS)])
        for output in outputs:
            self.assertGreater(len(self.results(output / "results.jsonl")), 0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--longhaul", required=True, type=pathlib.Path)
    parser.add_argument("--make-tiny-model", required=True, type=pathlib.Path)
    programs, rest = parser.parse_known_args()
    # A short name, since the paths of unix sockets have to be.
    folder = pathlib.Path(tempfile.mkdtemp(prefix="lh-slurm-"))
    try:
        testbed = Testbed(folder / "testbed")
        try:
            testbed.up()
            unittest.main(argv=[sys.argv[0]] + rest, exit=True)
        finally:
            testbed.down()
    except CannotRun as reason:
        print(f"skipped: {reason}")
        sys.exit(SKIP)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
