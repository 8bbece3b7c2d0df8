"""Metrics: the record, and the curves as the writers' own readers see them."""

import json

import pytest

import a2c
from a2c.run.logs import log_openers, open_logs
from a2c.run.writers import TAGS

ROW = {"policy_loss": 0.5, "value_loss": 2.0, "episode_return": float("nan"), "unnamed": 1.0}


def written(tmp_path, *writers):
    logs = open_logs(log_openers(a2c.Config("X", log=writers)), tmp_path)
    logs.write(100, ROW)
    logs.write(200, {"policy_loss": 0.25, "evaluation_return": 7.0})
    logs.close()


def test_the_record_has_a_json_object_a_line(tmp_path):
    written(tmp_path)
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [
        {"steps": 100, "policy_loss": 0.5, "value_loss": 2.0, "episode_return": None, "unnamed": 1.0},
        {"steps": 200, "policy_loss": 0.25, "evaluation_return": 7.0},
    ]


@pytest.mark.filterwarnings("ignore")  # of packages long unmaintained
def test_visualdl_reads_the_curves(tmp_path):
    written(tmp_path, "visualdl")
    from visualdl import LogReader

    (log,) = (tmp_path / "visualdl").iterdir()
    reader = LogReader(file_path=str(log))
    points = reader.get_data("scalar", TAGS["policy_loss"])
    assert [(point.id, point.value) for point in points] == [(100, 0.5), (200, 0.25)]
    assert [point.value for point in reader.get_data("scalar", TAGS["evaluation_return"])] == [7.0]


@pytest.mark.filterwarnings("ignore")  # of packages long unmaintained
def test_tensorboard_reads_the_curves(tmp_path):
    written(tmp_path, "tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    accumulator = EventAccumulator(str(tmp_path / "tensorboard"))
    accumulator.Reload()
    assert TAGS["policy_loss"] in accumulator.Tags()["tensors"]
    assert [event.step for event in accumulator.Tensors(TAGS["policy_loss"])] == [100, 200]


def test_a_missing_package_is_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "visualdl", None)
    with pytest.raises(a2c.UserError, match=r"--log visualdl needs a package .*pip install 'a2c\[visualdl\]'"):
        written(tmp_path, "visualdl")


def test_an_unwritable_record_is_a_sentence(tmp_path):
    with pytest.raises(a2c.UserError, match=r"cannot write .*metrics.jsonl"):
        written(tmp_path / "nowhere")
