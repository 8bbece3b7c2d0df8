"""What is done with a folder, in process: acting, going on, the command line."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import numpy as np

from a2c.cli import main as command_line
from a2c.errors import EnvError
from a2c.policy import Policy
from faults.folders.verdict import Enough, WrongError, unlike_a_sentence


def act(policy: Policy) -> None:
    shape = policy.observation_space.shape or ()
    for obs in (np.zeros(shape, np.float32), np.full((3, *shape), 0.5)):
        for greedy in (True, False):
            action = policy.act(obs, greedy)
            policy.value(obs if obs.ndim > len(shape) else obs[None])
            for one in [action] if obs.ndim == len(shape) else action:
                if not policy.action_space.contains(np.asarray(one) if np.ndim(one) else one):
                    raise WrongError(f"the action {one!r} is not in {policy.action_space}")


def go_on(path: Path) -> None:
    from a2c.training import resume

    with _untrained():
        resume(path, total_steps=1_000)


@contextlib.contextmanager
def _untrained() -> Iterator[None]:
    """Raises Enough where a run would go on: how long that takes, its settings say."""
    from a2c.learner import Learner

    with (
        mock.patch.object(Learner, "update", side_effect=Enough),
        mock.patch("a2c.evaluation.Evaluator.evaluate", side_effect=Enough),
    ):
        yield


def call(words: list[str]) -> None:
    """A command line: 0, or 2 and one line, or 1 for an environment's error (which has a traceback of its own)."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), _untrained():
        code = command_line(words)
    lines = [line for line in err.getvalue().split("\n") if line and not line.startswith("a2c: skipped a newer")]
    said = [line for line in lines if line.startswith("a2c: ")]
    if (code == 0 and not said) or (words[0] == "replay" and code == 1):
        return
    if code == 1 and said:
        raise EnvError(0, "the command line", 0, 0, 0, said[0])
    if code != 2 or len(lines) != 1 or lines != said or out.getvalue():
        raise WrongError(f"exit code {code}, {err.getvalue()[:300]!r}")
    if fault := unlike_a_sentence(said[0]):
        raise WrongError(fault)
