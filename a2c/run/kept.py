"""Policies that a run keeps on its way, as they were after given steps: policies/step_000010000/ in its folder."""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from a2c import files
from a2c.config import Config
from a2c.errors import UserError
from a2c.policy import POLICY_FILES, Policy

_FOLDER = "policies"
_PATTERN = re.compile(r"step_(\d{9,18})")


def kept(folder: Path) -> dict[int, Path]:
    """The folders of the policies that the run in a folder kept, by steps, in order.

    Raises:
        UserError: Their folder is a link to somewhere else.
    """
    where = files.no_link(folder / _FOLDER)
    if not where.is_dir():
        return {}
    found = {
        int(match[1]): path
        for path in where.iterdir()
        if (match := _PATTERN.fullmatch(path.name)) and path.is_dir() and not path.is_symlink()
        if (path / POLICY_FILES[-1]).exists()  # It is written last.
    }
    return dict(sorted(found.items()))


def settled(steps: int, config: Config) -> int:
    """After how many steps the policy was kept that is named by these, as by those of `keep_policy_at`.

    Example:
        >>> config = Config("CartPole-v1", num_envs=8, rollout_length=16, keep_policy_at=(1000,))
        >>> settled(1000, config), settled(999, config)
        (1024, 999)
    """
    return config.whole_updates(steps) if steps in config.keep_policy_at else steps


def read(folder: Path, steps: int, config: Config) -> Policy:
    """The policy that a run kept after so many steps, or where `keep_policy_at` named them.

    Raises:
        UserError: It kept none there, or that is damaged.
    """
    there = kept(folder)
    path = there.get(settled(steps, config))
    if path is None:
        which = ", ".join(f"{number:,}" for number in there)
        has = f"it kept those after {which}" if there else "it kept none; --keep-policy-at of a2c train does"
        raise UserError(f"{folder} kept no policy after {steps:,} steps; {has}")
    return Policy.load(path, may_import=config.network)


def cut_back(folder: Path, steps: int) -> None:
    """Removes what the run in a folder kept after more steps than these, from which it goes on.

    Raises:
        UserError: Their folder is a link to somewhere else.
    """
    for later, path in kept(folder).items():
        if later > steps:
            with contextlib.suppress(OSError):
                shutil.rmtree(path)


def sweep(folder: Path) -> None:
    """Removes what a process that was killed left unfinished; nobody else may be writing.

    Raises:
        UserError: Their folder is a link to somewhere else.
    """
    where = files.no_link(folder / _FOLDER)
    for path in where.glob("step_*"):
        if path.is_dir() and not path.is_symlink():
            files.sweep(path)


class Keeper:
    """Keeps policies of a run under way; one that cannot be written now waits for the next time."""

    def __init__(self, folder: Path, config: Config) -> None:
        """None yet; the folder is the run's."""
        self._folder, self._waiting = folder, dict[int, Mapping[str, bytes]]()
        self._due = {config.whole_updates(steps) for steps in config.keep_policy_at}

    def is_due(self, steps: int) -> bool:
        """Whether the policy after so many steps is to be kept."""
        return steps in self._due

    def missed(self, steps: int) -> list[int]:
        """Steps after which a run that goes on from `steps` should have kept its policy, and did not."""
        there = kept(self._folder)
        return sorted(at for at in self._due if at < steps and at not in there)

    def keep(self, policy: Policy, steps: int) -> None:
        """Keeps a policy.

        Raises:
            UserError: It cannot be written now; `write` does so later.
        """
        self._waiting[steps] = policy.to_files(steps=steps)
        self.write()

    def write(self) -> None:
        """Writes those that wait.

        Raises:
            UserError: One cannot be written.
        """
        for steps in list(self._waiting):
            files.folder(self._folder / _FOLDER)
            where = files.folder(self._folder / _FOLDER / f"step_{steps:09d}")
            for name, data in self._waiting[steps].items():
                files.write_bytes(where / name, data)
            del self._waiting[steps]
