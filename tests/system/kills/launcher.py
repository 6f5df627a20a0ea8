"""Starts longhaul under mpirun, looks at what it does, and ends it in various ways."""
import json
import os
import pathlib
import signal
import subprocess
import time
from typing import NamedTuple


class Grid(NamedTuple):
    """Ranks of a run: replicas x spp x kvp x tp."""
    replicas: int
    spp: int
    kvp: int
    tp: int

    @property
    def ranks(self):
        return self.replicas * self.spp * self.kvp * self.tp

    def options(self):
        return [word for name, value in self._asdict().items() for word in (f"--{name}", str(value))]

    def __str__(self):
        return "x".join(str(value) for value in self)


def read_state(output):
    """state.json, or an empty dictionary where there is none."""
    try:
        return json.loads((output / "state.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}


def processes_with(words):
    """Ids of the running processes whose command line has all of these words."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                command = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if all(os.fsencode(word) in command for word in words):
                found.append(int(entry.name))
    return found


def rank_of(process):
    """Rank in Open MPI's world, or None for another process."""
    try:
        environment = pathlib.Path(f"/proc/{process}/environ").read_bytes().split(b"\0")
    except OSError:
        return None
    for entry in environment:
        if entry.startswith(b"OMPI_COMM_WORLD_RANK="):
            return int(entry.split(b"=")[1])
    return None


class Program:
    """What all runs of one queue have in common."""

    def __init__(self, longhaul, model, folder, output):
        self.longhaul = str(longhaul)
        self.model = str(model)
        self.folder = folder
        self.output = output
        self.checkpoint = output / "checkpoint"
        self.runs = 0

    def command(self, grid, options):
        return (["mpirun", "-n", str(grid.ranks), "--oversubscribe", self.longhaul, "run", "--model", self.model,
                 "--queue", str(self.folder / "queue.jsonl"), "--output", str(self.output), "--threads", "1",
                 "--dtype", "f32", "--block-slots", "64"] + grid.options() + options)

    def start(self, grid, options):
        self.runs += 1
        return Run(self, grid, options, self.folder / f"{self.output.name}-run{self.runs}.log")


class Run:
    """One start of the program, from mpirun to the end of its last process."""

    def __init__(self, program, grid, options, log):
        self.program = program
        self.grid = grid
        self.log = log
        self.old_state = read_state(program.output)
        self.begun = time.monotonic()
        with open(log, "wb") as file:
            self.mpirun = subprocess.Popen(program.command(grid, options), stdin=subprocess.DEVNULL, stdout=file,
                                           stderr=file, start_new_session=True)

    def elapsed_s(self):
        return time.monotonic() - self.begun

    def ended(self):
        return self.mpirun.poll() is not None

    def running(self):
        """Whether set-up is over: from here on the signals that ask for a stop are understood."""
        state = read_state(self.program.output)
        return state != self.old_state and state.get("state") == "running"

    def processes(self):
        """The program's own, without mpirun."""
        return [process for process in processes_with(["run", str(self.program.output)]) if process != self.mpirun.pid]

    def has_ranks(self):
        return any(rank_of(process) is not None for process in self.processes())

    def signal_rank(self, rank, number):
        """Returns whether that rank was there."""
        for process in self.processes():
            if rank_of(process) == rank:
                return send(process, number)
        return False

    def signal_mpirun(self, number):
        return not self.ended() and send(self.mpirun.pid, number)

    def wait(self, limit_s):
        """Exit code of mpirun (128 + a signal that ended it), or None when it or a rank has not ended in time: all are
        killed then.
        """
        end = time.monotonic() + limit_s
        while not self.ended() and time.monotonic() < end:
            time.sleep(0.01)
        # Ranks may outlive mpirun for a moment, with the lock on OUTPUT.
        while self.processes() and time.monotonic() < end:
            time.sleep(0.05)
        in_time = self.ended() and not self.processes()
        if not in_time:
            self.kill_all()
        code = self.mpirun.returncode
        return (code if code >= 0 else 128 - code) if in_time else None

    def kill_all(self):
        for process in self.processes():
            send(process, signal.SIGKILL)
        send(self.mpirun.pid, signal.SIGKILL)
        self.mpirun.wait()

    def log_tail(self, lines=15):
        text = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join("    | " + line for line in text[-lines:])


def send(process, number):
    try:
        os.kill(process, number)
    except ProcessLookupError:
        return False
    return True
