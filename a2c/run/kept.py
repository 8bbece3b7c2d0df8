"""Policies that a run saves after given steps (`keep_policy_at`): policies/step_000010000/ in its folder."""

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
    """The folders of the saved policies of a run, by steps, in order.

    Raises:
        UserError: Their folder is a link to somewhere else.
    """
    parent = files.no_link(folder / _FOLDER)
    if not parent.is_dir():
        return {}
    found = {
        int(match[1]): path
        for path in parent.iterdir()
        if (match := _PATTERN.fullmatch(path.name)) and path.is_dir() and not path.is_symlink()
        if (path / POLICY_FILES[-1]).exists()  # It is written last.
    }
    return dict(sorted(found.items()))


def settled(steps: int, config: Config) -> int:
    """The steps after which a policy was saved: those of `keep_policy_at` are rounded up to whole updates.

    Example:
        >>> config = Config("CartPole-v1", num_envs=8, rollout_length=16, keep_policy_at=(1000,))
        >>> settled(1000, config), settled(999, config)
        (1024, 999)
    """
    return config.whole_updates(steps) if steps in config.keep_policy_at else steps


def read(folder: Path, steps: int, config: Config) -> Policy:
    """The policy that a run saved after so many steps; they may be as in `keep_policy_at`, not rounded.

    Raises:
        UserError: There is none, or it is damaged.
    """
    saved = kept(folder)
    path = saved.get(settled(steps, config))
    if path is None:
        which = ", ".join(f"{number:,}" for number in saved)
        has = f"it has those after {which}" if saved else "it has none; a2c train --keep-policy-at saves them"
        raise UserError(f"{folder} has no policy after {steps:,} steps; {has}")
    return Policy.load(path, may_import=config.network)


def cut_back(folder: Path, steps: int) -> None:
    """Removes policies saved after more steps than these, from which the run goes on.

    Raises:
        UserError: Their folder is a link to somewhere else.
    """
    for later, path in kept(folder).items():
        if later > steps:
            with contextlib.suppress(OSError):
                shutil.rmtree(path)


def sweep(folder: Path) -> None:
    """Removes unfinished files of killed processes; no other process may be writing.

    Raises:
        UserError: Their folder is a link to somewhere else.
    """
    for path in files.no_link(folder / _FOLDER).glob("step_*"):
        if path.is_dir() and not path.is_symlink():
            files.sweep(path)


class Keeper:
    """Saves the policies of `keep_policy_at` while a run trains; one that cannot be written now waits."""

    def __init__(self, folder: Path, config: Config) -> None:
        """Nothing is saved yet.

        Args:
            folder: The run's.
            config: Its settings.
        """
        self._folder, self._waiting = folder, dict[int, Mapping[str, bytes]]()
        self._due = {config.whole_updates(steps) for steps in config.keep_policy_at}

    def is_due(self, steps: int) -> bool:
        """Whether to save the policy after so many steps."""
        return steps in self._due

    def missed(self, steps: int) -> list[int]:
        """The steps before `steps`, from which a run goes on, whose policy should have been saved but was not."""
        saved = kept(self._folder)
        return sorted(at for at in self._due if at < steps and at not in saved)

    def keep(self, policy: Policy, steps: int) -> None:
        """Saves a policy.

        Raises:
            UserError: It cannot be written now; the next `write` tries again.
        """
        self._waiting[steps] = policy.to_files(steps=steps)
        self.write()

    def write(self) -> None:
        """Writes the waiting policies.

        Raises:
            UserError: One cannot be written.
        """
        for steps in list(self._waiting):
            files.folder(self._folder / _FOLDER)
            target = files.folder(self._folder / _FOLDER / f"step_{steps:09d}")
            for name, data in self._waiting[steps].items():
                files.write_bytes(target / name, data)
            del self._waiting[steps]
