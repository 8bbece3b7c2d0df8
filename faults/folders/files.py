"""Damage to files, whatever they hold: cut, flipped, removed, linked, replaced by a pickle. Each says what it did."""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from faults.folders.copies import OUTPUTS, Copy


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
