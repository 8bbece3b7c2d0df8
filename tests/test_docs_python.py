"""What docs/python.md shows runs as it stands there."""

import re
from pathlib import Path

PAGE = Path(__file__).parent.parent / "docs" / "python.md"


def test_every_block_runs_after_those_before_it(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 4
    names = {}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)
    assert names["training"].run.summary["inexact_because"] == ["rewards were changed by hand"]
    assert "500.0" in capsys.readouterr().out
