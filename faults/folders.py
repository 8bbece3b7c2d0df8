"""Run folders as nobody wrote them: damaged or hostile, each is read, or refused in one sentence.

    python -m faults.folders --count 20000 --seed 0
    python -m faults.folders --seed 0 --only 17 --keep /tmp/folder    # that one again, and its folder

Good runs are copied, mutated and used as readers use them, in process. Allowed is success, or a UserError of one
printable sentence (from the command line: exit code 2 and that sentence). A finding is anything else: another
exception, a warning that is not ours, more than ten seconds, gigabytes, something written outside the run's folder,
anything executed or imported because a folder said so.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import itertools
import json
import math
import multiprocessing
import os
import pickle
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import types
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import gymnasium
import numpy as np
from gymnasium.envs.classic_control import CartPoleEnv

import a2c
from a2c import files
from a2c.cli import main as command_line
from a2c.commands.plot import draw
from a2c.errors import EnvError, UserError
from a2c.policy import Policy
from a2c.run import checkpoint
from a2c.run.folder import Run
from a2c.run.versions import versions
from faults.results import RESULTS

SECONDS = 10.0
"""What takes longer hangs."""

WARNINGS = (
    "skipped a newer checkpoint: ",
    "has no checkpoint yet: it begins at the start",
    " does not replay: ",
    "rows before it are lost",
    "was missing; its policy is the best of the newest checkpoint",
    "the bounds of this environment's observations are not those",
)
"""Those that are meant."""

MEMORY = 8 << 30
"""Bytes beyond what the process has: who asks for more gets a MemoryError instead of this machine."""

LONGEST_SENTENCE = 2_000

OUTPUTS = {"plot": "curve.png", "record": "video.gif", "export": "policy.pdparams"}
"""What verbs write into a run's folder."""


class Finding(NamedTuple):
    """Something that was neither success nor a UserError."""

    number: int
    mutation: str
    use: str
    fault: str

    def __str__(self) -> str:
        return f"{self.use}: {self.fault}\n    --only {self.number}: {self.mutation}"

    @property
    def kind(self) -> tuple[str, str, str]:
        """What findings with the same cause have in common."""
        return self.use, self.fault.partition(":")[0], self.fault.rpartition("(")[2] if self.fault[-1] == ")" else ""


# -- good runs --


class WornOutError(Exception):
    """What an environment raised by itself."""


class FailingEnv(CartPoleEnv):
    """CartPole that raises WornOutError at its 41st step."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._steps_left = 40

    def step(self, action: Any) -> Any:
        if not self._steps_left:
            raise WornOutError("worn out")
        self._steps_left -= 1
        return super().step(action)


def make_good_runs(folder: Path) -> dict[str, Path]:
    """Trains one run of each kind: compiled, Gymnasium's own, continuous actions, ended by an environment's error."""
    settings: dict[str, Any] = {
        "preset": "none",
        "run_dir": "runs",
        "num_envs": 2,
        "rollout_length": 4,
        "total_steps": 256,
        "hidden_sizes": (4,),
        "normalize_observations": True,
        "normalize_returns": True,
        "eval_every_steps": 64,
        "eval_episodes": 1,
        "final_eval_episodes": 0,
        "log_every_steps": 32,
        "save_every_seconds": 0.0,
    }
    gymnasium.register("Failing-v0", FailingEnv, max_episode_steps=500)
    runs = {}
    # Times are written into files: they come from a clock that is the same in every process.
    clock = mock.patch("time.perf_counter", side_effect=(tick / 1024 for tick in itertools.count()))
    with _inside(folder), clock:
        runs["compiled"] = a2c.train("CartPole-v1", **settings).path
        runs["local"] = a2c.train("CartPole-v1", vectorization="local", **settings).path
        runs["pendulum"] = a2c.train("Pendulum-v1", **settings | {"eval_every_steps": 0}).path
        with contextlib.suppress(EnvError):
            a2c.train("Failing-v0", vectorization="local", **settings)
        runs["failed"] = next(Path("runs/Failing-v0").iterdir())
    for name, path in runs.items():
        (folder / path).rename(folder / name)
    shutil.rmtree(folder / "runs")
    return {name: folder / name for name in runs}


@contextlib.contextmanager
def _inside(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


# -- mutations: each changes a run's folder and says how --


class Copy(NamedTuple):
    """A copy of a run that is about to be mutated."""

    rng: random.Random
    path: Path
    bait: Path
    """A folder outside: "keep.txt", "folder", "run" (a good one). Whatever happens, it must stay as it is."""

    def files(self, pattern: str) -> list[Path]:
        """The files that match, without those that a mutation made huge, or links to what is not ours to change."""
        own = [path for path in sorted(self.path.rglob(pattern)) if os.path.realpath(path) == str(path)]
        return [path for path in own if path.is_file() and path.stat().st_size < 1 << 20]

    def pick(self, pattern: str = "*") -> Path:
        """One of these files."""
        return self.rng.choice(self.files(pattern))

    def name(self, path: Path) -> str:
        """A file's name in the run."""
        return str(path.relative_to(self.path))

    def seal(self, state: Path) -> str:
        """Makes a checkpoint's manifest agree with its state again, mostly: the hostile case."""
        manifest = state.parent / "manifest.json"
        if manifest not in self.files("manifest.json") or self.rng.random() < 0.2:
            return ""
        data = state.read_bytes()
        with contextlib.suppress(ValueError, KeyError, TypeError, RecursionError):  # An earlier mutation has been here.
            value = json.loads(manifest.read_bytes())
            if state.name in value["files"]:
                value["files"][state.name] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
                manifest.write_text(json.dumps(value))
                return ", sealed"
        return ""


Mutation = Callable[[Copy], str]


def truncated(copy: Copy) -> str:
    path = copy.pick()
    size = path.stat().st_size
    left = copy.rng.choice((0, copy.rng.randrange(size + 1), max(0, size - copy.rng.randrange(1, 20))))
    os.truncate(path, left)
    return f"{copy.name(path)}: cut from {size} to {left} bytes"


def flipped(copy: Copy) -> str:
    path, count = copy.pick(), copy.rng.choice((1, 1, 1, 2, 8, 64))
    data = bytearray(path.read_bytes())
    bits = [copy.rng.randrange(8 * len(data)) for _ in range(count)] if data else []
    for bit in bits:
        data[bit // 8] ^= 1 << bit % 8
    path.write_bytes(data)
    return f"{copy.name(path)}: bits {bits} flipped" + copy.seal(path)


def overwritten(copy: Copy) -> str:
    path, rng = copy.pick(), copy.rng
    data = path.read_bytes()
    at, length = rng.randrange(len(data) + 1), rng.choice((1, 2, 8, 64, 1000))
    run = rng.choice((rng.randbytes(length), bytes(length), b"\xff" * length, b" " * length, data[:length]))
    replaced = rng.choice((0, length))
    path.write_bytes(data[:at] + run + data[at + replaced :])
    return f"{copy.name(path)}: {replaced} bytes at {at} became {len(run)} others" + copy.seal(path)


def _remove(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def removed(copy: Copy) -> str:
    path = copy.rng.choice(sorted(copy.path.rglob("*")))
    _remove(path)
    return f"{copy.name(path)}: removed"


def replaced_by_another_kind(copy: Copy) -> str:
    path, kind = copy.pick(), copy.rng.choice(("folder", "pipe", "8 GiB", "unreadable"))
    if kind == "8 GiB":
        os.truncate(path, 1 << 33)
    elif kind == "unreadable":
        path.chmod(0)
    else:
        path.unlink()
        path.mkdir() if kind == "folder" else os.mkfifo(path)
    return f"{copy.name(path)}: became {kind}"


def linked(copy: Copy) -> str:
    path = copy.rng.choice(sorted(copy.path.rglob("*")))
    name = copy.name(path)
    outside = copy.bait / ("folder" if path.is_dir() else "keep.txt")
    target = copy.rng.choice(
        (str(outside), os.path.relpath(outside, path.parent), str(copy.bait / "run" / name), path.name, "nowhere")
        + (("/", "..", ".") if path.is_dir() else ("/dev/zero", "/dev/null", str(copy.bait / "folder"), "."))
    )
    _remove(path)
    path.symlink_to(target)
    return f"{name}: became a link to {target}"


def output_linked(copy: Copy) -> str:
    # Also the name under which `files.write_bytes` begins a file: whoever knows it could put a link there.
    guessed = f".summary.json.unfinished-{os.getpid()}"
    path = copy.path / copy.rng.choice((*OUTPUTS.values(), guessed))
    target = copy.bait / copy.rng.choice(("keep.txt", "folder", "new.txt"))
    path.symlink_to(target)
    return f"output {copy.name(path)}: a link to {target}"


def littered(copy: Copy) -> str:
    rng = copy.rng
    folder = rng.choice([copy.path, *(path for path in sorted(copy.path.rglob("*")) if path.is_dir())])
    name = rng.choice(
        (b"step_000000999", b"step_" + b"9" * 240, "step_٣٣٣٣٣٣٣٣٣".encode(), b"step_000000999.tmp", b"\xff\xfe",
         b"a\nb", b".unfinished-step_000000999-1", b"policy.pkl", b"sitecustomize.py", b"numpy.py", b"failure.json")
    )  # fmt: skip
    path = os.fsencode(folder) + b"/" + name
    with contextlib.suppress(FileExistsError):
        if rng.random() < 0.5:
            os.mkdir(path)
        else:
            with open(path, "xb") as file:
                file.write(poison(copy))
    return f"{copy.name(folder)}: litter {name!r}"


def step_renamed(copy: Copy) -> str:
    steps = sorted((copy.path / "checkpoints").iterdir())
    path = copy.rng.choice(steps)
    name = copy.rng.choice(("step_000000001", "step_000000999", "step_" + "9" * 30, "step_0000000256", steps[0].name))
    with contextlib.suppress(OSError):
        path.rename(path.with_name(name))
    return f"{copy.name(path)}: renamed to {name}"


def poison(copy: Copy) -> bytes:
    """A pickle that makes a folder in the bait when it is loaded."""

    class Poison:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(copy.bait / "executed"),)

    array = io.BytesIO()
    np.save(array, np.array([Poison()], dtype=object), allow_pickle=True)
    return copy.rng.choice((pickle.dumps(Poison()), pickle.dumps(Poison(), 0), array.getvalue()))


def pickled(copy: Copy) -> str:
    path = copy.pick()
    path.write_bytes(poison(copy))
    return f"{copy.name(path)}: became a pickle" + copy.seal(path)


def header_changed(copy: Copy) -> str:
    rng, path = copy.rng, copy.pick("*.safetensors")
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    header, body = json.loads(data[8 : 8 + size]), data[8 + size :]
    name = rng.choice(sorted(header.keys() - {"__metadata__"}))
    entry, other = header[name], header[rng.choice(sorted(header.keys() - {"__metadata__"}))]
    huge = rng.choice((-1, 0, 1, 2**31, 2**32, 2**53, 2**63, 2**64 - 1, 2**64, 2**70, 0.5, None, "1", True))
    way = rng.choice(("length", "dtype", "shape", "offsets", "overlap", "twice", "name", "metadata", "deep", "entry"))
    length, text = None, None
    match way:
        case "length":
            length = rng.choice((0, 1, size - 1, size + 1, len(data), 100_000_001, 2**31, 2**63, 2**64 - 1))
        case "dtype":
            dtypes = ("F64", "F32", "F16", "BF16", "I64", "I8", "U64", "BOOL", "F8_E4M3", "C64", "F4", "X", "", None, 1)
            entry["dtype"] = rng.choice(dtypes)
        case "shape":
            entry["shape"] = rng.choice(([], [0], [0, 2**62], [huge], [2**32, 2**32, 0], [huge, huge], [1] * 100, huge))
        case "offsets":
            entry["data_offsets"][rng.randrange(2)] = rng.choice((huge, len(body), len(body) + 1))
        case "overlap":
            entry["data_offsets"] = other["data_offsets"]
        case "twice":
            text = json.dumps(header)[:-1] + f", {json.dumps(name)}: {json.dumps(other)}}}"
        case "name":
            names = (
                "../../x",
                "/etc/x",
                "",
                "x" * 100_000,
                "a\nb",
                "\x1b[2J",
                "\0",
                "\ud800",
                "__class__",
                "__metadata__",
            )
            header[rng.choice(names)] = header.pop(name)
        case "metadata":
            header["__metadata__"] = rng.choice(({"a": 1}, [], "x", {"x": "y" * 100_000}, {"format": "pt"}, huge))
        case "deep":
            depth = rng.choice((100, 1_000, 100_000))
            text = '{"a":' * depth + "1" + "}" * depth
        case "entry":
            header[name] = rng.choice(([], {}, None, {"dtype": "F32"}, "x", huge))
    encoded = (text or json.dumps(header)).encode("utf-8")
    path.write_bytes((len(encoded) if length is None else length).to_bytes(8, "little") + encoded + body)
    return f"{copy.name(path)}: header's {way} of {name} changed" + copy.seal(path)


def arrays_changed(copy: Copy) -> str:
    path = copy.pick("*.safetensors")
    arrays = files.arrays_from_bytes(path.read_bytes(), path)
    if not arrays:
        return "nothing"
    changes = ", ".join(_array_changed(copy.rng, arrays) for _ in range(copy.rng.choice((1, 1, 1, 1, 2, 3))) if arrays)
    path.write_bytes(files.arrays_to_bytes(arrays))
    return f"{copy.name(path)}: {changes}" + copy.seal(path)


_DTYPES = ("float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint64", "bool")


def _array_changed(rng: random.Random, arrays: files.Arrays) -> str:
    name = rng.choice(sorted(arrays))
    array = arrays[name].copy()
    way = rng.choice(("value", "value", "values", "dtype", "shape", "removed", "renamed", "swapped", "added", "space"))
    match way:
        case "value" | "values" if array.size:
            if array.dtype.kind == "f":
                info = np.finfo(array.dtype)
                hostile: tuple[Any, ...] = (math.nan, math.inf, -math.inf, -1, 0, 1, 1e6, info.max, info.min, info.tiny)
            elif array.dtype.kind == "b":
                hostile = (True, False)
            else:
                hostile = (-1, 0, 1, 2, 2**31, 2**40, np.iinfo(array.dtype).max, np.iinfo(array.dtype).min)
            value = np.array(rng.choice(hostile)).astype(array.dtype)
            where: Any = slice(None) if way == "values" else rng.randrange(array.size)
            array.reshape(-1)[where] = value
            arrays[name] = array
            return f"{name} is {value} {'everywhere' if way == 'values' else f'at {where}'}"
        case "dtype":
            with np.errstate(all="ignore"):
                arrays[name] = array.astype(rng.choice(_DTYPES))
            return f"{name} is {arrays[name].dtype}"
        case "shape":
            rows = array[None] if array.ndim == 0 else array
            arrays[name] = rng.choice(
                (array.T, array.reshape(-1), array.reshape(-1)[:1], array[None], array[..., None], rows[:0], rows[:1],
                 rows[1:], np.concatenate([rows] * 2), np.zeros((0, 1 << 40), array.dtype), np.zeros(9999, array.dtype))
            )  # fmt: skip
            return f"{name} has the shape {arrays[name].shape}"
        case "renamed" | "added":
            new = rng.choice(
                ("../../x", "", "x", "normalizer.x", "actor.9.weight", "log_std", "a\nb", f"{name}.{name}")
            )
            arrays[new] = arrays.pop(name) if way == "renamed" else array
            return f"{name} {way} {new!r}"
        case "swapped":
            other = rng.choice(sorted(arrays))
            arrays[name], arrays[other] = arrays[other], arrays[name]
            return f"{name} and {other} change places"
        case "space":
            name = rng.choice(("observation", "action")) + ".n_and_start"
            values = ([2, 0], [0, 0], [-1, 0], [2, 2**63 - 1], [2**62, 0], [2**63 - 1, 2**63 - 1], [2], [1, 2, 3], [])
            arrays[name] = np.array(rng.choice(values), np.int64)
            return f"{name} is {arrays[name].tolist()}"
    del arrays[name]
    return f"{name} removed"


MODULE = "module_that_no_run_may_import"

_NUMBERS = (
    "null", "true", "false", "0", "-1", "1", "2", "3", "7", "3.5", "-0.0", "0.1", "1e999", "-1e999", "NaN",
    "Infinity", "-Infinity", "1e400", "1e-400", "1e308", "100000", "1000000", "1000001", "2147483648",
    "9007199254740991", "9007199254740992", "9223372036854775807", "9223372036854775808", "18446744073709551616",
    "1180591620717411303424", "-1180591620717411303424", "[]", "{}", "[[]]", "[1,2]", "[true]", "[0]", "[-1]",
    "[4.0]", "[null]", "[100000,100000]", "[2,[3]]", '{"a":NaN}', '{"a":1e999}', '{"x":{"y":[]}}',
    '{"render_mode":"human"}', '{"sutton_barto_reward":true}', '{"max_episode_steps":-1}', '{"id":"X"}',
    '{"render_mode":5}', '{"x":"yyyyyyyyy"}',
)  # fmt: skip

_STRINGS = (
    "", " ", "auto", "best", "none", "relu", "tanh", "compiled", "local", "paddle", "gpu", "gpu:7", "tensorboard",
    "../../etc/passwd", "/etc/passwd", "a\0b", "a\nb", "\x1b[2J", "\ud800", "ä" * 50, "\N{RIGHT-TO-LEFT OVERRIDE}x",
    "os:system", f"{MODULE}:Env-v0", f"{MODULE}:", ":", "a:b:c", "a:\x1b[2Jb",
    "$\\frac{$", "$x_{$ $", "_x", "環境", "CartPole-v1", "CartPole-v0", "Pendulum-v1",
    "FrozenLake-v1", "Acrobot-v1", "Failing-v0", "cartpole", "%s%n{0}", "SIGINT", "SIGKILL", "SIG_DFL", "x" * 100_000,
)  # fmt: skip


def hostile_json(rng: random.Random) -> str:
    """A JSON value, as text: also some that JSON does not know and Python reads."""
    kind = rng.random()
    if kind < 0.55:
        return rng.choice(_NUMBERS)
    if kind < 0.9:
        return json.dumps(rng.choice(_STRINGS))
    depth, (left, right) = rng.choice((10, 100, 300, 450, 900, 950, 990, 100_000)), rng.choice(("[]", ('{"a":', "}")))
    return rng.choice((left * depth + "1" + right * depth, "9" * rng.choice((30, 400, 4_000, 5_000))))


def json_changed(copy: Copy) -> str:
    path = copy.pick("*.json")
    try:
        tree = json.loads(path.read_bytes())
        holder, key, where = copy.rng.choice(_places(tree["config"] if path.name == "config.json" else tree))
    except (ValueError, KeyError, IndexError, TypeError, RecursionError):
        return "nothing"  # An earlier mutation has been here.
    way, raw = copy.rng.choice((*["value"] * 4, "removed", "renamed", "added")), ""
    if way == "removed":
        del holder[key]
    elif way == "renamed":
        if isinstance(holder, dict):
            holder[copy.rng.choice(("", "x", "__class__", "a\nb", "\ud800", f"{key}s"))] = holder.pop(key)
    else:
        raw = hostile_json(copy.rng)
        if way == "added" and isinstance(holder, dict):
            key = copy.rng.choice(("x", "__init__", "self", "format", "a\nb"))
        holder[key] = "@"
    path.write_text(json.dumps(tree, indent=2).replace('"@"', raw))
    shown = raw if len(raw) < 40 else f"{raw[:20]}... ({len(raw)} characters)"
    return f"{copy.name(path)}: {where} {way} {shown}".rstrip() + copy.seal(path)


def _places(value: Any, where: str = "") -> list[tuple[Any, Any, str]]:
    """Everything in a JSON value that could be another: (what holds it, its key, how to get there)."""
    items: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value))
    return [(value, key, f"{where}/{key}") for key, _ in items] + [
        place for key, item in items for place in _places(item, f"{where}/{key}")
    ]


def config_changed(copy: Copy) -> str:
    """One field of config.json, with what it might be taken for."""
    path = copy.path / "config.json"
    try:
        tree = json.loads(path.read_bytes())
        config = tree["config"]
        fields = sorted(config)
        name = copy.rng.choice([*fields, *(("env_id", "env_id", "env_kwargs", "hidden_sizes") * 4)])
        raw = hostile_json(copy.rng)
        config[name] = "@"
    except (ValueError, KeyError, TypeError, OSError, RecursionError):
        return "nothing"
    path.write_text(json.dumps(tree).replace('"@"', raw))
    return f"config.json: /config/{name} is {raw[:40]} ({len(raw)} characters)" + _agreeing(copy)


def _agreeing(copy: Copy) -> str:
    """Makes the checkpoints say that they are of these settings, mostly: the hostile case."""
    with contextlib.suppress(UserError, KeyError, ValueError, TypeError, RecursionError):
        identity = Run(copy.path).config.identity()
        if copy.rng.random() < 0.7:
            for manifest in copy.files("manifest.json"):
                value = json.loads(manifest.read_bytes())
                value["notes"]["config"] = identity
                manifest.write_text(json.dumps(value))
            return ", and the checkpoints agree"
    return ""


def metrics_changed(copy: Copy) -> str:
    path, rng = copy.path / "metrics.jsonl", copy.rng
    try:
        lines = path.read_bytes().splitlines()
        number = rng.randrange(len(lines))
        row = json.loads(lines[number])
        key = rng.choice([*row, *(["steps", "episode_return", "evaluation_return"] * 4), "x"])
        row[key] = "@"
    except (ValueError, TypeError, OSError, RecursionError):
        return "nothing"
    raw = hostile_json(rng)
    other = rng.choice(("", " ", "[]", "1", "null", "{}", '{"steps": true}', "\ufeff{}", "\0", raw))
    whole = rng.random() < 0.2
    lines[number] = (other if whole else json.dumps(row).replace('"@"', raw)).encode()
    end = rng.choice((b"\n", b"\n", b"\r\n", b"\n\n", b"\r"))
    path.write_bytes(end.join(lines) + end)
    said = f"is {other[:40]!r}" if whole else f"has {key} {raw[:40]}"
    return f"metrics.jsonl: line {number + 1} {said} ({len(raw)} characters), lines end with {end!r}"


ANYWHERE: tuple[Mutation, ...] = (truncated, flipped, overwritten, removed, replaced_by_another_kind, linked, pickled)
"""What can follow another mutation."""

MUTATIONS: tuple[Mutation, ...] = (
    *ANYWHERE, output_linked, littered, step_renamed, *[metrics_changed] * 2, *[header_changed] * 3,
    *[json_changed] * 4, *[config_changed] * 4, *[arrays_changed] * 6,
)  # fmt: skip


def mutate(copy: Copy) -> str:
    """One mutation, or two."""
    said = [copy.rng.choice(MUTATIONS)(copy)]
    if copy.rng.random() < 0.15:
        said.append(copy.rng.choice(ANYWHERE)(copy))
    return "; then ".join(said)


# -- use, and what may come of it --


class _Hung(BaseException):
    """It took too long."""


class _Enough(BaseException):
    """Training would go on from here."""


class _WrongError(Exception):
    """What came of it is not allowed."""


class Watch:
    """Sees what this process opens to write, moves, removes and starts, wherever in Python it does so."""

    def __init__(self) -> None:
        self._inside: Path | None = None
        self._seen: list[str] = []
        sys.addaudithook(self._hear)

    @contextlib.contextmanager
    def over(self, folder: Path) -> Iterator[list[str]]:
        """While entered, collects what happens outside a folder."""
        self._inside, self._seen = folder, []
        try:
            yield self._seen
        finally:
            self._inside = None

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self._inside is None:
            return
        inside, self._inside = self._inside, None  # What follows raises events of its own.
        try:
            if event in ("os.system", "os.exec", "os.posix_spawn", "subprocess.Popen"):
                self._seen.append(f"{event} {arguments!r}")
            elif event == "open":
                path, _, flags = arguments
                if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) and not isinstance(path, int):
                    follows = not flags & (os.O_EXCL | os.O_NOFOLLOW)
                    self._check("opened to write", path, inside, follows)
            elif event in ("os.mkdir", "os.truncate", "shutil.rmtree"):
                self._check(event, arguments[0], inside, follows=event == "os.truncate")
            elif event in ("os.remove", "os.rmdir", "os.rename") and max(arguments[2:] or arguments[1:]) < 0:
                # Others are relative to a descriptor: what shutil.rmtree does, which has said so itself.
                for path in arguments[: 2 if event == "os.rename" else 1]:
                    self._check(event, path, inside)
        finally:
            self._inside = inside

    def _check(self, what: str, path: Any, inside: Path, follows: bool = False) -> None:
        name = os.fsdecode(path)
        folder, last = os.path.split(os.path.abspath(name))
        real = os.path.realpath(name) if follows else os.path.join(os.path.realpath(folder), last)
        own = f"{real}/".startswith(f"{inside}/") or "__pycache__" in real or real == "/dev/null"
        if not own:
            self._seen.append(f"{what}: {name}")


class Fuzzer:
    """Mutates runs in a sandbox, and uses them.

    There, run is the copy that is used, good is what is copied; bait, cwd, the working folder, and tmp, that of
    temporary files, must stay as they are; modules is on sys.path.
    """

    def __init__(self, sandbox: Path, seed: int) -> None:
        self.sandbox, self.seed = sandbox.resolve(), seed
        self.run, self.bait = self.sandbox / "run", self.sandbox / "bait"
        for name in ("cwd", "modules", "good", "tmp"):
            (self.sandbox / name).mkdir()
        marker = repr(str(self.bait / "executed"))
        (self.sandbox / "modules" / f"{MODULE}.py").write_text(f"import os\nos.mkdir({marker})\n")
        self.good = make_good_runs(self.sandbox / "good")
        self._lay_bait()
        self._watch = Watch()
        self.uses = self.refused = 0
        self.keep: Path | None = None
        """Where to leave a copy of what was used."""

    def warm_up(self) -> None:
        """Uses a good run in every way: what is imported and compiled for it is not a mutation's doing."""
        for name, path in self.good.items():
            shutil.copytree(path, self.run)
            self._use(self.run, lambda odds: odds > 0, name)
            shutil.rmtree(self.run)

    def mutated(self, index: int) -> list[Finding]:
        """Makes the mutation of this number, uses what came of it, and says what was wrong."""
        rng = random.Random(f"{self.seed}:{index}")
        name = rng.choice(sorted(self.good))
        shutil.copytree(self.good[name], self.run)
        try:
            said = f"{name}/" + mutate(Copy(rng, self.run, self.bait))
            faults = self._use(self.run, lambda odds: rng.random() < odds, said)
            if self._listing() != self._bait:
                faults.append(("afterwards", "OUTSIDE: the bait is not what it was"))
                self._lay_bait()
        finally:
            if self.keep:
                subprocess.run(["cp", "-a", self.run, self.keep], check=True)  # pipes and holes, too
            shutil.rmtree(self.run)
        return [Finding(index, said.replace(str(self.sandbox), "SANDBOX"), *fault) for fault in faults]

    def _lay_bait(self) -> None:
        shutil.rmtree(self.bait, ignore_errors=True)
        (self.bait / "folder").mkdir(parents=True)
        for name in ("keep.txt", "folder/keep.txt"):
            (self.bait / name).write_text("not yours")
        shutil.copytree(self.good["compiled"], self.bait / "run")
        self._bait = self._listing()

    def _listing(self) -> dict[str, bytes | None]:
        """Everything outside the run's folder that could be harmed."""
        paths = [path for name in ("bait", "cwd", "tmp") for path in sorted((self.sandbox / name).rglob("*"))]
        return {str(path): None if path.is_dir() else path.read_bytes() for path in paths}

    def _use(self, path: Path, often: Callable[[float], bool], said: str) -> list[tuple[str, str]]:
        """Uses a run's folder in every way.

        Args:
            path: The folder.
            often: Whether to do what is slow, which should happen this often.
            said: What was mutated.
        """
        faults: list[tuple[str, str]] = []

        def attempt(name: str, use: Callable[[], Any]) -> Any:
            result, fault = self._attempt(use)
            self.uses += 1
            if fault:
                faults.append((name, fault))
            return result

        run = attempt("Run", lambda: Run(path))
        attempt("checkpoint.newest", lambda: checkpoint.newest(path / "checkpoints"))
        if run is not None:
            attempt("summary", lambda: run.summary)
            attempt("stopped_by", lambda: run.stopped_by)
            attempt("metrics", run.metrics)
            for which in ("best", "final"):
                policy = attempt(f"policy {which}", lambda which=which: a2c.load(path, which))
                if policy is not None:
                    attempt(f"act {which}", lambda policy=policy: _act(policy))
            about_config = 3.0 if "config.json" in said or "safetensors" in said else 1.0
            if often(0.1 * about_config):
                attempt("evaluate", lambda: run.evaluate(episodes=1))
            if often(0.2 if "metrics" in said or "/env_id" in said else 0.005):
                attempt("plot", lambda: draw([run], path / "curve.png"))
        verbs = {
            "replay": (0.5 if "failure." in said else 0.02, []),
            "resume": (0.03, ["--total-steps", "1000"]),
            "evaluate": (0.03, ["--episodes", "1"]),
            "export": (0.02, ["--to", "pdparams"]),
            "plot": (0.003, []),
            "record": (0.003, ["--max-steps", "3"]),
        }
        for verb, (odds, flags) in verbs.items():
            if often(1.0 if f"output {OUTPUTS.get(verb)}" in said else odds):
                attempt(f"a2c {verb}", lambda words=[verb, str(path), *flags]: _call(words))
        if run is not None and often(0.4):
            attempt("resume", lambda: _resume(path))  # Last: it cuts files back to the checkpoint.
        return faults

    def _attempt(self, use: Callable[[], Any]) -> tuple[Any, str]:
        """Result and fault of one use: one of them, or neither where it was refused as it should be."""
        result, fault = None, ""
        out, unraisable = io.StringIO(), []
        with (
            warnings.catch_warnings(record=True) as warned,
            self._watch.over(self.run) as seen,
            mock.patch("sys.unraisablehook", lambda raised: unraisable.append(raised.exc_value)),
            _limit(),
        ):
            warnings.simplefilter("always")
            try:
                with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
                    result = use()
            except UserError as error:
                fault = _unlike_a_sentence(str(error))
                self.refused += 1
            except EnvError as error:
                if not self._has_another_env():
                    fault = f"EnvError: {str(error).splitlines()[-1]}"
            except (_Enough, WornOutError):
                pass
            except (KeyboardInterrupt, GeneratorExit):
                raise
            except BaseException as error:  # noqa: BLE001 - which ones there are is the question
                fault = _in_a_line(error)
            if out.getvalue() and not fault:
                fault = f"printed {out.getvalue()[:200]!r}"
        for warning in warned:
            if not any(words in str(warning.message) for words in WARNINGS):
                fault = fault or f"{warning.category.__name__}: {warning.message} ({_ours(warning)})"
        if seen:
            fault = f"OUTSIDE: {seen[0]}"
        if unraisable:
            fault = fault or f"UNRAISABLE {_in_a_line(unraisable[0])}"
        if multiprocessing.active_children():
            fault = fault or "a process is left behind"
        return result, fault.replace(str(self.sandbox), "SANDBOX")

    def _has_another_env(self) -> bool:
        """Whether the folder names another environment, or arguments for it: that one may raise."""
        with contextlib.suppress(UserError):
            config = Run(self.run).config
            return bool(config.env_kwargs) or config.env_id not in ("CartPole-v1", "Pendulum-v1")
        return True


def _act(policy: Policy) -> None:
    shape = policy.observation_space.shape or ()
    for obs in (np.zeros(shape, np.float32), np.full((3, *shape), 0.5)):
        for greedy in (True, False):
            action = policy.act(obs, greedy)
            policy.value(obs if obs.ndim > len(shape) else obs[None])
            for one in [action] if obs.ndim == len(shape) else action:
                if not policy.action_space.contains(np.asarray(one) if np.ndim(one) else one):
                    raise _WrongError(f"the action {one!r} is not in {policy.action_space}")


def _resume(path: Path) -> None:
    from a2c.training import resume

    with _untrained():
        resume(path, total_steps=1_000)


@contextlib.contextmanager
def _untrained() -> Iterator[None]:
    """Raises _Enough where a run would go on: how long that takes, its settings say."""
    from a2c.learner import Learner

    with (
        mock.patch.object(Learner, "update", side_effect=_Enough),
        mock.patch("a2c.evaluation.Evaluator.evaluate", side_effect=_Enough),
    ):
        yield


def _call(words: list[str]) -> None:
    """A command line: 0, or 2 and one line, or 1 for an environment's error (which has a traceback of its own)."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), _untrained():
        code = command_line(words)
    lines = [line for line in err.getvalue().split("\n") if line and not line.startswith("a2c: skipped a newer")]
    said = [line for line in lines if line.startswith("a2c: ")]
    if (code == 0 and not said) or (words[0] == "replay" and code == 1):
        return
    if code == 1 and said:
        raise EnvError(0, "the command line", 0, 0, 0, said[0])
    if code != 2 or len(lines) != 1 or lines != said or out.getvalue():
        raise _WrongError(f"exit code {code}, {err.getvalue()[:300]!r}")
    if fault := _unlike_a_sentence(said[0]):
        raise _WrongError(fault)


def _unlike_a_sentence(text: str) -> str:
    """What is wrong with the text of a UserError, if anything."""
    if not text.isprintable():
        return f"UserError not printable: {text[:300]!r}"
    return f"UserError too long: {len(text):,} characters, {text[:100]}..." if len(text) > LONGEST_SENTENCE else ""


@contextlib.contextmanager
def _limit() -> Iterator[None]:
    """Raises _Hung where the block takes too long."""

    def give_up(number: int, frame: types.FrameType | None) -> None:
        raise _Hung(f"more than {SECONDS:g} s")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _in_a_line(error: BaseException) -> str:
    """An exception, and the last line of a2c that it passed."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "/a2c/" in frame.filename]
    where = f" ({frames[-1].filename.rpartition('/a2c/')[2]}:{frames[-1].lineno})" if frames else ""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:200]}{where}"


def _ours(warning: warnings.WarningMessage) -> str:
    return f"{'/'.join(Path(warning.filename).parts[-2:])}:{warning.lineno}"


# -- campaigns --


@contextlib.contextmanager
def fuzzer(seed: int) -> Iterator[Fuzzer]:
    """A fuzzer in a sandbox of its own, in memory where the system has such a folder; its limits hold in the block."""
    shared = "/dev/shm"
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    with tempfile.TemporaryDirectory(
        dir=shared if os.access(shared, os.W_OK) else None, prefix="a2c-faults-"
    ) as folder:
        one = Fuzzer(Path(folder), seed)
        sys.path.insert(0, str(one.sandbox / "modules"))
        try:
            # Its own: where temporary files are, others' leftovers may be, which are swept.
            with _inside(one.sandbox / "cwd"), mock.patch("tempfile.tempdir", str(one.sandbox / "tmp")):
                one.warm_up()
                used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
                resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, hard))
                yield one
        finally:
            resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
            sys.path.remove(str(one.sandbox / "modules"))
            gymnasium.registry.pop("Failing-v0", None)


def campaign(count: int, seed: int, say: Callable[[str], Any] = lambda text: None) -> list[Finding]:
    """Makes this many mutations; returns the findings."""
    findings: list[Finding] = []
    with fuzzer(seed) as one:
        start = time.perf_counter()
        for index in range(count):
            findings += one.mutated(index)
            if (index + 1) % 1000 == 0:
                seconds = time.perf_counter() - start
                done = f"{index + 1:,} mutations, {one.uses:,} uses ({one.refused:,} refused), {seconds:.0f} s"
                say(f"{done}: {len(findings)} findings")
    return findings


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m faults.folders", description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=20_000, help="how many mutations")
    parser.add_argument("--seed", type=int, default=0, help="decides them")
    parser.add_argument("--only", type=int, help="make the mutation of this number alone")
    parser.add_argument("--keep", type=Path, help="with --only: leave the mutated folder there")
    chosen = parser.parse_args()
    if chosen.only is None:
        findings = campaign(chosen.count, chosen.seed, lambda text: print(text, flush=True))
    else:
        with fuzzer(chosen.seed) as one:
            if chosen.keep:
                one.keep = chosen.keep
            findings = one.mutated(chosen.only)
    groups: dict[tuple[str, str, str], list[Finding]] = {}
    for finding in findings:
        groups.setdefault(finding.kind, []).append(finding)
    for group in sorted(groups.values(), key=len, reverse=True):
        print(f"{len(group)} x {group[0]}; also {[finding.number for finding in group[1:6]]}")
    print(f"{len(findings)} findings")
    if chosen.only is None:
        kinds = [f"{len(group)} x {group[0]}" for group in groups.values()]
        result = {"command": f"python -m faults.folders --count {chosen.count} --seed {chosen.seed}"}
        result |= {"versions": versions(), "mutations": chosen.count, "seed": chosen.seed, "findings": kinds}
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "folders.json").write_text(json.dumps(result, indent=2) + "\n")
    return bool(findings)


if __name__ == "__main__":
    sys.exit(main())
