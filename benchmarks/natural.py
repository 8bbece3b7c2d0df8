"""The time of each part of a natural step.

python -m benchmarks.natural
python -m benchmarks.natural --table      the table of docs/natural_step.md, from the results

A rollout of 8 x 256 rows with the observations (17 numbers) and actions (6) of HalfCheetah, networks of 64-64 tanh, one
thread; milliseconds of processor time, the least of 20.
"""

from __future__ import annotations

import functools
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from gymnasium import spaces

import a2c
from a2c.engines.choice import choose_engine, team_for
from a2c.kernels.natural import advance, begin
from a2c.model.architecture import architecture_for
from a2c.model.blocks import initial_parameters
from a2c.natural import NaturalStep
from a2c.optimizers import Optimizer
from a2c.rollout import rollout_for
from benchmarks.measure import keep, kept

_PAGE = Path(__file__).parent.parent / "docs" / "natural_step.md"


def milliseconds(work: Callable[[], object]) -> float:
    """The least time of 20."""
    times = []
    for _ in range(20):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return round(1000 * min(times), 3)


def with_table(page: str) -> str:
    """The page with the table of the committed results."""
    found = kept("natural")["milliseconds"]
    rows = "\n".join(f"| {name} | {value:.2f} ms |" for name, value in found.items())
    begin, end = "<!-- table -->\n", "\n<!-- end of table -->"
    before, _, rest = page.partition(begin)
    return f"{before}{begin}| part | time |\n|---|---|\n{rows}{end}{rest.partition(end)[2]}"


def main() -> None:
    if sys.argv[1:] == ["--table"]:
        _PAGE.write_text(with_table(_PAGE.read_text()))
        return
    measure()


def measure() -> None:
    """Takes the times, and keeps them."""
    config = a2c.Config(
        "none", engine="compiled", num_envs=8, rollout_length=256, actor_step="natural", num_threads=1
    )  # fmt: skip
    observed, acted = spaces.Box(-1, 1, (17,)), spaces.Box(-1, 1, (6,))
    architecture = architecture_for(observed, acted, config.hidden_sizes, config.activation, normalizes=True)
    team = team_for(config, architecture)
    engine = choose_engine(config, architecture, 0, team)
    optimizer = Optimizer(config, len(engine.theta), engine.views, team)
    for name, array in initial_parameters(architecture, "orthogonal", -0.7, 0).items():
        engine.views(engine.theta)[name][...] = array
    engine.follow()
    rollout, rng = rollout_for(architecture, 256, 8, 0, False), np.random.default_rng(0)
    for array in (rollout.inputs, rollout.action, rollout.advantage, rollout.returns):
        array[...] = rng.normal(size=array.shape)
    step, minibatch = NaturalStep(config, engine), rng.permutation(2048)[: config.critic_minibatch]
    gradient = engine.gradient(rollout)[0].copy()
    begin(step.natural, gradient)
    direction = step.natural.direction.copy()
    step.natural.product[...] = engine.fisher(rollout, direction)
    parts = {
        "gradient": functools.partial(engine.gradient, rollout),
        "a product with the Fisher matrix": functools.partial(engine.fisher, rollout, direction),
        "an iteration of conjugate gradients beside it": functools.partial(advance, step.natural),
        "the critic's gradient on 128 rows": functools.partial(engine.critic_gradient, rollout, minibatch),
        "a step of Adam": functools.partial(optimizer.step, engine.theta, gradient, 1e-9),
        "a whole update: 10 products, 10 passes of the critic": functools.partial(
            step.learn, engine, optimizer, rollout, 0, 1e-9
        ),
    }
    found = {name: milliseconds(work) for name, work in parts.items()}
    for name, value in found.items():
        print(f"{name}: {value:.2f} ms")
    keep("natural", "python -m benchmarks.natural", {"milliseconds": found})


if __name__ == "__main__":
    main()
