"""Counts the files and lines that a reader opens to follow one update.

python -m benchmarks.reading [--sources FOLDER]

Follows one call of `Learner.update` and prints the files of a2c/ (environments apart) in which a function ran, in
Python or in machine code, and how many lines they have: for the Paddle engine, for the compiled engine with Gymnasium's
CartPole, and for both in one call of machine code.
"""

import argparse
import json
import os
import subprocess
import sys
import types
from pathlib import Path

WAYS = (("paddle", "local"), ("compiled", "local"), ("compiled", "compiled"))


def opened(engine, vectorization):
    """Lines of each file, by its name."""
    import a2c
    from a2c.kernels.kernel import Kernel
    from a2c.learner import Learner

    root = Path(a2c.__file__).parent
    settings = {"normalize_observations": True, "normalize_returns": True, "num_envs": 8, "rollout_length": 8}
    config = a2c.Config("CartPole-v1", engine=engine, **settings)
    learner = Learner(config, a2c.make_envs("CartPole-v1", 8, vectorization=vectorization))
    learner.update()
    files, kernels = set(), set()

    def names_of(frame):
        for name in frame.f_code.co_names:
            found = frame.f_globals.get(name)
            yield found
            if isinstance(found, types.ModuleType) and found.__name__.startswith("a2c.kernels"):
                yield from (getattr(found, other, None) for other in frame.f_code.co_names)

    def look(frame, event, argument):
        path = frame.f_code.co_filename
        if event == "call" and path.startswith(str(root)):
            files.add(path)
            kernels.update(found for found in names_of(frame) if isinstance(found, Kernel))

    sys.setprofile(look)
    learner.update()
    sys.setprofile(None)
    if vectorization == "compiled":
        from a2c.kernels import loop

        names = {name for module in list(sys.modules.values()) for name in ("learn", "gradient_step")
                 if getattr(module, "__name__", "").startswith("a2c.kernels") and hasattr(module, name)}  # fmt: skip
        kernels.add(loop.run_updates)
        for module in list(sys.modules.values()):
            if getattr(module, "__name__", "").startswith("a2c.kernels"):
                kernels.update(getattr(module, name) for name in names if hasattr(module, name))
    seen = set()
    for kernel in kernels:
        reach(kernel, seen)
    files |= {function.__code__.co_filename for function in seen}
    ours = [Path(file) for file in files if file.startswith(str(root)) and "envs" not in Path(file).parts]
    return {str(path.relative_to(root)): len(path.read_text().splitlines()) for path in sorted(ours)}


def reach(function, seen):
    """Adds a function and what it calls, as far as global names tell."""
    function = getattr(function, "py_func", function)
    if not isinstance(function, types.FunctionType) or function in seen:
        return
    seen.add(function)
    for name in function.__code__.co_names:
        found = function.__globals__.get(name)
        if isinstance(found, types.FunctionType) or hasattr(found, "py_func"):
            reach(found, seen)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sources", type=Path, default=Path(__file__).parent.parent, help="of which version")
    parser.add_argument("--way", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way is not None:
        print(json.dumps(opened(*WAYS[options.way])))
        return
    environment = {**os.environ, "PYTHONPATH": str(options.sources.resolve())}
    for way, names in enumerate(WAYS):
        command = [sys.executable, __file__, "--way", str(way)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        files = json.loads(done.stdout.splitlines()[-1])
        print(f"{' engine, '.join(names)} environments: {len(files)} files, {sum(files.values()):,} lines")
        for name, lines in files.items():
            print(f"    {name} {lines}")


if __name__ == "__main__":
    main()
