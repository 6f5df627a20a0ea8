"""A cluster of one batch node, for the job scripts: squeue, scontrol, mpirun, srun, sleep and longhaul in a folder for PATH.

The fake longhaul plays what its environment says: FAKE_RUN is a JSON object with
    code      exit code
    state     what it writes into OUTPUT/state.json at its end ("running" at its start, always); absent: it never gets so far
    results   lines it appends to OUTPUT/results.jsonl
    epoch     true: it writes a manifest of a new name
    wait      true: waits for SIGUSR1 first, and ends in state running with code 99 when none comes
"""
import json
import os
import pathlib
import signal
import stat
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[3]


def play_longhaul(words):
    folder = pathlib.Path(os.environ["FAKE_FOLDER"])
    run = json.loads(os.environ["FAKE_RUN"])
    output = pathlib.Path(words[words.index("--output") + 1])
    with open(folder / "longhaul.log", "a") as file:
        file.write(json.dumps({"words": words, "threads": os.environ.get("OMP_NUM_THREADS")}) + "\n")

    def write_state(state):
        (output / "state.json.tmp").write_text(json.dumps({"state": state, "reason": ""}, indent=2))
        (output / "state.json.tmp").rename(output / "state.json")

    caught = []
    signal.signal(signal.SIGUSR1, lambda *_: caught.append(1))
    if "state" in run:
        write_state("running")
    (folder / "started").touch()
    if run.get("wait"):
        end = time.monotonic() + 10
        while not caught and time.monotonic() < end:
            time.sleep(0.01)
        if not caught:
            return 99
    with open(output / "results.jsonl", "a") as file:
        file.writelines("{}\n" for _ in range(run.get("results", 0)))
    if run.get("epoch"):
        checkpoint = pathlib.Path(words[words.index("--checkpoint") + 1]) if "--checkpoint" in words else output / "checkpoint"
        checkpoint.mkdir(exist_ok=True)
        (checkpoint / f"manifest-r1-p0-e{time.monotonic_ns()}.json").touch()
    if "state" in run:
        write_state(run["state"])
    return run["code"]


# The others are started often and kept small. A launcher becomes the program behind its options.
LOG_CALL = 'printf "%s" "${0##*/}" >>"$FAKE_FOLDER/calls.log"; printf "\\t%s" "$@" >>"$FAKE_FOLDER/calls.log"; echo >>"$FAKE_FOLDER/calls.log"'
LAUNCH = 'while [ "${1%/longhaul}" = "$1" ]; do shift; done; exec "$@"'
COMMANDS = {
    "squeue": 'while [ "$1" != -o ]; do shift; done; cat "$FAKE_FOLDER/squeue-$2" 2>/dev/null',
    "scontrol": "", "sleep": "", "mpirun": LAUNCH, "srun": LAUNCH,
}


RUNNING = {"%L": "1:02:03", "%T": "RUNNING", "%r": "None"}


class FakeCluster:
    """One folder per test: bin/, and whatever the job writes."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.bin = self.folder / "bin"
        self.bin.mkdir()
        for name, text in COMMANDS.items():
            self.write_command(name, f"{LOG_CALL}\n{text}")
        self.write_command("longhaul", f'exec {sys.executable} -SE {__file__} "$@"')
        self.site = self.folder / "site.sh"
        self.write_site("mpirun")
        self.output = self.folder / "out"

    def write_command(self, name, text):
        path = self.bin / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    def write_site(self, launcher, extra=""):
        text = (ROOT / "jobs/site.sh").read_text()
        self.site.write_text(f"{text}\nlauncher={launcher}\nlonghaul=('{self.bin}/longhaul')\n{extra}\n")

    def start(self, script, arguments, run, squeue=None, **slurm):
        """The script as slurmstepd would start it; `run` as above, `squeue` its answers by format."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("SLURM_")}
        environment.update({
            "PATH": f"{self.bin}:{os.environ['PATH']}", "LONGHAUL_SITE": str(self.site), "FAKE_FOLDER": str(self.folder),
            "FAKE_RUN": json.dumps(run),
            "SLURM_JOB_ID": "7", "SLURM_SUBMIT_DIR": str(ROOT), "SLURM_NTASKS": "4", "SLURM_NTASKS_PER_NODE": "2",
            "SLURM_JOB_NUM_NODES": "2", "SLURM_CPUS_PER_TASK": "3", "SLURM_JOB_NODELIST": "node[1-2]"})
        environment.update({name: str(value) for name, value in slurm.items()})
        for old in [self.folder / "started", self.folder / "calls.log", *self.folder.glob("squeue-*")]:
            old.unlink(missing_ok=True)
        for name, answer in (RUNNING if squeue is None else squeue).items():
            (self.folder / f"squeue-{name}").write_text(answer + "\n")
        # Slurm runs a copy of the script.
        copy = self.folder / "slurm_script"
        copy.write_bytes((ROOT / "jobs" / script).read_bytes())
        return subprocess.Popen(["bash", str(copy)] + [str(word) for word in arguments], env=environment, cwd=self.folder,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def run(self, script, arguments, run, **rest):
        """(exit code, output) of a script that ends by itself."""
        process = self.start(script, arguments, run, **rest)
        text, _ = process.communicate(timeout=60)
        return process.returncode, text

    def wait_until_started(self):
        end = time.monotonic() + 30
        while not (self.folder / "started").exists():
            if time.monotonic() > end:
                raise TimeoutError("the fake longhaul was never started")
            time.sleep(0.01)

    def calls(self, name):
        """The arguments of each call of a command in the last run of a script."""
        path = self.folder / "calls.log"
        lines = [line.split("\t") for line in path.read_text().splitlines()] if path.exists() else []
        return [words[1:] for words in lines if words[0] == name]

    def requeued(self):
        return self.calls("scontrol") == [["requeue", "7"]]


if __name__ == "__main__":
    sys.exit(play_longhaul(sys.argv[1:]))
