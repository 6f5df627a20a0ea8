"""Series of runs that are killed or stopped and resumed until their queue is done."""
import json
import shutil

import compare
import kill_plan
from accounting import Accounting
from folder_checks import OutputCheck, read_results, saved_positions
from launcher import Grid, Program, read_state

GRIDS = [Grid(*shape) for shape in
         ((1, 1, 1, 1), (1, 2, 1, 1), (1, 1, 2, 1), (1, 1, 1, 2), (2, 1, 1, 1), (1, 3, 1, 1), (1, 2, 2, 1),
          (1, 2, 1, 2), (1, 1, 3, 1), (1, 1, 2, 2), (2, 2, 1, 1), (2, 1, 2, 1), (4, 1, 1, 1), (1, 4, 1, 1),
          (1, 2, 2, 2), (2, 2, 2, 1), (4, 1, 1, 2))]
CHUNKS = (64, 96, 128, 200, 512)
INTERVALS = ("300-tokens", "1000-tokens", "0.3s", "1s")
KILL_CODES = (1, 3, 137, 143, 205)  # of mpirun, when it was told to end or a rank died
LIMIT_S = 120


class Failed(Exception):
    """Something did not hold."""


class KillTest:
    """All series on one queue."""

    def __init__(self, longhaul, model, folder, jobs, rng):
        self.longhaul, self.model, self.folder = longhaul, model, folder
        self.jobs = jobs
        self.rng = rng
        self.references = {}  # results and seconds by settings
        self.outputs = 0
        self.counts = {"runs": 0, "kills": 0, "stops": 0, "entries": 0, "again": 0}
        self.tolerant = compare.Tolerant()

    def summary(self):
        counts = self.counts
        return (f"{counts['runs']} runs, {counts['kills']} kills, {counts['stops']} stops; of {counts['entries']} "
                f"entries computed by runs that ended in order {counts['again']} had been saved before; "
                f"{self.tolerant.summary()}")

    # Runs

    def new_program(self):
        self.outputs += 1
        return Program(self.longhaul, self.model, self.folder, self.folder / f"out{self.outputs}")

    def reference(self, grid, chunk):
        """Results by id of an uninterrupted run, how long it took, and its entries."""
        key = (grid, chunk)
        if key not in self.references:
            program = self.new_program()
            run = program.start(grid, self.options(chunk, "off"))
            code = run.wait(LIMIT_S)
            results = {line["id"]: line for line in read_results(program.output / "results.jsonl")}
            if code != 1 or results.keys() != self.jobs.keys():
                raise Failed(f"the uninterrupted run on {grid} ended with {code}\n{run.log_tail()}")
            accounting = Accounting(self.jobs, results)
            computed, needed = computed_by(program), accounting.needed(set(), {}, set(results), {})
            if computed != needed:
                raise Failed(f"the uninterrupted run computed {computed} entries instead of {needed}")
            print(f"  reference on {grid}, chunk {chunk}: {run.elapsed_s():.1f} s, {computed} entries", flush=True)
            self.references[key] = (results, run.elapsed_s(), accounting)
        return self.references[key]

    @staticmethod
    def options(chunk, every):
        return ["--deterministic", "--chunk", str(chunk), "--checkpoint-every", every]

    # Series

    def random_kills(self, kills, same_grid):
        """Kills until the number is reached; a queue that is done makes room for a new one. A run that is done before
        its kill does not count.
        """
        print(f"{kills} random kills, resumed on " + ("the same grid" if same_grid else "other grids"), flush=True)
        while kills > 0:
            grid, chunk = self.rng.choice(GRIDS), self.rng.choice(CHUNKS)
            reference = self.reference(*((grid, chunk) if same_grid else (GRIDS[0], 128)))
            series = Series(self, reference)
            while not series.check.complete():
                if not same_grid:
                    grid, chunk = self.rng.choice(GRIDS), self.rng.choice(CHUNKS)
                plan = kill_plan.KillPlan(self.rng, reference[1]) if kills > 0 else None
                series.run(grid, chunk, self.rng.choice(INTERVALS), plan)
                kills -= 0 if series.check.complete() else 1
            series.compare_results(same_grid)

    def replicas_2_4_1(self):
        """What was saved survives runs that never save anything, on other numbers of replicas."""
        print("2, 4 and 1 replicas, each killed before its first epoch", flush=True)
        series = Series(self, self.reference(GRIDS[0], 128))
        stop = kill_plan.KillPlan(self.rng, 1.0, means=("SIGUSR1 to mpirun",), moments=("after a manifest",))
        series.run(Grid(2, 1, 1, 1), 128, "300-tokens", stop)
        saved = saved_positions(series.program.checkpoint)
        for replicas in (2, 4, 1):
            kill = kill_plan.KillPlan(self.rng, 1.0, means=("kill -9 of a rank",), moments=("soon after set-up",))
            series.run(Grid(replicas, 1, 1, 1), 128, "100000000-tokens", kill)
            now = saved_positions(series.program.checkpoint)
            lost = {name for name in saved.keys() - series.done() if now.get(name, -1) < saved[name]}
            if lost:
                raise Failed(f"what was saved of {sorted(lost)} has gone")
        series.run(Grid(1, 1, 1, 1), 128, "off", None)
        series.compare_results(same_grid=False)

    def kills_at_results(self):
        """Between a result's line and its acknowledgement, and before the line."""
        print("rank 0 killed before and after it writes a result", flush=True)
        grid = Grid(2, 1, 1, 1)
        series = Series(self, self.reference(GRIDS[0], 128))
        for place in ("before-result", "after-result"):
            number = self.rng.randint(1, 4)
            before = len(series.done())
            series.run(grid, 128, "300-tokens", kill_plan.Fault(place, number))
            written = len(series.done()) - before
            if written != number - (1 if place == "before-result" else 0):
                raise Failed(f"{written} results were written, killed {place} {number}")
        series.run(Grid(1, 2, 1, 1), 128, "300-tokens", None)
        series.compare_results(same_grid=False)


def computed_by(program):
    """Entries that the last orderly run computed on all replicas."""
    return json.loads((program.output / "run.json").read_text(encoding="utf-8"))["tokens"]["computed"]


class Series:
    """One output folder, from an empty one to the end of the queue."""

    def __init__(self, test, reference):
        self.test = test
        self.results, _, self.accounting = reference
        self.program = test.new_program()
        self.check = OutputCheck(self.program, test.jobs)

    def done(self):
        return {line["id"] for line in self.check.lines}

    def run(self, grid, chunk, every, plan):
        """One run, ended by the plan or by itself; then all that must hold."""
        options = self.test.options(chunk, every) + (plan.options() if plan else [])
        done, saved = self.done(), saved_positions(self.program.checkpoint)
        run = self.program.start(grid, options)
        if plan:
            plan.carry_out(run)
        acted_s = run.elapsed_s()
        code = run.wait(LIMIT_S)
        what = f"{grid}, chunk {chunk}, every {every}: {plan or 'not disturbed'}"
        if code is None:
            raise Failed(f"{what}: a hang\n{run.log_tail()}")
        state = read_state(self.program.output)
        orderly = state != run.old_state and state.get("state") != "running" and code in (0, 1, 75)
        problems = self.check.after_run(state, orderly)
        problems += self._code_problems(code, state, plan, orderly)
        if "was not saved well" in run.log.read_text(encoding="utf-8", errors="replace"):
            problems.append("a job began anew")
        counted = self._count(done, saved, problems) if orderly and not problems else ""
        print(f"  {what} after {acted_s:.1f} s -> {code}, {state.get('state')}, "
              f"{len(self.check.lines)} results{counted}", flush=True)
        if problems:
            raise Failed("; ".join(problems) + f"\n  in: {what}\n{run.log_tail()}")
        self.test.counts["runs"] += 1
        if not self.check.complete():
            self.test.counts["kills" if plan.is_kill else "stops"] += 1

    def _code_problems(self, code, state, plan, orderly):
        complete = self.check.complete()
        good = orderly and code == (1 if complete else 75)
        if plan is None:
            good = good and complete
        elif plan.is_kill:
            good = good or code in KILL_CODES
        elif not plan.on_time:
            good = good or not orderly  # a signal that comes before the program listens ends it like any other
        return [] if good else [f"exit code {code} with state {state.get('state')}, queue complete: {complete}"]

    def _count(self, done, saved, problems):
        """What was saved must not be computed again."""
        computed = computed_by(self.program)
        needed = self.accounting.needed(done, saved, self.done(), saved_positions(self.program.checkpoint))
        self.test.counts["entries"] += computed
        self.test.counts["again"] += max(0, computed - needed)
        if computed > needed:
            problems.append(f"{computed - needed} entries were computed again although they had been saved")
        return f", {computed} entries computed of {needed} needed"

    def compare_results(self, same_grid):
        results = {line["id"]: line for line in self.check.lines}
        problems = []
        for name, job in self.test.jobs.items():
            if same_grid:
                problems += compare.same_bits(self.results[name], results[name])
            else:
                self.test.tolerant.compare(job, self.results[name], results[name])
        problems += self.test.tolerant.problems
        if problems:
            raise Failed("; ".join(problems[:20]))
        shutil.rmtree(self.program.output)
