"""The verbs of docs/first_run.md where a2c is installed and no display is: each works, or says in a sentence why not.

python .ci/verbs.py PYTHON [--extras]      PYTHON: of that environment; --extras: it has all of them
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

TRAIN = "--total-steps 2000 --eval-every-steps 1000 --eval-episodes 2 --final-eval-episodes 2"
SNIPPET = """
import a2c
run = a2c.train("CartPole-v1", seed=1, total_steps=1000, eval_every_steps=0, final_eval_episodes=0)
print(run.evaluate(episodes=2).mean)
print(a2c.load(run.path).act([0.0, 0.1, -0.02, 0.0]))
envs = a2c.make_envs("CartPole-v1", num_envs=8, num_workers=1)
envs.reset(seed=0)
envs.close()
"""


class Verbs:
    """Calls verbs, and remembers what was not as it should be."""

    def __init__(self, python: str, folder: Path) -> None:
        self._python, self._folder = python, folder
        names = ("DISPLAY", "WAYLAND_DISPLAY", "PYTHONPATH", "SDL_VIDEODRIVER")
        self._environment = {name: value for name, value in os.environ.items() if name not in names}
        self.faults: list[str] = []

    def python(self, *words: str, code: int = 0, says: str = "") -> str:
        """Runs Python; anything else than this exit code, this part of what is said, or no traceback is a fault."""
        done = subprocess.run(
            [self._python, *words],
            capture_output=True, text=True, cwd=self._folder, env=self._environment, timeout=600, check=False,
        )  # fmt: skip
        said = done.stdout + done.stderr
        is_right = done.returncode == code and says in said and "Traceback" not in said
        print(f"{'ok  ' if is_right else 'BAD '} {done.returncode}  {' '.join(words)[:100]}", flush=True)
        if not is_right:
            self.faults.append(f"{' '.join(words)}: exit {done.returncode}, not {code} with {says!r}\n{said}")
        return done.stdout

    def __call__(self, line: str, code: int = 0, says: str = "") -> str:
        """Runs `a2c` with these words."""
        return self.python("-m", "a2c", *line.split(), code=code, says=says)


def check(python: str, has_extras: bool, folder: Path) -> list[str]:
    """Every verb once; returns what was wrong."""
    a2c = Verbs(python, folder)
    missing = 0 if has_extras else 2

    def needs(extra: str) -> str:
        return "" if has_extras else f"pip install 'a2c[{extra}]'"

    a2c(f"train CartPole-v1 {TRAIN} --keep-policy-at 0,1000", says="video   ")
    run = next((folder / "runs" / "CartPole-v1").iterdir()).relative_to(folder)
    a2c(f"plot {run}", says="curve.png")
    json.loads(a2c(f"train CartPole-v1 {TRAIN} --json --no-pictures"))
    a2c(f"resume {run}", says="is finished")
    a2c(f"evaluate {run} --episodes 2", says="best policy: ")
    a2c(f"evaluate {run} --which final --no-greedy --json --episodes 2", says='"greedy": false')
    a2c(f"watch {run}", code=2, says="no display")
    a2c(f"record {run} --to episode.gif --max-steps 20", says="episode.gif")
    a2c(f"record {run} --to episode.mp4 --max-steps 20", code=missing, says=needs("video"))
    a2c(f"record {run} --stages --to stages.gif --max-steps 20", says="stages.gif")
    a2c(f"evaluate {run} --which 1000 --episodes 2", says="policy after 1,0")
    a2c("plot runs/CartPole-v1", says="curves.png")
    if not has_extras:
        a2c(f"board {run}", code=2, says=needs("tensorboard"))
    a2c(f"plot {run} --follow", code=2, says="there is no display to open a window on")
    a2c(f"report {run}", says="report.html")
    a2c("report runs/CartPole-v1 --json", says='"comparisons": ')
    a2c(f"export {run} --to pdparams", code=missing, says=needs("paddle"))
    a2c(f"export {run} --to paddle", code=missing, says=needs("paddle"))
    a2c(f"export {run} --to onnx", code=missing, says=needs("onnx"))
    for to, file in (("c", "policy.c"), ("numpy", "policy.py"), ("html", "policy.html")):
        a2c(f"export {run} --to {to}", says=file)
    a2c(f"replay {run}", code=2, says="no environment of this run failed")
    tune = (
        "tune CartPole-v1 --total-steps 1000 --trials 2 --seeds 1 --confirm-seeds 0 --unseen-seeds 2 --eval-episodes 1"
    )
    a2c(tune, code=missing, says="preset.toml" if has_extras else needs("tune"))
    (folder / "mine.toml").write_text('environment = "CartPole-v1"\n[settings]\ngamma = 0.98\n')
    a2c(f"train CartPole-v1 --preset mine.toml {TRAIN} --no-pictures", says="best policy")
    a2c("benchmark CartPole-v1 --rounds 1 --seconds 0.05 --num-envs 2", says="training, compiled")
    a2c(f"train CartPole-v0 --preset tutorial {TRAIN} --no-pictures", code=missing, says=needs("visualdl"))
    a2c(f"train CartPole-v1 {TRAIN} --log tensorboard --no-pictures", code=missing, says=needs("tensorboard"))
    a2c(f"train CartPole-v1 {TRAIN} --engine paddle --no-pictures", code=missing, says=needs("paddle"))
    a2c(f"train Pendulum-v1 --seeds 2 {TRAIN} --no-pictures", says="  final     2  ")
    a2c("completion bash", says="complete -F")
    a2c("train --help", says="--total-steps")
    a2c("train Pendulum-v1 --help", says="--total-steps")
    a2c("--help", says="train")
    a2c("--version")
    a2c.python("-c", SNIPPET)
    return a2c.faults


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        faults = check(os.path.abspath(sys.argv[1]), "--extras" in sys.argv, Path(folder))
    print("\n\n".join(faults) or "every verb does what docs/first_run.md says")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
