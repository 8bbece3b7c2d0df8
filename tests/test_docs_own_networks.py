"""What docs/own_networks.md shows runs as it stands there."""

import re
import sys
from pathlib import Path

import numpy as np
from gymnasium import spaces

from a2c.cli import main
from a2c.model.architecture import architecture_for

PAGE = (Path(__file__).parent.parent / "docs" / "own_networks.md").read_text(encoding="utf-8")


def test_its_examples_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    torso, python, eye = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    Path("my_nets.py").write_text(torso)
    Path("eyes.py").write_text(eye)
    try:
        (words,) = re.findall(r"^    a2c (train .*)$", PAGE, re.MULTILINE)
        assert main([*words.split(), "--no-pictures"]) == 0
        (run,) = Path("runs/CartPole-v1").iterdir()
        assert main(["evaluate", str(run), "--episodes", "5"]) == 0
        assert "best policy: " in capsys.readouterr().out
        exec(compile(python, "page", "exec"), {})
        mean, action = capsys.readouterr().out.split()
        assert float(mean) > 100
        assert action in ("0", "1")
        observed = spaces.Dict(eye=spaces.Box(0, 255, (48, 64, 3), np.uint8), a=spaces.Discrete(2))
        own = architecture_for(observed, spaces.Discrete(2), (), "tanh", False, "eyes:Eye").own
        assert (own.num_inputs, own.images, own.features) == (2, ((3, 48, 64),), 128)
    finally:
        for module in ("my_nets", "eyes"):
            sys.modules.pop(module, None)
