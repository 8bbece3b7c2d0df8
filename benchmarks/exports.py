"""How fast exported policies act, one observation at a time, and how large they are.

python -m benchmarks.exports            measures, and writes the results
python -m benchmarks.exports --table    writes them into docs/export.md

Times are processor time, so that other programs on the machine do not count. Everything runs on one thread.
"""

from __future__ import annotations

import importlib.util
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from gymnasium import spaces
from threadpoolctl import threadpool_limits

import a2c
from a2c.commands.export import export
from a2c.exports.description import description_of
from a2c.exports.operations import Description
from a2c.model.architecture import architecture_for
from a2c.model.blocks import initial_parameters
from a2c.moments import Moments
from a2c.policy import Policy
from benchmarks.markers import filled
from benchmarks.measure import keep, kept

_PAGE = Path(__file__).parent.parent / "docs" / "export.md"
_GCC = ["gcc", "-std=c99", "-Wall", "-Wextra", "-Werror"]
_SECONDS, _ROUNDS = 0.2, 5
_TIMER = """
#include <stdio.h>
#include <time.h>
int main(int count, char **unused)
{
    static float obs[A2C_OBS];
    float action[A2C_ACTIONS], sum = 0.0f;
    (void)unused;
    struct timespec from, to;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);
    for (int i = 0; i < CALLS; i++) {
        /* Each observation needs the action before: calls cannot overlap, nor be left out. */
        obs[i % A2C_OBS] = 0.01f * (float)(i % 7) + 0.001f * action_of(obs, action);
        sum += action[0];
    }
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &to);
    printf("%.6f %g\\n", ((to.tv_sec - from.tv_sec) * 1e9 + (to.tv_nsec - from.tv_nsec)) / CALLS * 1e-3, sum * count);
}
"""


def policies() -> dict[str, Policy]:
    """CartPole's, trained, and ones of larger sizes with initial parameters: the time is the same."""
    with tempfile.TemporaryDirectory() as folder:
        settings = {"total_steps": 20_000, "final_eval_episodes": 0, "run_dir": folder}
        cartpole = a2c.train("CartPole-v1", **settings).policy()
    return {
        "CartPole-v1, 64-64 tanh": cartpole,
        "HalfCheetah-v5, 64-64 tanh": _initial(spaces.Box(-np.inf, np.inf, (17,)), spaces.Box(-1, 1, (6,)), (64, 64)),
        "Humanoid-v5, 256-256 tanh": _initial(
            spaces.Box(-np.inf, np.inf, (348,)), spaces.Box(-0.4, 0.4, (17,)), (256, 256)
        ),
        "an Atari, 4 x 84 x 84 bytes": _initial(spaces.Box(0, 255, (4, 84, 84), np.uint8), spaces.Discrete(6), (64,)),
    }


def _initial(observed: spaces.Space[Any], acted: spaces.Space[Any], sizes: tuple[int, ...]) -> Policy:
    architecture = architecture_for(observed, acted, sizes, "tanh", normalizes=True)
    parameters = initial_parameters(architecture, "orthogonal", 0.0, 0)
    return Policy("any", observed, acted, architecture, parameters, Moments.of(architecture.num_real))


def main() -> None:
    if sys.argv[1:] == ["--table"]:
        _PAGE.write_text(with_table(_PAGE.read_text()))
        return
    found = {}
    for name, policy in policies().items():
        with tempfile.TemporaryDirectory() as folder, threadpool_limits(1):
            found[name] = measured(policy, Path(folder))
        print(name, found[name], flush=True)
    gcc = subprocess.run(["gcc", "--version"], capture_output=True, text=True, check=True).stdout.splitlines()[0]
    keep("exports", "python -m benchmarks.exports", {"gcc": gcc, "policies": found})


def measured(policy: Policy, folder: Path) -> dict[str, Any]:
    """Microseconds of an action in each format, and bytes of the compiled C."""
    description = description_of(policy)
    for to, file in (("c", "policy.c"), ("numpy", "policy.py"), ("onnx", "policy.onnx")):
        export(policy, to, folder / file)
    obs = policy.observation_space.sample()
    spec = importlib.util.spec_from_file_location("exported", folder / "policy.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = onnxruntime.InferenceSession(folder / "policy.onnx", options, providers=["CPUExecutionProvider"])
    # In its own class' form: [1, *shape].
    batch = np.asarray(obs)[None]
    micros = {
        "policy.act": _median(lambda: policy.act(obs)),
        "numpy": _median(lambda: module.act(obs)),
        "onnx": _median(lambda: session.run(["action"], {"obs": batch})),
    }
    rounds = [[_seconds_of_c(description, folder, flags) for flags in ("-O2", "-O3")] for _ in range(_ROUNDS)]
    micros |= {f"c {flags}": statistics.median(times[k] for times in rounds) for k, flags in enumerate(("-O2", "-O3"))}
    sizes = {flags: size_of_c(folder / "policy.c", flags) for flags in ("-Os", "-O2", "-O3")}
    return {"microseconds": micros, "bytes": sizes, "parameter_bytes": description.parameter_bytes}


def _median(work: Callable[[], object]) -> float:
    """Microseconds of a call: the median of several rounds."""
    work()
    found = []
    for _ in range(_ROUNDS):
        count, begin = 0, time.process_time()
        while time.process_time() - begin < _SECONDS:
            work()
            count += 1
        found.append((time.process_time() - begin) / count * 1e6)
    return statistics.median(found)


def _seconds_of_c(description: Description, folder: Path, flags: str) -> float:
    """Microseconds of a call of `a2c_act`, from a program of its own."""
    program = folder / f"timer{flags}"
    if not program.exists():
        mask = "0, " if description.num_masks else ""
        calls = max(100, min(2_000_000, int(1.5e9 / description.parameter_bytes)))
        if any(type(step).__name__ == "Convolve" for step in description.operations):
            calls = 100
        source = folder / "timer.c"
        source.write_text(
            f'#define _POSIX_C_SOURCE 199309L\n#define CALLS {calls}\n#include "policy.c"\n'
            f"static float action_of(const float *obs, float *action)\n{{\n    a2c_act(obs, {mask}action);\n"
            f"    return action[0];\n}}\n{_TIMER}"
        )
        subprocess.run([*_GCC, flags, source, "-o", program, "-lm"], check=True)
    return float(subprocess.run([program], capture_output=True, text=True, check=True).stdout.split()[0])


def size_of_c(source: Path, flags: str) -> int:
    """Bytes of code and constants: the sections .text, .rodata and .data of the object, and what unwinds the stack."""
    target = source.with_suffix(".o")
    subprocess.run([*_GCC, flags, "-c", source, "-o", target], check=True)
    listed = subprocess.run(["size", "-A", target], capture_output=True, text=True, check=True).stdout
    sections = [line.split() for line in listed.splitlines() if line.startswith((".text", ".rodata", ".data", ".eh"))]
    return sum(int(size) for _, size, *_ in sections)


def with_table(page: str) -> str:
    """The page with the tables of the committed results."""
    return filled(page, {"exports": table}, _PAGE)


def table() -> str:
    """Times and sizes."""
    rows = [
        "| policy | parameters | `policy.act` | numpy | onnx | c, -O2 | c, -O3 | code and constants of c |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, found in kept("exports")["policies"].items():
        times = [_shown(found["microseconds"][key]) for key in ("policy.act", "numpy", "onnx", "c -O2", "c -O3")]
        size = found["bytes"]["-O2"] / found["parameter_bytes"]
        rows.append(f"| {name} | {found['parameter_bytes']:,} bytes | {' | '.join(times)} | {size:.2f} times these |")
    return "\n".join(rows)


def _shown(micros: float) -> str:
    return f"{micros:.2f} µs" if micros < 10 else f"{micros:,.0f} µs"


if __name__ == "__main__":
    main()
