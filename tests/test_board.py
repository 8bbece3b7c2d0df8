"""The board: started on the loopback, with names that say what runs are, following records that grow; ended cleanly."""

import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

import a2c
from a2c import board
from a2c.board import Curves, installed
from a2c.cli import main
from a2c.errors import UserError
from a2c.report.curves import names_of

KINDS = [
    pytest.param(
        kind, marks=pytest.mark.skipif(importlib.util.find_spec(kind) is None, reason=f"{kind} is not installed")
    )
    for kind in ("tensorboard", "visualdl")
]
quiet = pytest.mark.filterwarnings("ignore")  # Of packages long unmaintained.


@pytest.fixture
def runs(quick):
    """Two seeds of one setting, one of another."""
    config = quick | {"log_every_steps": 64}
    for others in ({"seed": 0}, {"seed": 1}, {"seed": 0, "learning_rate": 0.01}):
        a2c.train("CartPole-v1", **config | others)
    return quick["run_dir"]


NAMES = {
    "CartPole-v1, learning_rate 0.0007, seed 0",
    "CartPole-v1, learning_rate 0.0007, seed 1",
    "CartPole-v1, learning_rate 0.01, seed 0",
}


def points(kind, folder, tag):
    """The points of a curve as its board's own reader has them."""
    if kind == "visualdl":
        from visualdl import LogReader

        (log,) = folder.iterdir()
        return [(point.id, point.value) for point in LogReader(file_path=str(log)).get_data("scalar", tag)]
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    accumulator = EventAccumulator(str(folder))
    accumulator.Reload()
    return [(event.step, event.tensor_proto.float_val[0]) for event in accumulator.Tensors(tag)]


@quiet
@pytest.mark.parametrize("kind", KINDS)
def test_records_that_grow_and_are_cut_back_are_followed(kind, runs, tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    curves = Curves(kind, [runs], root)
    curves.follow()
    assert {path.name for path in root.iterdir()} == set(curves.names) == NAMES
    run = a2c.train("CartPole-v1", run_dir=runs, preset="none", total_steps=64, seed=5, final_eval_episodes=0)
    curves.follow()
    assert len(curves.names) == 4
    new = root / next(name for name in curves.names if name.endswith("seed 5"))
    rows = [row for row in run.metrics() if "policy_loss" in row]

    def are_there():
        found = points(kind, new, "loss/actor_loss")
        expected = [(row["steps"], row["policy_loss"]) for row in run.metrics() if "policy_loss" in row]
        return [step for step, _ in found] == [step for step, _ in expected] and [v for _, v in found] == (
            pytest.approx([value for _, value in expected], rel=1e-5)
        )

    assert rows
    assert are_there()
    record = run.path / "metrics.jsonl"
    with record.open("a") as file:
        file.write(json.dumps({"steps": 128, "policy_loss": 3.0, "value_loss": None}) + "\n")
    curves.follow()
    assert are_there()
    record.write_text(json.dumps({"steps": 8, "policy_loss": 2.0}) + "\n")
    curves.follow()
    curves.close()
    assert are_there()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_on_the_loopback_and_leaves_nothing(kind, number, runs, tmp_path):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-m", "a2c", "board", runs, "--board", kind],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "TMPDIR": str(scratch)},
    )  # fmt: skip
    try:
        line = process.stdout.readline()
        match = re.fullmatch(r"(http://127\.0\.0\.1:(\d+)\S*)   \w+, 3 runs; Ctrl-C ends it\n", line)
        assert match, line + process.stderr.read()
        address, port = match[1], int(match[2])
        found = served_names(kind, address)
        assert {name.removeprefix("./") for name in found} == NAMES
        assert listening_on(port) <= {"0100007F"}
    finally:
        process.send_signal(number)
        _, said = process.communicate(timeout=30)
    assert process.returncode == (0 if number == signal.SIGINT else 143), said
    assert "Traceback" not in said
    assert list(scratch.iterdir()) == []
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(address, timeout=5)


def served_names(kind, address):
    stop = time.monotonic() + 60
    while time.monotonic() < stop:  # It reads its files once it answers.
        path = "/data/runs" if kind == "tensorboard" else "/api/runs"
        answer = json.load(urllib.request.urlopen(address + path, timeout=30))
        found = answer if kind == "tensorboard" else answer["data"]
        found = found["runs"] if isinstance(found, dict) else found  # VisualDL has two forms.
        if len(found) == 3:
            return found
        time.sleep(0.5)
    return found


def listening_on(port):
    """Addresses at which somebody listens on a port, as Linux writes them; empty where that cannot be seen."""
    lines = [line.split() for name in ("tcp", "tcp6") for line in read(f"/proc/net/{name}")[1:]]
    ends = [line[1].split(":") for line in lines if line[3] == "0A"]
    return {address for address, number in ends if int(number, 16) == port}


def read(path):
    return Path(path).read_text().splitlines() if Path(path).exists() else [""]


def test_names_say_what_runs_differ_in(quick, runs, tmp_path):
    assert set(names_of(board.runs_in([runs]))) == NAMES
    (first, *_) = board.runs_in([runs])
    assert names_of([first]) == [f"CartPole-v1, seed {first.config.seed}"]


@quiet
@pytest.mark.parametrize("kind", KINDS)
def test_runs_of_the_same_name_are_told_apart(kind, quick, tmp_path):
    for _ in range(3):
        a2c.train("CartPole-v1", **quick)
    curves = Curves(kind, [quick["run_dir"]], tmp_path)
    curves.follow()
    curves.close()
    names = sorted(curves.names)
    assert names[0] == "CartPole-v1, seed 0"
    assert len(set(names)) == 3
    assert all(re.fullmatch(r"CartPole-v1, seed 0, \d{8}-\d{6}-seed0(-\d)?", name) for name in names[1:])


def test_a_board_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setattr(board.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        UserError, match=r"neither TensorBoard nor VisualDL is installed; pip install 'a2c\[tensorboard\]'"
    ):
        installed("auto")
    with pytest.raises(UserError, match=r"VisualDL is not installed; pip install 'a2c\[visualdl\]'"):
        installed("visualdl")


@quiet
def test_what_cannot_be_served_is_a_sentence(runs, capsys, tmp_path, monkeypatch):
    assert main(["board", str(tmp_path / "nowhere")]) == 2
    assert "nowhere" in capsys.readouterr().err
    assert main(["board", runs, "--refresh-seconds", "0"]) == 2
    assert "refresh_seconds is 0.0; it must be from 0.1 to 3,600" in capsys.readouterr().err
    for port, what in (("70000", "port 70000 cannot be used"), (str(taken()), "Address already in use")):
        assert main(["board", runs, "--port", port]) == 2
        assert what in capsys.readouterr().err
    monkeypatch.setitem(board._MODULES, "tensorboard", "a2c.nothing")
    assert main(["board", runs, "--board", "tensorboard"]) == 2
    assert "TensorBoard does not start: " in capsys.readouterr().err


def taken():
    import socket

    taken.socket = socket.socket()
    taken.socket.bind(("127.0.0.1", 0))
    taken.socket.listen()
    return taken.socket.getsockname()[1]


@pytest.fixture(autouse=True)
def _nobody_keeps_the_port():
    yield
    if hasattr(taken, "socket"):
        taken.socket.close()
