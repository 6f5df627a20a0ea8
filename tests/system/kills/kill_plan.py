"""How and when a run is ended."""
import signal
import time

# Means of ending a run. The first two are kills, the others ask for a stop.
KILLS = ("kill -9 of a rank", "SIGTERM to mpirun")
STOPS = ("SIGUSR1 to mpirun", "SIGUSR1 to a rank", "SIGTERM to a rank", "--time-limit")
SIGNALS = {
    "kill -9 of a rank": (signal.SIGKILL, False),
    "SIGTERM to mpirun": (signal.SIGTERM, True),
    "SIGUSR1 to mpirun": (signal.SIGUSR1, True),
    "SIGUSR1 to a rank": (signal.SIGUSR1, False),
    "SIGTERM to a rank": (signal.SIGTERM, False),
}
# Moments, besides a random one.
MOMENTS = ("at a random moment", "at a random moment", "while starting", "while a segment is written",
           "after a segment", "after a manifest", "after a result")


class KillPlan:
    """One way and one moment, chosen at random."""

    def __init__(self, rng, expected_s, means=KILLS + STOPS, moments=MOMENTS):
        self.means = rng.choice(means)
        self.moment = rng.choice(moments)
        self.pause_s = rng.random() * rng.choice((0.0, 0.01, 0.1, 0.5))
        self.random_s = rng.random() * 0.8 * expected_s
        self.rank = rng.random()
        self.limit_s = 0.5 + rng.random() * expected_s  # the program stops well before
        self.on_time = False  # set-up was over, so that a stop must be obeyed

    def options(self):
        return ["--time-limit", f"{self.limit_s:.2f}s"] if self.means == "--time-limit" else []

    @property
    def is_kill(self):
        return self.means in KILLS

    def __str__(self):
        return f"--time-limit {self.limit_s:.1f}s" if self.means == "--time-limit" else f"{self.means} {self.moment}"

    def carry_out(self, run):
        """Waits for the moment and acts. Does nothing when the run ends before."""
        if self.means == "--time-limit":
            self.on_time = True
            return
        self._wait(run)
        self.on_time = run.running()
        number, at_mpirun = SIGNALS[self.means]
        if at_mpirun:
            run.signal_mpirun(number)
        else:
            run.signal_rank(int(self.rank * run.grid.ranks), number)

    def _wait(self, run):
        checkpoint, results = run.program.checkpoint, run.program.output / "results.jsonl"
        watch = {
            "while a segment is written": lambda: names(checkpoint / "segments", ".tmp"),
            "after a segment": lambda: names(checkpoint / "segments", ".h5"),
            "after a manifest": lambda: names(checkpoint, ".json"),
            "after a result": lambda: {results.stat().st_size} if results.exists() else set(),
        }.get(self.moment)
        if self.moment == "while starting":
            wait_until(run, run.has_ranks)
            time.sleep(self.pause_s)
        elif self.moment == "soon after set-up":
            wait_until(run, run.running)
            time.sleep(self.pause_s)
        elif watch is None:
            wait_until(run, lambda: run.elapsed_s() >= self.random_s)
        else:
            wait_until(run, run.running)
            wait_until(run, lambda: run.elapsed_s() >= 0.5 * self.random_s)
            before = watch()
            wait_until(run, lambda: watch() - before)
            time.sleep(self.pause_s)


class Fault:
    """The program kills itself at its n-th result (--inject-fault)."""
    is_kill = True
    on_time = False

    def __init__(self, place, number):
        self.place = place
        self.number = number

    def options(self):
        return ["--inject-fault", f"0:{self.place}:{self.number}"]

    def carry_out(self, run):
        pass

    def __str__(self):
        return f"kill -9 of rank 0 {self.place} {self.number}"


def names(folder, ending):
    try:
        return {path.name for path in folder.iterdir() if path.name.endswith(ending)}
    except FileNotFoundError:
        return set()


def wait_until(run, done):
    while not run.ended() and not done():
        time.sleep(0.001)
