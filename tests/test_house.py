"""The house: imports make no circle and point downwards, signatures are short, files are named by what they hold."""

import ast
import functools
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SEVERAL_ARGUMENTS = 12
VAGUE = {"utils", "util", "helpers", "helper", "misc", "common", "tools"}

# Who may know of screens, of the process's streams and of the command line.
MAY_KNOW_OF_SCREENS = (
    "a2c.training",
    "a2c.stepwise",
    "a2c.cli",
    "a2c.__main__",
    "a2c.commands",
    "a2c.screen",
    "a2c.streams",
    "a2c.seeds",
    "a2c.tuning",
)


def name_of(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in sorted((ROOT / "a2c").rglob("*.py"))}


@functools.cache
def tree(module):
    return ast.parse(MODULES[module].read_text(encoding="utf-8"))


@functools.cache
def imported(module):
    """Modules of a2c that a module imports: at its top, in its functions, for the type checker."""
    found = set()
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module} imports relatively"
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in MODULES else str(node.module) for name in names}
    return frozenset(found & MODULES.keys() - {module})


def circles(imports):
    """Sets of modules each of which is reached from each: strongly connected components of more than one."""

    def reached(start):
        seen, left = set(), [start]
        while left:
            for name in imports[left.pop()] - seen:
                seen.add(name)
                left.append(name)
        return seen

    reach = {name: reached(name) for name in imports}
    return {
        frozenset(other for other in reach[name] if name in reach[other]) for name in imports if name in reach[name]
    }


def inside(module, package):
    return module == package or module.startswith(f"{package}.")


def test_a_circle_is_found():
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}) == {frozenset({"b", "c"})}


def test_imports_make_no_circle():
    found = circles({module: imported(module) for module in MODULES})
    assert not found, [{module: sorted(imported(module) & circle) for module in sorted(circle)} for circle in found]


def test_engines_and_environments_do_not_know_each_other():
    for one, other in (("a2c.engines", "a2c.envs"), ("a2c.envs", "a2c.engines")):
        for module in MODULES:
            if inside(module, one):
                assert not [name for name in imported(module) if inside(name, other)], module


def test_nothing_below_training_knows_of_screens():
    for module in MODULES:
        if not any(inside(module, upper) for upper in MAY_KNOW_OF_SCREENS):
            known = [
                n for n in imported(module) for what in ("screen", "streams", "commands") if inside(n, f"a2c.{what}")
            ]
            assert not known, f"{module} imports {known}"


def test_nobody_imports_the_package_itself_which_names_what_is_above():
    assert not [module for module in MODULES if "a2c" in imported(module)]


@pytest.mark.parametrize("module", [module for module in MODULES if not inside(module, "a2c.kernels")])
def test_no_signature_is_long(module):
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            arguments = node.args
            names = [a.arg for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
            names += [a.arg for a in (arguments.vararg, arguments.kwarg) if a is not None]
            count = len([name for name in names if name not in ("self", "cls")])
            assert count <= SEVERAL_ARGUMENTS, f"{module}: {node.name} takes {count} arguments; a NamedTuple has a name"


def test_files_are_named_by_what_they_hold():
    assert not [path for path in MODULES.values() if path.stem in VAGUE]
