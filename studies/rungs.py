"""The rungs of the ladder: what each claims, and who is compared on what."""

from __future__ import annotations

from typing import NamedTuple

from studies.runs import Contestant


class Rung(NamedTuple):
    """A claim, and the contestants that it is measured on."""

    title: str
    contestants: tuple[Contestant, ...]
    tasks: tuple[str, ...]


def rollouts(num_envs: int, length: int) -> dict[str, int]:
    """Environments side by side, and steps of each."""
    return {"num_envs": num_envs, "rollout_length": length}


A2C = Contestant("A2C, 8 x 8", {})
"""The defaults: 8 environments, 8 steps, lambda 0.95."""

LONG_A2C = Contestant("A2C, 8 x 256", rollouts(8, 256))
PLAIN = Contestant("plain steps, 8 x 128", rollouts(8, 128))
NATURAL = Contestant("natural steps, 8 x 128", rollouts(8, 128) | {"actor_step": "natural"})
MEDIUM = Contestant("8 x 32, lambda 0.95", rollouts(8, 32))
LAMBDA_1 = Contestant("8 steps, lambda 1", {"gae_lambda": 1.0})

BOTH = ("CartPole-v1", "Acrobot-v1")
THREE = (*BOTH, "Pendulum-v1")

RUNGS: dict[str, Rung] = {
    "estimators": Rung(
        "From REINFORCE to A2C",
        (
            Contestant("REINFORCE", rollouts(1, 2048) | {"critic": "none"}),
            Contestant("REINFORCE with a baseline", rollouts(1, 2048) | {"critic": "baseline"}),
            Contestant("one-step actor-critic", rollouts(1, 1)),
            Contestant("one-step, rewards as they are", rollouts(1, 1) | {"normalize_returns": False}),
            LONG_A2C,
            A2C,
        ),
        BOTH,
    ),
    "environments": Rung(
        "One environment, 8, 32",
        (
            Contestant("1 x 8", rollouts(1, 8)),
            A2C,
            Contestant("32 x 8", rollouts(32, 8)),
            Contestant("1 x 256", rollouts(1, 256)),
            MEDIUM,
        ),
        BOTH,
    ),
    "horizon": Rung(
        "How far returns look",
        (
            Contestant("2 steps, lambda 1", rollouts(8, 2) | {"gae_lambda": 1.0}),
            LAMBDA_1,
            Contestant("32 steps, lambda 1", rollouts(8, 32) | {"gae_lambda": 1.0}),
            Contestant("128 steps, lambda 1", rollouts(8, 128) | {"gae_lambda": 1.0}),
            Contestant("32 steps, lambda 0", rollouts(8, 32) | {"gae_lambda": 0.0}),
            Contestant("32 steps, lambda 0.8", rollouts(8, 32) | {"gae_lambda": 0.8}),
            MEDIUM,
        ),
        BOTH,
    ),
    "entropy": Rung(
        "The entropy bonus",
        (A2C, *(Contestant(f"entropy bonus {c:g}", {"entropy_coef": c}) for c in (0.003, 0.01, 0.03))),
        BOTH,
    ),
    "advantages": Rung(
        "Normalised advantages",
        (
            Contestant("rewards as they are", {"normalize_returns": False}),
            Contestant("advantages normalised", {"normalize_returns": False, "normalize_advantage": True}),
            A2C,
            Contestant("both normalised", {"normalize_advantage": True}),
        ),
        THREE,
    ),
    "natural": Rung("The natural step", (A2C, PLAIN, NATURAL), THREE),
    "replay": Rung("A2C and DQN", (A2C, NATURAL), ("CartPole-v1-50k",)),
}


def contestants(names: list[str]) -> dict[str, list[Contestant]]:
    """Who is to be measured for some rungs, each once, by task."""
    found: dict[str, dict[str, Contestant]] = {}
    for name in names:
        for task in RUNGS[name].tasks:
            found.setdefault(task, {}).update((one.name, one) for one in RUNGS[name].contestants)
    return {task: list(those.values()) for task, those in found.items()}
