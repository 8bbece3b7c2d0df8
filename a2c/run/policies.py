"""The policies of a run: the best by evaluation (`policy/`), that of the newest checkpoint, those in `policies/`."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from a2c import files
from a2c.config import Config
from a2c.errors import UserError
from a2c.evaluation import Evaluation
from a2c.policy import POLICY_FILES, Policy
from a2c.run import checkpoint, kept

BestOrFinal = Literal["best", "final"]
Which = BestOrFinal | int
"""The best policy by evaluation, that of the newest checkpoint, or the one saved after so many steps."""


def read(folder: Path, which: Which, config: Config) -> Policy:
    """Reads a policy of the run in a folder, with these settings. May import the network that they name.

    Raises:
        UserError: It is missing or damaged.
    """
    if isinstance(which, int) and not isinstance(which, bool) and which >= 0:
        return kept.read(folder, which, config)
    if which not in ("best", "final"):
        raise UserError(
            f"which is {which!r}; it must be 'best', 'final', or steps after which the run saved its policy"
        )
    if not (folder / "policy").is_dir():
        _put_back(folder)
    newer = checkpoint.newest(checkpoint.within(folder)).arrays if which == "final" else None
    return Policy.load(folder / "policy", newer, config.network)


def write(folder: Path, contents: Mapping[str, bytes]) -> Path:
    """Writes the files of the best policy into a run's folder; returns the folder of the policy.

    Raises:
        UserError: They cannot be written.
    """
    target = files.folder(folder / "policy")
    for name, data in contents.items():
        files.write_bytes(target / name, data)
    return target


def _put_back(folder: Path) -> None:
    """Restores the best policy, whose folder was removed, from the newest checkpoint.

    Raises:
        UserError: The run has none yet, or it cannot be written.
    """
    checkpoints = checkpoint.within(folder)
    contents = {} if checkpoint.is_empty(checkpoints) else checkpoint.newest(checkpoints).files
    if not contents:
        raise UserError(f"{folder} has no policy yet; the run must come to its first evaluation")
    target = write(folder, contents)
    warnings.warn(f"{target} was missing; it was restored from the newest checkpoint", stacklevel=4)


def in_words(which: Which, config: Config) -> str:
    """The name of a policy in messages.

    Example:
        >>> config = Config("CartPole-v1", num_envs=8, rollout_length=16, keep_policy_at=(1000,))
        >>> in_words("best", config), in_words(1000, config)
        ('best policy', 'policy after 1,024 steps')
    """
    return f"policy after {kept.settled(which, config):,} steps" if isinstance(which, int) else f"{which} policy"


class Best:
    """The best policy of a run under way: in memory, and, as soon as it can be written, in the run's folder.

    Attributes:
        steps: The steps of the run when it was its policy; None: there is none yet.
        mean: Its mean return in that evaluation; -inf if it was not evaluated, or the return is not finite.
        contents: Its files, by name.
    """

    def __init__(self, folder: Path) -> None:
        """There is no policy yet; `folder` is the run's."""
        self.steps: int | None = None
        self.mean = -math.inf
        self.contents: dict[str, bytes] = {}
        self._folder, self._is_written = folder, True

    def is_reached_by(self, mean: float) -> bool:
        """Whether a policy with this mean return replaces it. Of equals the later one does: it has learnt from more."""
        return self.steps is None or mean >= self.mean

    def replace(self, policy: Policy, steps: int, evaluation: Evaluation | None) -> None:
        """Makes this policy the best.

        Raises:
            UserError: It cannot be written now; the next `write` tries again.
        """
        notes = {}
        if evaluation is not None:
            self.mean = evaluation.mean if math.isfinite(evaluation.mean) else -math.inf
            notes["evaluation"] = evaluation.summary()
        self.steps, self.contents = steps, policy.to_files(steps=steps, **notes)
        self._is_written = False
        self.write()

    def write(self) -> None:
        """Writes it, unless it is written already.

        Raises:
            UserError: It cannot be written.
        """
        if not self._is_written:
            write(self._folder, self.contents)
            self._is_written = True

    def restore(self, steps: int | None, mean: float, contents: Mapping[str, bytes]) -> None:
        """Restores the policy that was best when a checkpoint was written.

        Raises:
            KeyError: One of its files is missing.
            UserError: It cannot be written.
        """
        self.steps, self.mean = steps, mean
        if steps is not None:
            self.contents = {name: contents[name] for name in POLICY_FILES}
            self._is_written = False
            self.write()
