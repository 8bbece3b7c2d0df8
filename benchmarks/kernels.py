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


def products() -> list[dict[str, Any]]:
    """y = x W + b in our tiles and by BLAS."""
    rng, results = np.random.default_rng(0), []
    for rows, (inner, width) in itertools.product((8, 64, 256), ((4, 256), (16, 64), (64, 64), (256, 256), (512, 512))):
        a, b, bias = (rng.normal(size=size).astype(np.float32) for size in (rows * inner, inner * width, width))
        c = np.zeros(rows * width, np.float32)
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
        x, w = rng.normal(size=(2, max(rows, width) * inner)).astype(np.float32)
        bias, y = np.zeros(width, np.float32), np.zeros(rows * width, np.float32)
        narrow = microseconds(functools.partial(narrow_head, x, w, y, rows, inner, outputs))
        wide = microseconds(functools.partial(our_product, x, w, bias, y, rows, inner, width))
        results.append({"in": inner, "out": outputs, "along_inputs_us": narrow, "padded_us": wide})
        print(f"head {inner} -> {outputs}, {rows} rows: along inputs {narrow:.2f} us, padded {wide:.2f} us", flush=True)
    return results


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
    products = sum(int(layer[0] * layer[1]) for layer in network.layers)
    inner = sum(int(layer[0] * layer[1]) for layer in network.layers[1:heads]) + sum(
        int(layer[0] * layer[1]) for layer in network.layers[heads + 1 :]
    )
    arithmetic = {
        "acting: actor and critic": rows * products / peak / 1e3,
        "gradient": rows * (products + inner) / peak / 1e3,  # dL/dW of every layer, dL/dx of all but the first
    }
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
    }
    keep("kernels", "python -m benchmarks.kernels", results)


if __name__ == "__main__":
    main()
