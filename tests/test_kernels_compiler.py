"""Compiling: machine code is kept on disk under a name that changes whenever what it computes may have changed."""

import enum
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from numba import types
from numba.core import caching
from numba.extending import intrinsic

from a2c.kernels import compiler, windows
from a2c.kernels.compiler import compilation_shown, compiled, digest, prepare

SOURCE = """
import numpy as np
import numba

FACTOR = 3
SINGLE = np.float32(0.5)
TABLE = np.array([1.0, 2.0])
PAIR = (1, 23)
UNUSED = 5

def innermost(x):
    return x + SINGLE

@numba.njit
def helper(x, bias=0.25):
    return innermost(x) * FACTOR + bias

def make(a, b):
    def inner(x):
        return a * x + b
    return inner

closed = make(1, 23)

def f(x):
    total = 0.0
    for i in range(2):
        total += TABLE[i] * helper(x) + PAIR[0] - PAIR[1] + closed(x)
    return total
"""


def digest_of(*changes, file="module.py"):
    """The digest of f, where pieces of the source are replaced by others."""
    source = SOURCE
    for old, new in changes:
        assert old in source
        source = source.replace(old, new)
    names = {}
    exec(compile(source, file, "exec"), names)
    return digest(names["f"])


CHANGES = {
    "its own code": ("total = 0.0", "total = 1.0"),
    "its own operations": ("PAIR[0] - PAIR[1]", "PAIR[0] + PAIR[1]"),
    "a helper's code": ("* FACTOR + bias", "* FACTOR - bias"),
    "a helper's helper": ("return x + SINGLE", "return x - SINGLE"),
    "a number": ("FACTOR = 3", "FACTOR = 4"),
    "the type of a number": ("FACTOR = 3", "FACTOR = 3.0"),
    "a number into a truth value": ("FACTOR = 3", "FACTOR = True"),
    "the precision of a number": ("np.float32(0.5)", "np.float64(0.5)"),
    "an array": ("np.array([1.0, 2.0])", "np.array([1.0, 2.5])"),
    "the type of an array": ("np.array([1.0, 2.0])", "np.array([1.0, 2.0], np.float32)"),
    "the shape of an array": ("np.array([1.0, 2.0])", "np.array([[1.0, 2.0]])"),
    "a tuple": ("PAIR = (1, 23)", "PAIR = (1, 24)"),
    "what a function closes over": ("make(1, 23)", "make(1, 24)"),
    "which helper it calls": ("TABLE[i] * helper(x)", "TABLE[i] * innermost(x)"),
}

BLIND = {
    "digits that move from one number to the next of a tuple": ("PAIR = (1, 23)", "PAIR = (12, 3)"),
    "digits that move from one closed-over number to the next": ("make(1, 23)", "make(12, 3)"),
    "a helper's default argument": ("bias=0.25", "bias=0.5"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_digest_changes_with(change):
    assert digest_of(CHANGES[change]) != digest_of()


@pytest.mark.parametrize("change", BLIND)
def test_the_digest_changes_also_with(change):
    assert digest_of(BLIND[change]) != digest_of()


def intrinsic_of(factor):
    """An intrinsic whose code depends on a number."""

    def code(typing_context, a):
        return types.int64(types.int64), lambda context, builder, _, arguments: builder.mul(
            arguments[0], context.get_constant(types.int64, factor)
        )

    return intrinsic(code)


def test_the_digest_changes_with_the_code_of_an_intrinsic():
    digests = set()
    for number in (1, 2):
        names = {"code": intrinsic_of(number)}
        exec("def f(a):\n    return code(a)", names)
        digests.add(digest(names["f"]))
    assert len(digests) == 2


def package(number):
    outer, inner = ModuleType("outer"), ModuleType("outer.inner")
    inner.NUMBER, outer.inner = number, inner
    return outer


def enumeration(number):
    return enum.IntEnum("Mode", {"NUMBER": number})


@pytest.mark.parametrize(("make", "code"), [(package, "name.inner.NUMBER"), (enumeration, "name.NUMBER")])
def test_the_digest_changes_with_constants_further_away(make, code):
    digests = set()
    for number in (1, 2):
        names = {"name": make(number)}
        exec(f"def f(a):\n    return a * {code}", names)
        digests.add(digest(names["f"]))
    assert len(digests) == 2


@pytest.mark.parametrize(
    "change",
    [
        ("UNUSED = 5", "UNUSED = 6"),
        ("UNUSED = 5", "UNUSED = 5\n\n\n# A remark that moves what follows."),
        ("    total = 0.0", "    # A remark.\n    total = 0.0"),
        ("FACTOR = 3", "FACTOR = 1 + 2"),
    ],
)
def test_the_digest_does_not_change_with_what_is_not_computed(change):
    assert digest_of(change) == digest_of()


def test_the_digest_is_the_same_in_another_file_and_another_process():
    script = (
        f"from a2c.kernels.compiler import digest\nnames = {{}}\nexec({SOURCE!r}, names)\nprint(digest(names['f']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONHASHSEED": "7"},
    )
    assert (done.stderr, done.stdout.strip()) == ("", digest_of())
    assert digest_of(file="elsewhere.py") == digest_of()


# -- what is kept on disk --


def run(folder, script):
    """Standard output and standard error of a script in a folder of its own."""
    # -B: Python would take the bytecode of a file that was changed within a second and has the same length.
    done = subprocess.run(
        [sys.executable, "-B", "-W", "error", "-c", script],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(compiler.__file__).parents[2]), str(folder)])},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


KERNELS = """
import numpy as np
from a2c.kernels.compiler import compiled, compilation_shown
from helpers import CONSTANT, shift

@compiled
def first(x):
    return shift(x) * CONSTANT

@compiled
def second(x):
    return first(x) + 100.0

if __name__ == "__main__":
    with compilation_shown():
        print(first(1.0), second(1.0))
"""

HELPERS = """
import numba

CONSTANT = {constant}

@numba.njit
def shift(x):
    return x + {shift}
"""


def test_code_that_was_kept_is_used_again_and_never_when_a_helper_in_another_file_has_changed(tmp_path):
    (tmp_path / "kernels.py").write_text(KERNELS)
    said = "compiling for this machine"
    script = "import runpy; runpy.run_module('kernels', run_name='__main__')"
    for numbers, result, compiles in [
        ({"constant": 2.0, "shift": 1.0}, "4.0 104.0", True),
        ({"constant": 2.0, "shift": 1.0}, "4.0 104.0", False),
        ({"constant": 2.0, "shift": 5.0}, "12.0 112.0", True),
        ({"constant": 3.0, "shift": 5.0}, "18.0 118.0", True),
        ({"constant": 2.0, "shift": 1.0}, "4.0 104.0", False),  # Kept from the first time.
    ]:
        (tmp_path / "helpers.py").write_text(HELPERS.format(**numbers))
        out, err = run(tmp_path, script)
        assert out.strip() == result
        # Once for whatever has to be compiled, and not at all where nothing has.
        assert (err.count(said), err.count("\n")) == ((1, 1) if compiles else (0, 0))


NOWHERE = """
from numba import types
from numba.core import caching
from numba.extending import intrinsic

def refuse(locator):
    raise PermissionError("nothing can be written here")

caching._CacheLocator.ensure_cache_path = refuse

from a2c.kernels import cache

cache.folders = lambda: []
"""


def test_where_no_folder_can_be_written_environments_are_compiled_anew(tmp_path):
    script = (
        NOWHERE
        + "import a2c, numpy as np\n"
        + "envs = a2c.make_envs('CartPole-v1', 2, vectorization='compiled')\n"
        + "envs.begin()\n"
        + "print(envs.advance(np.array([0, 1])).reward.tolist())\n"
    )
    assert run(tmp_path, script) == ("[1.0, 1.0]\n", "")


def test_where_no_folder_can_be_written_a_kernel_is_compiled_anew(monkeypatch):
    def refuse(locator):
        raise PermissionError

    monkeypatch.setattr(caching._CacheLocator, "ensure_cache_path", refuse)
    kernel = compiled(doubled)
    x = np.arange(3.0)
    kernel(x)
    assert x.tolist() == [0, 2, 4]
    assert kernel.dispatcher.stats.cache_path is None


def doubled(x):
    for i in range(len(x)):
        x[i] *= 2


def test_a_kernel_that_was_prepared_has_not_run_and_is_not_compiled_again(monkeypatch, capfd):
    monkeypatch.setattr(caching.CacheImpl, "_locator_classes", [])  # Nothing is loaded from disk.
    kernel, x = compiled(doubled), np.ones(4, np.float32)
    with compilation_shown():
        prepare(kernel, x)
    assert capfd.readouterr().err.count("\n") == 1
    assert x.tolist() == [1, 1, 1, 1]
    with compilation_shown():
        kernel(x)
    assert capfd.readouterr().err == ""
    assert x.tolist() == [2, 2, 2, 2]


def test_compiling_is_told_once_and_only_inside_the_block(monkeypatch, capfd):
    monkeypatch.setattr(caching.CacheImpl, "_locator_classes", [])
    first, second, third = (compiled(doubled) for _ in range(3))
    with compilation_shown():
        first(np.ones(1))
        second(np.ones(1))
    said = capfd.readouterr()
    assert said.out == ""
    assert said.err.startswith("compiling for this machine")
    assert said.err.count("\n") == 1
    third(np.ones(1))
    assert capfd.readouterr().err == ""


def test_symbols_of_kernels_of_one_name_differ_and_do_not_depend_on_the_process():
    # Numba tells them apart by counting, each process anew: loaded from what several had compiled, one with the symbol
    # of another ran in its place.
    kernels = windows._wide, windows._narrow, windows._single
    names = [kernel.part.py_func.__qualname__ for kernel in kernels]
    assert len(set(names)) == 3
    assert names == [f"_band_{digest(kernel.py_func, with_modules=True)}" for kernel in kernels]
    compiled_band = kernels[0].part
    compiled_band.compile(
        tuple(
            types.Array(types.int64, 1, "C")
            if place == 0
            else types.int64
            if place == 1
            else types.Array(types.float32, 1, "C")
            if place % 2 == 0
            else types.int64
            for place in range(12)
        )
    )
    (made,) = compiled_band.overloads.values()
    assert names[0] in made.fndesc.llvm_func_name
