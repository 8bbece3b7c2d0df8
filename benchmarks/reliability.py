"""The cost of exact resuming: training speed with checkpoints every 30 s and recorded actions, and without either.

python -m benchmarks.reliability
"""

from __future__ import annotations

import contextlib
import functools
import sys
import tempfile
import time
import unittest.mock
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import a2c
from a2c.envs.history import History
from a2c.run.session import Session
from benchmarks.measure import alternate, keep, ratio

ROUNDS = 3
SECONDS = 32.0  # so that one checkpoint of every 30 s falls into each
SAFE, BARE = "checkpoints and record", "neither"

CASES: dict[str, dict[str, Any]] = {
    "CartPole-v1": {"hidden_sizes": (256,), "activation": "relu"},
    "HalfCheetah-v5": {"num_workers": 1, "normalize_observations": True, "normalize_returns": True},
}


class _TimeIsUp(Exception):  # noqa: N818
    pass


def rate(env: str, settings: dict[str, Any], safe: bool) -> float:
    """Steps per second of a whole run's loop, everything in it, from its first update to when time is up."""
    done: dict[str, float] = {}

    def update(self: Any, count: int, original: Any = Session.update) -> float:
        start = done.setdefault("start", time.perf_counter())
        if time.perf_counter() - start > SECONDS:
            done.update(seconds=time.perf_counter() - start, steps=self._learner.steps)
            raise _TimeIsUp
        return original(self, count)

    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        stack.enter_context(unittest.mock.patch("a2c.run.session.Session.update", update))
        stack.enter_context(unittest.mock.patch("a2c.run.session.Session.save_all"))
        if not safe:
            stack.enter_context(_no_record())
        with contextlib.suppress(_TimeIsUp):
            a2c.train(
                env, preset="none", run_dir=str(Path(folder)), total_steps=10**12, eval_every_steps=0, num_envs=8,
                rollout_length=8, save_every_seconds=30.0 if safe else 1e9, **settings,
            )  # fmt: skip
    return done["steps"] / done["seconds"]


@contextlib.contextmanager
def _no_record() -> Iterator[None]:
    nothing = {"append": lambda self, action: None, "begin": lambda self, *_: None, "mark": lambda self: None}
    with unittest.mock.patch.multiple(History, **nothing), unittest.mock.patch("a2c.run.session.Session.save"):
        # `mark` makes what `state` reads; nobody reads it here.
        yield


def main() -> None:
    results = {}
    for env, settings in CASES.items():
        rates = alternate(
            {SAFE: functools.partial(rate, env, settings, True), BARE: functools.partial(rate, env, settings, False)},
            ROUNDS,
        )
        share = ratio(rates, SAFE, BARE)
        print(f"{env}: {share['median']:.3f} ({share['lowest']:.3f} to {share['highest']:.3f})", file=sys.stderr)
        results[env] = {"steps_per_second": rates, "share": share}
    keep("reliability", "python -m benchmarks.reliability", {"environments": results})


if __name__ == "__main__":
    main()
