"""A real Slurm with two virtual nodes for a test: testbed.sh, and what a test asks of Slurm."""
import os
import pathlib
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parents[3]
SKIP = 77


class CannotRun(Exception):
    """This host cannot do it, or was not asked to: why."""


def until(done, seconds, what):
    """Polls; what `done` returned, or AssertionError with `what` (called, if it can be) when the time is over."""
    end = time.monotonic() + seconds
    while True:
        result = done()
        if result:
            return result
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what() if callable(what) else what}")
        time.sleep(0.1)


class Testbed:
    def __init__(self, folder):
        if not os.environ.get("LONGHAUL_SLURM_TESTS"):
            raise CannotRun("it starts daemons, so it runs only with scripts/test.sh --slurm (LONGHAUL_SLURM_TESTS=1)")
        self.script = pathlib.Path(os.environ.get("LONGHAUL_SLURM_TESTBED", ROOT / "../shared/slurm/testbed.sh"))
        if not self.script.is_file():
            raise CannotRun(f"there is no {self.script} (LONGHAUL_SLURM_TESTBED names another)")
        self.folder = folder
        self.environment = {name: value for name, value in os.environ.items()
                            if not name.startswith(("SLURM_", "OMPI_", "PMIX_", "OMP_", "SBATCH_"))}

    def up(self):
        """Starts what does not run: all of it, or a node that has crashed."""
        result = subprocess.run(["bash", self.script, "up", self.folder], capture_output=True, text=True, timeout=120)
        if result.returncode == SKIP:
            raise CannotRun(result.stderr.strip())
        assert result.returncode == 0, result.stderr
        for line in result.stdout.splitlines():
            for setting in line.removeprefix("export ").split():
                name, value = setting.split("=", 1)
                self.environment[name] = value

    def down(self):
        subprocess.run(["bash", self.script, "down", self.folder], timeout=120, check=True)

    def crash(self, node):
        """The node dies and is back at once, empty, as after a power cut."""
        subprocess.run(["bash", self.script, "crash", self.folder, node], timeout=60, check=True)
        self.call("scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=crash")
        self.up()

    def call(self, *command):
        result = subprocess.run([str(word) for word in command], env=self.environment, capture_output=True, text=True, timeout=60,
                                stdin=subprocess.DEVNULL, cwd=ROOT)
        assert result.returncode == 0, f"{command}: {result.stderr}"
        return result.stdout.strip()

    def submit(self, *words):
        return self.call("sbatch", "--parsable", *words)

    def job(self, job, field):
        """A field of squeue (%T state, %B batch node ...); nothing once the job has left the queue."""
        result = subprocess.run(["squeue", "-h", "-j", job, "-o", field], env=self.environment, capture_output=True, text=True, timeout=60)
        return result.stdout.strip()

    def wait(self, job, seconds, what=""):
        """Until the job (all elements of an array) has left the queue."""
        until(lambda: not self.job(job, "%T"), seconds, lambda: f"job {job} ends, it is {self.job(job, '%T %r')}; {what() if callable(what) else what}")
