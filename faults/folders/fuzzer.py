"""Fuzzer: damages copies of good runs in a sandbox, and uses them."""

from __future__ import annotations

import contextlib
import io
import multiprocessing
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import gymnasium

import a2c
from a2c.commands.plot import draw
from a2c.commands.report import write_report
from a2c.errors import EnvError, UserError
from a2c.run import checkpoint
from a2c.run.folder import Run
from faults.folders.copies import OUTPUTS, Copy
from faults.folders.good import WornOutError, inside, make_good_runs
from faults.folders.json_values import MODULE
from faults.folders.mutations import mutate
from faults.folders.uses import act, call, go_on
from faults.folders.verdict import WARNINGS, Enough, Finding, in_a_line, limit, ours, unlike_a_sentence
from faults.folders.watch import Watch

MEMORY = 8 << 30
"""Bytes beyond what the process has: who asks for more gets a MemoryError instead of this machine."""


class Fuzzer:
    """Mutates runs in a sandbox, and uses them.

    There, run is the copy that is used, good is what is copied; bait, cwd, the working folder, and tmp, that of
    temporary files, must stay as they are; modules is on sys.path.
    """

    def __init__(self, sandbox: Path, seed: int) -> None:
        self.sandbox, self.seed = sandbox.resolve(), seed
        self.run, self.bait = self.sandbox / "run", self.sandbox / "bait"
        for name in ("cwd", "modules", "good", "tmp"):
            (self.sandbox / name).mkdir()
        marker = repr(str(self.bait / "executed"))
        (self.sandbox / "modules" / f"{MODULE}.py").write_text(f"import os\nos.mkdir({marker})\n")
        self.good = make_good_runs(self.sandbox / "good")
        self._lay_bait()
        self._watch = Watch()
        self.uses = self.refused = 0
        self.keep: Path | None = None
        """Where to leave a copy of what was used."""

    def warm_up(self) -> None:
        """Uses a good run in every way: what is imported and compiled for it is not a mutation's doing."""
        for name, path in self.good.items():
            shutil.copytree(path, self.run)
            self._use(self.run, lambda odds: odds > 0, name)
            shutil.rmtree(self.run)

    def mutated(self, index: int) -> list[Finding]:
        """Makes the mutation of this number, uses what came of it, and says what was wrong."""
        rng = random.Random(f"{self.seed}:{index}")
        name = rng.choice(sorted(self.good))
        shutil.copytree(self.good[name], self.run)
        try:
            said = f"{name}/" + mutate(Copy(rng, self.run, self.bait))
            faults = self._use(self.run, lambda odds: rng.random() < odds, said)
            if self._listing() != self._bait:
                faults.append(("afterwards", "OUTSIDE: the bait is not what it was"))
                self._lay_bait()
        finally:
            if self.keep:
                subprocess.run(["cp", "-a", self.run, self.keep], check=True)  # pipes and holes, too
            shutil.rmtree(self.run)
        return [Finding(index, said.replace(str(self.sandbox), "SANDBOX"), *fault) for fault in faults]

    def _lay_bait(self) -> None:
        shutil.rmtree(self.bait, ignore_errors=True)
        (self.bait / "folder").mkdir(parents=True)
        for name in ("keep.txt", "folder/keep.txt"):
            (self.bait / name).write_text("not yours")
        shutil.copytree(self.good["compiled"], self.bait / "run")
        self._bait = self._listing()

    def _listing(self) -> dict[str, bytes | None]:
        """Everything outside the run's folder that could be harmed."""
        paths = [path for name in ("bait", "cwd", "tmp") for path in sorted((self.sandbox / name).rglob("*"))]
        return {str(path): None if path.is_dir() else path.read_bytes() for path in paths}

    def _use(self, path: Path, often: Callable[[float], bool], said: str) -> list[tuple[str, str]]:
        """Uses a run's folder in every way.

        Args:
            path: The folder.
            often: Whether to do what is slow, which should happen this often.
            said: What was mutated.
        """
        faults: list[tuple[str, str]] = []

        def attempt(name: str, use: Callable[[], Any]) -> Any:
            result, fault = self._attempt(use)
            self.uses += 1
            if fault:
                faults.append((name, fault))
            return result

        run = attempt("Run", lambda: Run(path))
        attempt("checkpoint.newest", lambda: checkpoint.newest(path / "checkpoints"))
        if run is not None:
            attempt("summary", lambda: run.summary)
            attempt("stopped_by", lambda: run.stopped_by)
            attempt("metrics", run.metrics)
            for which in ("best", "final"):
                policy = attempt(f"policy {which}", lambda which=which: a2c.load(path, which))
                if policy is not None:
                    attempt(f"act {which}", lambda policy=policy: act(policy))
            about_config = 3.0 if "config.json" in said or "safetensors" in said else 1.0
            if often(0.1 * about_config):
                attempt("evaluate", lambda: run.evaluate(episodes=1))
            if often(0.2 if "metrics" in said or "/env_id" in said else 0.005):
                attempt("plot", lambda: draw([run], path / "curve.png"))
            if often(0.3 if any(name in said for name in ("metrics", "summary", "evaluation", "/env_id")) else 0.02):
                attempt("report", lambda: write_report(run, path / "report.html"))
        verbs = {
            "replay": (0.5 if "failure." in said else 0.02, []),
            "resume": (0.03, ["--total-steps", "1000"]),
            "evaluate": (0.03, ["--episodes", "1"]),
            "export": (0.02, ["--to", "pdparams"]),
            "plot": (0.003, []),
            "report": (0.003, []),
            "record": (0.003, ["--max-steps", "3"]),
        }
        for verb, (odds, flags) in verbs.items():
            if often(1.0 if f"output {OUTPUTS.get(verb)}" in said else odds):
                attempt(f"a2c {verb}", lambda words=[verb, str(path), *flags]: call(words))
        if run is not None and often(0.4):
            attempt("resume", lambda: go_on(path))  # Last: it cuts files back to the checkpoint.
        return faults

    def _attempt(self, use: Callable[[], Any]) -> tuple[Any, str]:
        """Result and fault of one use: one of them, or neither where it was refused as it should be."""
        result, fault = None, ""
        out, unraisable = io.StringIO(), []
        with (
            warnings.catch_warnings(record=True) as warned,
            self._watch.over(self.run) as seen,
            mock.patch("sys.unraisablehook", lambda raised: unraisable.append(raised.exc_value)),
            limit(),
        ):
            warnings.simplefilter("always")
            try:
                with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
                    result = use()
            except UserError as error:
                fault = unlike_a_sentence(str(error))
                self.refused += 1
            except EnvError as error:
                if not self._has_another_env():
                    fault = f"EnvError: {str(error).splitlines()[-1]}"
            except (Enough, WornOutError):
                pass
            except (KeyboardInterrupt, GeneratorExit):
                raise
            except BaseException as error:  # noqa: BLE001 - which ones there are is the question
                fault = in_a_line(error)
            if out.getvalue() and not fault:
                fault = f"printed {out.getvalue()[:200]!r}"
        for warning in warned:
            if not any(words in str(warning.message) for words in WARNINGS):
                fault = fault or f"{warning.category.__name__}: {warning.message} ({ours(warning)})"
        if seen:
            fault = f"OUTSIDE: {seen[0]}"
        if unraisable:
            fault = fault or f"UNRAISABLE {in_a_line(unraisable[0])}"
        if multiprocessing.active_children():
            fault = fault or "a process is left behind"
        return result, fault.replace(str(self.sandbox), "SANDBOX")

    def _has_another_env(self) -> bool:
        """Whether the folder names another environment, or arguments for it: that one may raise."""
        with contextlib.suppress(UserError):
            config = Run(self.run).config
            return bool(config.env_kwargs) or config.env_id not in ("CartPole-v1", "Pendulum-v1")
        return True


@contextlib.contextmanager
def fuzzer(seed: int) -> Iterator[Fuzzer]:
    """A fuzzer in a sandbox of its own, in memory where the system has such a folder; its limits hold in the block."""
    shared = "/dev/shm"
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    with tempfile.TemporaryDirectory(
        dir=shared if os.access(shared, os.W_OK) else None, prefix="a2c-faults-"
    ) as folder:
        one = Fuzzer(Path(folder), seed)
        sys.path.insert(0, str(one.sandbox / "modules"))
        try:
            # Its own: where temporary files are, others' leftovers may be, which are swept.
            with inside(one.sandbox / "cwd"), mock.patch("tempfile.tempdir", str(one.sandbox / "tmp")):
                one.warm_up()
                used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
                resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, hard))
                yield one
        finally:
            resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
            sys.path.remove(str(one.sandbox / "modules"))
            gymnasium.registry.pop("Failing-v0", None)


def campaign(count: int, seed: int, say: Callable[[str], Any] = lambda text: None) -> list[Finding]:
    """Makes this many mutations; returns the findings."""
    findings: list[Finding] = []
    with fuzzer(seed) as one:
        start = time.perf_counter()
        for index in range(count):
            findings += one.mutated(index)
            if (index + 1) % 1000 == 0:
                seconds = time.perf_counter() - start
                done = f"{index + 1:,} mutations, {one.uses:,} uses ({one.refused:,} refused), {seconds:.0f} s"
                say(f"{done}: {len(findings)} findings")
    return findings
