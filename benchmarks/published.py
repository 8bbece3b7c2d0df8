"""Published returns of on-policy learners at the same number of steps, for comparison with `benchmarks.learning`.

Sources: "Zoo" is benchmark.md of RL Baselines3 Zoo, one trained agent for each row and the spread over its episodes;
"Tianshou" is the MuJoCo benchmark among Tianshou's examples, ten seeds, for each the best evaluation within the first
million steps, and the spread over seeds; "10 seeds" are other runs with the same settings.

MuJoCo's environments changed between versions. v5 (ours) gives Ant and Humanoid contact forces to see and to pay for,
which were zero in v3 with MuJoCo 2.0; it pays Hopper and Walker2d for being healthy only while they are, and rewards
the pendulums differently. So a figure of another version is a guide, not a measurement of the same task.
"""

from __future__ import annotations

from typing import NamedTuple


class Figure(NamedTuple):
    """A mean return that somebody published."""

    mean: float
    spread: float | None
    of: str  # algorithm, source, environment's version


class Published(NamedTuple):
    """Beside one row of ours."""

    best: Figure
    """The best on-policy figure at these steps: over several seeds if published, else of one run."""
    a2c: Figure | None
    """The best of A2C itself."""
    record: Figure | None = None
    """A single run that did better than any mean over seeds."""


PUBLISHED: dict[str, Published] = {
    "CartPole-v1": Published(Figure(500, 0, "PPO, Zoo"), Figure(500, 0, "Zoo, 500 k steps")),
    "Acrobot-v1": Published(Figure(-73.5, 18.2, "PPO, Zoo, 1 M steps"), Figure(-83.4, 17.2, "Zoo")),
    "MountainCar-v0": Published(Figure(-107.3, 13.2, "TRPO, Zoo, 100 k steps"), Figure(-111.3, 24.1, "Zoo")),
    "MountainCarContinuous-v0": Published(Figure(92.5, 0.4, "TRPO, Zoo, 50 k steps"), Figure(91.2, 0.3, "Zoo")),
    "Pendulum-v1": Published(Figure(-163.0, 103.2, "A2C, Zoo"), Figure(-163.0, 103.2, "Zoo")),
    "LunarLander-v3": Published(Figure(242.1, 31.8, "PPO, Zoo, v2"), None),
    "LunarLander-v3, 200 k": Published(Figure(155.8, 80.4, "A2C, Zoo, v2"), Figure(155.8, 80.4, "Zoo, v2")),
    "LunarLanderContinuous-v3": Published(
        Figure(270.9, 32.1, "PPO, Zoo, v2"), Figure(84.2, 145.9, "Zoo, v2, 5 M steps")
    ),
    "LunarLanderContinuous-v3, 200 k": Published(Figure(262.4, 21.4, "TRPO, Zoo, v2"), None),
    "BipedalWalker-v3": Published(Figure(299.8, 23.5, "A2C, Zoo"), Figure(299.8, 23.5, "Zoo")),
    "HalfCheetah-v5": Published(
        Figure(5783.9, 1244.0, "PPO, Tianshou, v3"),
        Figure(3041.2, 157.3, "Zoo, v3, one run; Tianshou 1829.9 ± 1068.3"),
        Figure(5819.1, 663.5, "PPO, Zoo, v3"),
    ),
    "Hopper-v5": Published(
        Figure(2609.3, 700.8, "PPO, Tianshou, v3"),
        Figure(1253.2, 458.0, "Tianshou, v3"),
        Figure(3618.4, 356.8, "TRPO, Zoo, v3"),
    ),
    "Walker2d-v5": Published(
        Figure(3826.7, 782.7, "TRPO, Tianshou, v3"),
        Figure(1091.6, 709.2, "Tianshou, v3"),
        Figure(4933.1, 1452.5, "TRPO, Zoo, v3"),
    ),
    "Ant-v5": Published(
        Figure(3532, 355, "A2C, 10 seeds"),
        Figure(3532, 355, "10 seeds"),
        Figure(4982.3, 663.8, "TRPO, Zoo, v3"),
    ),
    "Humanoid-v5": Published(Figure(1766, 1235, "A2C, 10 seeds"), Figure(1766, 1235, "10 seeds")),
    "Humanoid-v5, 3 M": Published(Figure(5316.6, 554.8, "A2C, Tianshou, v3"), Figure(5316.6, 554.8, "Tianshou, v3")),
    "Swimmer-v5": Published(
        Figure(121, None, "TRPO, read off a plot of the PPO paper, v1"),
        Figure(36.6, 2.1, "Tianshou, v3; Zoo, one run 200.6 ± 2.5"),
        Figure(365.7, 2.1, "TRPO, Zoo, v3"),
    ),
    "Reacher-v5": Published(Figure(-4.1, 0.3, "PPO, Tianshou, v2"), Figure(-6.7, 2.3, "Tianshou, v2")),
    "InvertedPendulum-v5": Published(Figure(1000, 0, "PPO, Tianshou, v2"), Figure(1000, 0, "Tianshou, v2")),
    "InvertedDoublePendulum-v5": Published(
        Figure(9257.7, 277.4, "A2C, Tianshou, v2"), Figure(9257.7, 277.4, "Tianshou, v2")
    ),
}
