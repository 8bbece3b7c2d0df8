"""Speed of the kernels: products beside BLAS, two layouts of heads, and the parts of an update beside the time that
their arithmetic alone would take.

    python -m benchmarks.kernels
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # Before NumPy: one thread against one thread.

import functools
import itertools
import time
from collections.abc import Callable
from typing import Any

import numba
import numpy as np

import a2c
from a2c.envs import make_envs
from a2c.kernels.compiler import compiled
from a2c.kernels.gradient import chunk_gradient
from a2c.kernels.heads import draw
from a2c.kernels.lanes import AS_IT_IS, LANES
from a2c.kernels.machine_code import program, source
from a2c.kernels.optimizer import adam
from a2c.kernels.passes import forward
from a2c.kernels.rollout import estimate, settle
from a2c.kernels.simd import dots, matmul
from a2c.kernels.vectors import numbers
from a2c.learner import Learner
from benchmarks.measure import keep

ROUNDS = 15


@compiled
def our_product(a, b, bias, c, rows, inner, width, times):
    for _ in range(times):
        matmul(a, 0, inner, 1, b, 0, width, bias, 0, 0, c, 0, width, rows, inner, width, AS_IT_IS, c, 0, 0)


@numba.njit(error_model="numpy")
def blas_product(a, b, bias, c, rows, inner, width, times):
    x, w, y = a.reshape((rows, inner)), b.reshape((inner, width)), c.reshape((rows, width))
    for _ in range(times):
        np.dot(x, w, y)
        for i in range(rows):
            for j in range(width):
                y[i, j] += bias[j]


@compiled
def narrow_head(x, w, y, rows, inner, outputs, times):
    for _ in range(times):
        for j in range(outputs):
            dots(x, 0, inner, w, j * inner, inner, np.float32(0), y, j, outputs, rows)


@compiled
def times_forward(network, first, last, chunk_rows, rows, times):
    for _ in range(times):
        for row in range(0, rows, chunk_rows):
            forward(network, first, last, row, row if network.keeps else 0, chunk_rows)


@compiled
def times_gradient(model, rollout, half, times):
    for _ in range(times):
        for chunk in range(len(model.work.chunks) - 1):
            chunk_gradient(model, rollout, chunk, 0, half)


@compiled
def times_adam(optimizer, theta, gradient, times):
    for _ in range(times):
        adam(optimizer, theta, gradient, 0, len(theta), 1.0, 1e-9)


@compiled
def times_env(advance, envs, count, length, times):
    for _ in range(times):
        for _ in range(length):
            advance(envs, 0, count, 0)


@compiled
def times_noise(factors, noise, columns, times):
    for update in range(times):
        draw(factors, 0, update, noise, columns, 0, len(noise) // columns)


@compiled
def times_estimate(rules, rollout, times):
    for _ in range(times):
        estimate(rules, rollout, 0, rollout.reward.shape[1])


@compiled
def times_settle(rules, books, rollout, times):
    for _ in range(times):
        settle(rules, books, rollout)


def microseconds(run: Callable[[int], Any], at_least: float = 2e-3) -> float:
    """Shortest of some rounds: what else runs on the machine can only add."""
    run(1)
    times = 1
    while True:
        start = time.perf_counter()
        run(times)
        seconds = time.perf_counter() - start
        if seconds > at_least:
            break
        times *= 4
    rounds = [seconds / times]
    for _ in range(ROUNDS):
        start = time.perf_counter()
        run(times)
        rounds.append((time.perf_counter() - start) / times)
    return 1e6 * min(rounds)


def drawn(rng: np.random.Generator, count: int) -> Any:
    """Random numbers that lie in memory as those of a network do."""
    found = numbers(count)
    found[:] = rng.normal(size=count)
    return found


def products() -> list[dict[str, Any]]:
    """y = x W + b in our tiles and by BLAS."""
    rng, results = np.random.default_rng(0), []
    for rows, (inner, width) in itertools.product((8, 64, 256), ((4, 256), (16, 64), (64, 64), (256, 256), (512, 512))):
        a, b, bias, c = (drawn(rng, size) for size in (rows * inner, inner * width, width, rows * width))
        ours, blas = (
            microseconds(functools.partial(product, a, b, bias, c, rows, inner, width))
            for product in (our_product, blas_product)
        )
        per_second = rows * inner * width / ours / 1e3
        result = {"rows": rows, "in": inner, "out": width, "tiles_us": ours, "blas_us": blas, "gfma_per_s": per_second}
        results.append(result)
        print(
            f"{rows} x {inner} -> {width}: tiles {ours:.2f} us ({per_second:.0f} GFMA/s), BLAS {blas:.2f} us",
            flush=True,
        )
    return results


def heads() -> list[dict[str, Any]]:
    """A head of few outputs: sums along its inputs, or a product padded to whole vectors."""
    rng, results, rows = np.random.default_rng(0), [], 8
    for inner, outputs in itertools.product((64, 256), (1, 2, 3, 4, 6, 8)):
        width = -(-outputs // LANES) * LANES
        x, w = drawn(rng, max(rows, width) * inner), drawn(rng, max(rows, width) * inner)
        bias, y = numbers(width), numbers(rows * width)
        narrow = microseconds(functools.partial(narrow_head, x, w, y, rows, inner, outputs))
        wide = microseconds(functools.partial(our_product, x, w, bias, y, rows, inner, width))
        results.append({"in": inner, "out": outputs, "along_inputs_us": narrow, "padded_us": wide})
        print(f"head {inner} -> {outputs}, {rows} rows: along inputs {narrow:.2f} us, padded {wide:.2f} us", flush=True)
    return results


def multiply_adds(config: a2c.Config, learner: Learner) -> dict[str, float]:
    """The multiply-adds of an update, by part: of every matrix product that its formulas have, once."""
    shapes = {name: shape for name, shape in learner._architecture.shapes().items() if name.endswith("weight")}
    rows, memory = config.steps_per_update, config.memory_size
    whole = {name: int(np.prod(shape)) for name, shape in shapes.items()}
    # dL/dx of every layer whose inputs are computed: the memory's outputs are, observations are not.
    propagated = {name: count for name, count in whole.items() if name not in ("memory.weight", *_FIRST)}
    propagated |= {name: memory * shapes[name][1] for name in _FIRST}

    def of(prefix: str, *counts: dict[str, int]) -> int:
        return sum(count for one in counts for name, count in one.items() if name.startswith(prefix))

    acting = rows * of("", whole) + config.num_envs * (of("critic", whole) + of("memory", whole))
    found = {"acting: actor and critic": acting, "gradient": rows * of("", whole, propagated)}
    if config.actor_step == "natural":
        once = of("actor", whole, propagated)  # in the tangents, and as much again on the way back
        found["products with the Fisher matrix"] = config.natural_products * rows * 2 * once
        found["passes of the critic"] = config.critic_epochs * rows * of("critic", whole, whole, propagated)
    return found | {"whole update": sum(found.values())}


_FIRST = "actor.0.weight", "critic.0.weight"


def whole_update(name: str, peak: float, **settings: Any) -> dict[str, Any]:
    """An update of CartPole-v1 on one thread beside its multiply-adds at the best product's speed."""
    config = a2c.Config("CartPole-v1", num_threads=1, **settings)
    learner = Learner(config, make_envs("CartPole-v1", config.num_envs, vectorization="compiled"))
    learner.update(3)
    took = microseconds(lambda times: learner.update(times), at_least=5e-2)
    alone = multiply_adds(config, learner)["whole update"] / peak / 1e3
    print(f"{name}: whole update {took:.1f} us, its arithmetic alone {alone:.1f}", flush=True)
    return {"name": name, "settings": settings, "microseconds": took, "arithmetic_alone": alone}


def parts(num_envs: int, hidden_sizes: tuple[int, ...], activation: str, peak: float) -> dict[str, Any]:
    """The parts of an update of CartPole-v1 on one thread, beside their multiply-adds at the best product's speed."""
    length = 8
    config = a2c.Config(
        "CartPole-v1",
        num_envs=num_envs,
        rollout_length=length,
        hidden_sizes=hidden_sizes,
        activation=activation,
        num_threads=1,
    )
    envs = make_envs("CartPole-v1", num_envs, vectorization="compiled")
    learner = Learner(config, envs)
    learner.update(10)
    training, arrays, advance = learner._fused._training, envs.stepper.arrays, envs.stepper.machine_code.advance
    stepping = program(env=source(times_env, advance, arrays, num_envs, length, 0))["env"]
    times_stepping = stepping.bound(advance, arrays, num_envs, length)
    model, rules, books, rollout = training.model, training.rules, training.books, training.rollout
    network, work = model.network, model.work
    rows, heads = num_envs * length, network.actor_layers
    chunk_rows = int(work.chunks[1] - work.chunks[0])
    half = len(work.scratch) // 2
    noise = rollout.noise.reshape(-1)
    work.stamps[:] = work.stamp[0]  # As after acting: the gradient uses its activations.
    run = {
        "acting: actor and critic": lambda times: [
            times_forward(network, first, first + heads, chunk_rows, rows, times) for first in (0, heads)
        ],
        "environments": times_stepping,
        "noise": lambda times: times_noise(model.loss.factors, noise, rollout.noise.shape[2], times),
        "advantages": lambda times: times_estimate(rules, rollout, times),
        "books": lambda times: times_settle(rules, books, rollout, times),
        "gradient": lambda times: times_gradient(model, rollout, half, times),
        "Adam": lambda times: times_adam(training.optimizer, network.theta, work.gradients, times),
    }
    us = {name: microseconds(function) for name, function in run.items()}
    us["whole update"] = microseconds(lambda times: learner.update(times))
    arithmetic = {name: count / peak / 1e3 for name, count in multiply_adds(config, learner).items()}
    for name, value in us.items():
        alone = f", its arithmetic alone {arithmetic[name]:.1f}" if name in arithmetic else ""
        print(f"{num_envs} x {length}, {hidden_sizes} {activation}: {name} {value:.1f} us{alone}", flush=True)
    return {
        "num_envs": num_envs,
        "rollout_length": length,
        "hidden_sizes": list(hidden_sizes),
        "activation": activation,
        "microseconds": us,
        "arithmetic_alone": arithmetic,
    }


def main() -> None:
    by_product = products()
    peak = max(result["gfma_per_s"] for result in by_product)
    results = {
        "products": by_product,
        "heads": heads(),
        "peak_gfma_per_s": peak,
        "parts": [
            parts(8, (256,), "relu", peak),
            parts(64, (256,), "relu", peak),
            parts(1024, (256,), "relu", peak),
            parts(8, (64, 64), "tanh", peak),
        ],
        "whole_updates": [
            whole_update("GRU of 64", peak, rollout_length=16, hidden_sizes=(64,), memory_size=64),
            whole_update(
                "natural step", peak, rollout_length=256, hidden_sizes=(64, 64), activation="tanh", actor_step="natural"
            ),
        ],
    }
    keep("kernels", "python -m benchmarks.kernels", results)


if __name__ == "__main__":
    main()
