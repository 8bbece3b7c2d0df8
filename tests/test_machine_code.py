"""Programs: machine code that is found on disk without Numba, and made anew where it cannot be used."""

import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from a2c.kernels import cache, machine_code
from a2c.kernels.compiler import allocating, compiled, inlined
from a2c.kernels.layout import layout_of
from a2c.kernels.machine_code import Pending, program, source


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A folder for machine code that no other test uses."""
    where = tmp_path / "cache"
    monkeypatch.setattr(cache, "folders", lambda: [where])
    monkeypatch.setattr(cache, "_trouble", False)
    return where


class Inner(NamedTuple):
    scale: Any
    nothing: None
    table: Any


class Outer(NamedTuple):
    count: int
    inner: Inner
    flag: bool


@inlined
def part(x, scale):
    return x * scale


@compiled
def everything(outer, real, precise, columns, out):
    total = part(np.float64(outer.inner.scale), real) + np.float64(precise)
    for i in range(outer.count):
        for j in range(outer.inner.table.shape[1]):
            total += outer.inner.table[i, j] * columns[j, i]
    out[0] = total if outer.flag else -total
    return outer.count + len(out)


def arguments_of_every_kind():
    table = np.arange(12.0).reshape(4, 3)[::2]  # Neither in C's order nor in Fortran's.
    columns = np.asfortranarray(np.arange(6, dtype=np.int32).reshape(3, 2))
    columns.flags.writeable = False
    outer = Outer(2, Inner(np.float32(0.5), None, table), True)
    return outer, 3.0, np.float32(-0.25), columns, np.zeros(2)


def test_values_of_every_kind_arrive():
    *given, out = arguments_of_every_kind()
    found = program(everything=source(everything, *given, out, result=0))["everything"]
    assert found.bound(*given)(out) == 4
    table, columns = given[0].inner.table, given[3]
    assert out[0] == 0.5 * 3.0 - 0.25 + (table * columns.T).sum()
    assert found.bound(given[0]._replace(flag=False), *given[1:], out)() == 4
    assert out[0] == -(0.5 * 3.0 - 0.25 + (table * columns.T).sum())


@pytest.mark.parametrize(
    "other",
    [np.zeros(2, np.float32), np.zeros((2, 1)), np.zeros(4)[::2], 1.0, None],
    ids=["another type", "another dimension", "another order", "a number", "nothing"],
)
def test_an_argument_of_another_type_is_refused_and_not_read(other):
    *given, out = arguments_of_every_kind()
    found = program(everything=source(everything, *given, out, result=0))["everything"]
    with pytest.raises(TypeError, match="everything takes"):
        found.bound(*given, other)
    with pytest.raises(TypeError, match="everything takes"):
        found.bound(*given)(other)


def test_what_machine_code_does_not_take_is_said():
    with pytest.raises(TypeError, match="machine code takes no dict"):
        layout_of((1, {}))


@compiled
def add(x, count):
    for i in range(len(x)):
        x[i] += count


@allocating
def raising(x):
    if x[0] > 0:
        raise OverflowError("too far", 7)


@compiled
def careful(x, number):
    if number < 0:
        raise ValueError("negative")
    raising(x)


def test_an_exception_is_raised_again_where_it_was_raised():
    call = program(careful=source(careful, np.zeros(1), 0))["careful"].bound(np.ones(1))
    for number, kind, words, line in [
        (-1, ValueError, ("negative",), "careful"),
        (0, OverflowError, ("too far", 7), ""),
    ]:
        with pytest.raises(kind) as caught:
            call(number)
        assert caught.value.args == words
        place = caught.traceback[-1]
        assert Path(place.path) == Path(__file__)
        assert place.name == (line or "raising")


class Compilations:
    """Counts what is compiled."""

    def __init__(self, monkeypatch):
        self.count = 0
        theirs = machine_code.compiled_content

        def count(sources):
            self.count += 1
            return theirs(sources)

        monkeypatch.setattr(machine_code, "compiled_content", count)


def added(count):
    """What `add` makes of [1, 2], in a program that is read or compiled for this call."""
    x = np.array([1.0, 2.0])
    program(add=source(add, x, 0))["add"].bound(x)(count)
    return x.tolist()


def test_a_program_is_compiled_once_and_found_again(folder, monkeypatch):
    compilations = Compilations(monkeypatch)
    assert [added(3), added(4)] == [[4, 5], [5, 6]]
    assert compilations.count == 1
    (file,) = folder.iterdir()
    assert file.name.startswith("add-")


@pytest.mark.parametrize(
    "change",
    [
        lambda patch: patch.setattr(machine_code, "processor", lambda: "another"),
        lambda patch: patch.setattr(machine_code.importlib.metadata, "version", lambda name: "another"),
        lambda patch: patch.setattr(machine_code.np, "__version__", "another"),
        lambda patch: patch.setenv("NUMBA_OPT", "1"),
        lambda patch: patch.setattr(add, "py_func", careful.py_func),
    ],
    ids=["processor", "Numba", "NumPy", "Numba's settings", "code"],
)
def test_the_name_changes_with_all_that_decides_the_code(monkeypatch, change):
    sources = {"add": source(add, np.zeros(1), 0)}
    machine_code._environment.cache_clear()
    before = machine_code._key(sources)
    assert machine_code._key(sources) == before
    assert machine_code._key({"add": source(add, np.zeros(1, np.float32), 0)}) != before
    machine_code._environment.cache_clear()
    change(monkeypatch)
    assert machine_code._key(sources) != before
    machine_code._environment.cache_clear()


def flipped(content):
    changed = bytearray(content)
    changed[-100] ^= 1
    return bytes(changed)


@pytest.mark.parametrize(
    "damage",
    [lambda content: b"", lambda content: b"nonsense", lambda content: content[: len(content) // 2], flipped],
    ids=["empty", "nonsense", "cut in half", "one bit"],
)
def test_a_damaged_program_is_said_removed_and_compiled_again(folder, monkeypatch, damage):
    assert added(1) == [2, 3]
    (file,) = folder.iterdir()
    whole = file.read_bytes()
    file.write_bytes(damage(whole))
    with pytest.warns(UserWarning, match=r"machine code in .* is damaged .* and was removed"):
        assert added(1) == [2, 3]
    compilations = Compilations(monkeypatch)
    assert added(1) == [2, 3]
    assert (compilations.count, len(list(folder.iterdir()))) == (0, 1)


def test_where_nothing_can_be_written_a_program_is_compiled_every_time(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(cache, "folders", lambda: [tmp_path / "file"])
    compilations = Compilations(monkeypatch)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert [added(1), added(1)] == [[2, 3], [2, 3]]
    assert compilations.count == 2
    assert not cache.is_possible()


def test_a_disk_that_is_full_is_said_and_no_reason_to_end(folder, monkeypatch):
    def refuse(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache.os, "replace", refuse)
    with pytest.warns(UserWarning, match=r"cannot be written \(\[Errno 28\].*\); every start compiles it again"):
        assert added(1) == [2, 3]
    assert list(folder.iterdir()) == []
    assert not cache.is_possible()


def test_the_first_folder_that_can_be_written_is_taken(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(cache, "folders", lambda: [tmp_path / "file" / "below", tmp_path / "new" / "one"])
    assert cache.folder() == tmp_path / "new" / "one"


def kernel_for_another_process():
    """A kernel that another process can import, with an argument."""
    from a2c.kernels.vectors import tanh

    return tanh, np.array([0.5, -1.0], np.float32)


def test_another_process_compiles_the_same(folder, monkeypatch):
    kernel, x = kernel_for_another_process()
    monkeypatch.setattr(machine_code, "cores", lambda: 2)
    compilations = Compilations(monkeypatch)
    pending = Pending({"tanh": source(kernel, x)}, elsewhere=True)
    pending.program()["tanh"].bound(x)()
    assert compilations.count == 0
    np.testing.assert_allclose(x, np.tanh([0.5, -1.0]), atol=1e-6)
    assert len(list(folder.iterdir())) == 1


def test_if_the_other_process_fails_it_is_compiled_here(monkeypatch):
    kernel, x = kernel_for_another_process()
    monkeypatch.setattr(machine_code, "cores", lambda: 2)
    monkeypatch.setattr(machine_code, "_COMMAND", "raise SystemExit('not today')")
    compilations = Compilations(monkeypatch)
    Pending({"tanh": source(kernel, x)}, elsewhere=True).program()["tanh"].bound(x)()
    assert compilations.count == 1
    np.testing.assert_allclose(x, np.tanh([0.5, -1.0]), atol=1e-6)


def test_a_program_that_nobody_waits_for_ends_with_its_reader(monkeypatch):
    kernel, x = kernel_for_another_process()
    monkeypatch.setattr(machine_code, "cores", lambda: 2)
    pending = Pending({"tanh": source(kernel, x)}, elsewhere=True)
    process = pending._process
    assert process.poll() is None
    del pending
    assert process.poll() is not None


def test_machine_code_on_disk_is_used_without_numba(tmp_path):
    script = (
        "import sys, numpy as np, a2c\n"
        "envs = a2c.make_envs('Acrobot-v1', 2, vectorization='compiled')\n"
        "envs.begin()\n"
        "print(envs.advance(np.array([0, 1])).next_obs.tolist(), 'numba' in sys.modules)\n"
    )
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "kept")}

    def printed():
        command = [sys.executable, "-W", "error", "-c", script]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)
        assert done.returncode == 0, done.stderr
        return done.stdout.rsplit(" ", 1)

    (first, imported), (second, again) = printed(), printed()
    assert first == second
    assert (imported, again) == ("True\n", "False\n")
