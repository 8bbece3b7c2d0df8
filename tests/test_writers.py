"""Weights & Biases and MLflow, with the real packages and no network: what their own files hold."""

import importlib.util
import json
import struct
import time
from pathlib import Path

import pytest

import a2c
from a2c.run.logs import log_openers, open_logs
from a2c.run.writers import TAGS, tag_of

ROWS = [
    (100, {"policy_loss": 0.5, "episode_return": float("nan"), "info/success": 0.25, "updates": 3.0}),
    (100, {"evaluation_return": 7.0, "evaluation_info/success": 1.0}),
    (200, {"policy_loss": 0.25}),
]


def needs(*packages):
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    return pytest.mark.skipif(bool(missing), reason=f"needs {', '.join(missing)}")


wandb_only = needs("wandb")
mlflow_only = needs("mlflow", "sqlalchemy", "alembic")
quiet = pytest.mark.filterwarnings("ignore")  # Of the packages' own.


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for name in ("WANDB_MODE", "WANDB_PROJECT", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    path = tmp_path / "runs" / "X" / "one"
    path.mkdir(parents=True)
    return path


def written(folder, writer, rows):
    logs = open_logs(log_openers(a2c.Config("X", log=(writer,), seed=3)), folder)
    for steps, row in rows:
        logs.write(steps, row)
    logs.flush()
    logs.sizes()
    logs.close()


def test_names_of_ones_own_have_curves():
    assert tag_of("info/success") == "info/success"
    assert tag_of("evaluation_info/success") == "evaluation/success"
    assert tag_of("evaluation_return") == TAGS["evaluation_return"]
    assert tag_of("updates") is None


def records(path):
    """The records of a .wandb file, which is a log as LevelDB writes it: blocks of 32 KiB after a head of 7 bytes."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, at, parts = path.read_bytes(), 7, b""
    while at + 7 <= len(data):
        if 32768 - at % 32768 < 7:
            at += 32768 - at % 32768
            continue
        length, kind = struct.unpack_from("<HB", data, at + 4)
        parts += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # Whole, or the last part.
            yield Record.FromString(parts)
            parts = b""


def history(folder):
    """What a .wandb file has: {step: {name: value}}."""
    (file,) = (folder / "wandb").glob("offline-run-*/*.wandb")
    stop, found = time.monotonic() + 30, {}
    while not any(record.WhichOneof("record_type") == "exit" for record in records(file)):
        assert time.monotonic() < stop, "its own process has not written the end"
        time.sleep(0.05)
    for record in records(file):
        if record.WhichOneof("record_type") == "history":
            items = {item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in record.history.item}
            step = record.history.step.num if record.history.HasField("step") else items["_step"]
            found[step] = {name: value for name, value in items.items() if not name.startswith("_")}
    return found


@quiet
@wandb_only
def test_weights_and_biases_has_the_curves_offline(folder):
    written(folder, "wandb", ROWS)
    found = history(folder)
    assert list(found) == [100, 200]
    assert found[100]["loss/actor_loss"] == 0.5
    assert found[100]["evaluation/return"] == 7.0
    assert (found[100]["info/success"], found[100]["evaluation/success"]) == (0.25, 1.0)
    assert found[200] == {"loss/actor_loss": 0.25}


@quiet
@wandb_only
def test_weights_and_biases_has_a_run_that_goes_on_once(folder):
    written(folder, "wandb", ROWS)
    written(folder, "wandb", [(300, {"policy_loss": 0.125})])
    found = history(folder)
    assert {step: row.get("loss/actor_loss") for step, row in found.items()} == {100: 0.5, 200: 0.25, 300: 0.125}
    assert found[100]["evaluation/return"] == 7.0


def runs_of(folder):
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{folder.parent.parent / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("X")
    return client, client.search_runs([experiment.experiment_id])


@quiet
@mlflow_only
def test_mlflow_has_the_curves_in_a_file_and_a_run_that_goes_on_once(folder):
    written(folder, "mlflow", ROWS)
    written(folder.parent / "one", "mlflow", [(300, {"policy_loss": 0.125, "info/a:b": 1.0})])
    client, (run,) = runs_of(folder)
    points = client.get_metric_history(run.info.run_id, "loss/actor_loss")
    assert [(point.step, point.value) for point in points] == [(100, 0.5), (200, 0.25), (300, 0.125)]
    assert client.get_metric_history(run.info.run_id, "info/a_b")[0].value == 1.0
    assert run.data.params["seed"] == "3"
    assert (run.info.run_name, run.info.status) == ("one", "FINISHED")


@quiet
@mlflow_only
def test_mlflow_writes_to_where_its_own_variable_says(folder, monkeypatch, tmp_path):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mine.db'}")
    written(folder, "mlflow", ROWS)
    assert (tmp_path / "mine.db").exists()
    assert not (folder.parent.parent / "mlflow.db").exists()


@quiet
@mlflow_only
def test_if_mlflow_cannot_begin_there_is_a_sentence(folder, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nonsense://x")
    with pytest.raises(a2c.UserError, match=r"MLflow cannot begin a run: .*nonsense"):
        written(folder, "mlflow", ROWS)


@pytest.mark.parametrize("writer", ["wandb", "mlflow"])
def test_a_missing_package_is_a_sentence(folder, monkeypatch, writer):
    monkeypatch.setitem(__import__("sys").modules, "wandb", None)
    monkeypatch.setitem(__import__("sys").modules, "alembic", None)
    with pytest.raises(a2c.UserError, match=rf"--log {writer} needs a package .*pip install 'a2c\[{writer}\]'"):
        written(folder, writer, ROWS)
    assert list(Path(folder).iterdir()) == []


@quiet
@wandb_only
def test_a_run_is_the_same_with_it(quick):
    config = quick | {"vectorization": "local", "log_every_steps": 32}
    runs = [a2c.train("CartPole-v1", **config, log=log) for log in ((), ("wandb",))]
    kept = [[{k: v for k, v in row.items() if k != "steps_per_second"} for row in run.metrics()] for run in runs]
    assert kept[0] == kept[1]
    losses = {row["steps"]: row["policy_loss"] for row in runs[1].metrics()}
    assert {step: row["loss/actor_loss"] for step, row in history(runs[1].path).items()} == pytest.approx(losses)
