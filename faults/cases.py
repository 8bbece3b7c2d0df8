"""The environments and settings that are trained while faults are injected."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

COMMON: dict[str, Any] = {
    "save_every_seconds": 0.3,
    "normalize_observations": True,
    "normalize_returns": True,
    "eval_episodes": 2,
    "final_eval_episodes": 5,
}

_WORKERS: dict[str, Any] = {"num_workers": 2, "num_envs": 6, "rollout_length": 16}


@dataclasses.dataclass(frozen=True)
class Case:
    """An environment and the settings of its runs."""

    env_id: str
    settings: Mapping[str, Any]
    short_steps: int
    """total_steps of a run with a handful of updates."""

    @property
    def has_workers(self) -> bool:
        """Whether the run has worker processes."""
        return bool(self.settings.get("num_workers"))

    @property
    def hanging(self) -> Case:
        """The same case with every environment in a worker, where a file can make it hang (`faults.envs`)."""
        settings = {**self.settings, "isolate_envs": True, "env_timeout_seconds": 1.0}
        return dataclasses.replace(
            self, env_id=f"faults.envs:Hanging{self.env_id.rpartition(':')[2]}", settings=settings
        )

    def but(self, **settings: Any) -> Case:
        """The same case with other settings."""
        return dataclasses.replace(self, settings={**self.settings, **settings})

    def words(self, seed: int) -> list[str]:
        """The words after `a2c train`."""
        words = [self.env_id, "--preset", "none", "--no-pictures", "--seed", str(seed)]
        for name, value in self.settings.items():
            flag = "--" + name.replace("_", "-")
            if isinstance(value, bool):
                words.append(flag if value else "--no-" + name.replace("_", "-"))
            else:
                words += [flag, str(value)]
        return words


def _case(env_id: str, steps: int, short_steps: int, **settings: Any) -> Case:
    """A case whose undisturbed run evaluates about ten times and writes about fifty rows of metrics."""
    paces = {"total_steps": steps, "eval_every_steps": steps // 10, "log_every_steps": steps // 50}
    return Case(env_id, {**COMMON, **paces, **settings}, short_steps)


# Training takes 1 to 3 seconds of each run, so that most kills come after training has begun.
CASES = {
    "compiled-cartpole": _case("CartPole-v1", 2_000_000, 6_000, num_envs=8, rollout_length=8),
    "cartpole-2-workers": _case("CartPole-v1", 30_000, 800, vectorization="workers", **_WORKERS),
    "lunarlander": _case("LunarLander-v3", 15_000, 800, **_WORKERS),
    # Scaled images; randomness from the environment's own spaces; one environment for all evaluations.
    "pixels-2-workers": _case(
        "faults.envs:Pixels-v0", 20_000, 800, normalize_observations=False, eval_num_envs=1, **_WORKERS
    ),
    # Images that go through convolutions.
    "camera-2-workers": _case(
        "faults.envs:Camera-v0",
        15_000,
        800,
        normalize_observations=False,
        learning_rate=3e-4,
        hidden_sizes=16,
        **_WORKERS,
    ),
    # The same with memory, and a critic with convolutions of its own.
    "apart-2-workers": _case(
        "faults.envs:Camera-v0",
        15_000,
        800,
        normalize_observations=False,
        learning_rate=3e-4,
        hidden_sizes=16,
        share_torso=False,
        memory_size=16,
        **_WORKERS,
    ),
    # Settings for games: stacked frames, a lost life as a termination, clipped rewards.
    "lives-2-workers": _case(
        "faults.envs:Lives-v0",
        10_000,
        800,
        normalize_observations=False,
        normalize_returns=False,
        frame_stack=3,
        terminal_on_life_loss=True,
        clip_rewards=True,
        learning_rate=3e-4,
        hidden_sizes=16,
        **_WORKERS,
    ),
    # Nested observations, a choice and a number as the action, masks; it raises at a forbidden action.
    "nested-2-workers": _case("faults.envs:Nested-v0", 15_000, 800, **_WORKERS),
    # The same with natural steps: the order of the critic's minibatches must follow from the seed and the update.
    "natural-2-workers": _case(
        "faults.envs:Nested-v0", 15_000, 800, actor_step="natural", critic_epochs=4, critic_minibatch=40, **_WORKERS
    ),
    # The same with memory: the carry in the middle of an episode must be in the checkpoint.
    "memory-2-workers": _case("faults.envs:Nested-v0", 15_000, 800, memory_size=16, **_WORKERS),
    # Collected ahead: what chooses the next rollout's actions must be in the checkpoint, too.
    "ahead-2-workers": _case("faults.envs:Nested-v0", 15_000, 800, memory_size=16, collect="ahead", **_WORKERS),
    # Returns as they were observed, nothing bootstrapped.
    "reinforce-2-workers": _case(
        "CartPole-v1", 30_000, 800, vectorization="workers", critic="baseline", **_WORKERS | {"rollout_length": 100}
    ),
    # A network of the run's own, differentiated by Paddle: what its constructor draws is in the checkpoint.
    "own-network-2-workers": _case("faults.envs:Nested-v0", 15_000, 800, network="faults.nets:Residual", **_WORKERS),
    "halfcheetah": _case("HalfCheetah-v5", 15_000, 800, **_WORKERS),
}

INEXACT = {"bipedalwalker": _case("BipedalWalker-v3", 20_000, 800, **_WORKERS)}
"""Environments whose episodes cannot be replayed: training continues, and the run must say that it is not exact."""
