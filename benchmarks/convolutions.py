"""Speed of NatureCNN's convolutions on one thread, forward and backward to their parameters, beside PyTorch's.

    python -m benchmarks.convolutions --peers PYTHON

PYTHON is an interpreter with benchmarks/peers/requirements.txt installed. Rounds take turns; each has 80 images of
84 x 84 pixels with 4 channels, an update of 16 environments and 5 steps. The lower bound printed beside is the time of
the multiply-adds alone, at the speed of the best product of `benchmarks.kernels` on the same core.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np

from a2c.kernels.compiler import compiled
from a2c.kernels.conv import backward, convolutions_for, forward, turn
from a2c.kernels.vectors import numbers
from a2c.model.images import NATURE
from benchmarks.kernels import drawn, products
from benchmarks.measure import keep

SCRIPT = Path(__file__).parent / "peers" / "convolutions.py"
IMAGES, SIZE, CHANNELS = 80, (84, 84), 4
ROUNDS = 5


@compiled
def all_forward(laid_out, theta, image, room, images):
    for number in range(images):
        forward(laid_out, theta, image, 0, room, number * laid_out.room)


@compiled
def all_backward(laid_out, turned, image, room, gradients, gradient, zeros, one, images):
    for number in range(images):
        backward(
            laid_out, turned, image, 0, room, number * laid_out.room, gradients, 0, gradient, 0, zeros, one
        )  # fmt: skip


def multiply_adds() -> dict[str, float]:
    """How many of them each way has, for all images."""
    along, channels, ahead, back = SIZE[0], CHANNELS, 0, 0
    for number, layer in enumerate(NATURE.convolutions):
        along = (along - layer.kernel) // layer.stride + 1
        count = IMAGES * along**2 * layer.kernel**2 * channels * layer.filters
        ahead, back = (
            ahead + count,
            back + count * (2 if number else 1),
        )  # None for the image.
        channels = layer.filters
    return {"forward": ahead, "backward": back}


def ours(rounds: int) -> dict[str, float]:
    """Milliseconds of each way: the shortest of some rounds."""
    rng = np.random.default_rng(0)
    laid_out = convolutions_for(SIZE, CHANNELS, NATURE.convolutions)
    sizes = laid_out.parameters, laid_out.image, laid_out.gradients
    theta, image, gradients = (drawn(rng, size) for size in sizes)
    room, turned = numbers(IMAGES * laid_out.room), numbers(laid_out.turned)
    turn(laid_out, theta, turned)
    gradient, zeros, one = numbers(len(theta)), numbers(64), np.ones(1, np.float32)
    ways = {
        "forward": lambda: all_forward(laid_out, theta, image, room, IMAGES),
        "backward": lambda: all_backward(laid_out, turned, image, room, gradients, gradient, zeros, one, IMAGES),
    }
    shortest = {}
    for name, run in ways.items():
        run()
        seconds = []
        for _ in range(rounds):
            start = time.perf_counter()
            run()
            seconds.append(time.perf_counter() - start)
        shortest[name] = 1e3 * min(seconds)
    return shortest


def theirs(python: str, rounds: int) -> dict[str, dict[str, float]]:
    """The same by PyTorch, for each layout in memory."""
    command = [python, "-Wignore", str(SCRIPT), "--images", str(IMAGES), "--rounds", str(rounds)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, dict[str, float]] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    command_line = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    command_line.add_argument(
        "--peers", required=True, help="an interpreter with benchmarks/peers/requirements.txt installed"
    )
    options = command_line.parse_args()
    rounds: list[dict[str, Any]] = []
    for _ in range(ROUNDS):
        rounds.append({"ours": ours(7), **theirs(options.peers, 7)})
        print(json.dumps(rounds[-1]), flush=True)
    shortest = {
        name: {way: min(one[name][way] for one in rounds) for way in ("forward", "backward")} for name in rounds[0]
    }
    peak = max(result["gfma_per_s"] for result in products())
    arithmetic = {way: count / peak / 1e6 for way, count in multiply_adds().items()}
    for way in arithmetic:
        print(
            f"{way}: {', '.join(f'{name} {ms[way]:.1f} ms' for name, ms in shortest.items())}; "
            f"its arithmetic alone {arithmetic[way]:.1f} ms at {peak:.0f} GFMA/s"
        )
    keep(
        "convolutions",
        "python -m benchmarks.convolutions --peers PYTHON",
        {"rounds": rounds, "milliseconds": shortest, "arithmetic_alone": arithmetic, "peak_gfma_per_s": peak},
    )


if __name__ == "__main__":
    main()
