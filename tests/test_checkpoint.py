"""Checkpoints: atomic, verified; the newest intact one is read."""

import json
import os
import shutil

import numpy as np
import pytest

from a2c import files
from a2c.errors import UserError
from a2c.run import checkpoint


def save(folder, steps, keep=3):
    return checkpoint.save(folder, {"a": np.full(3, float(steps))}, {"steps": steps, "updates": steps // 10}, keep)


def test_the_newest_checkpoint_is_read_back(tmp_path):
    save(tmp_path, 10)
    path = save(tmp_path, 20)
    newest = checkpoint.newest(tmp_path)
    assert newest.path == path
    assert newest.counters == {"steps": 20, "updates": 2}
    assert newest.arrays["a"].tolist() == [20, 20, 20]


def test_only_the_newest_are_kept(tmp_path):
    for steps in (10, 20, 30, 40, 2_000_000_000):
        save(tmp_path, steps, keep=2)
    assert sorted(os.listdir(tmp_path)) == ["step_000000040", "step_2000000000"]
    assert checkpoint.newest(tmp_path).counters["steps"] == 2_000_000_000


def test_a_damaged_newer_one_takes_nobodys_place(tmp_path):
    save(tmp_path, 10)
    damaged = save(tmp_path, 40)
    (damaged / "state.safetensors").write_bytes(b"")
    for steps in (20, 30):  # The run went on from the older one.
        save(tmp_path, steps, keep=1)
    assert sorted(os.listdir(tmp_path)) == ["step_000000030", "step_000000040"]
    with pytest.warns(UserWarning, match="skipped a newer checkpoint"):
        assert checkpoint.newest(tmp_path).counters["steps"] == 30


def test_saving_the_same_step_again_leaves_the_whole_one_and_passes_a_damaged_one(tmp_path):
    path = save(tmp_path, 10)
    written = (path / "manifest.json").stat().st_mtime_ns
    save(tmp_path, 10)
    assert (path / "manifest.json").stat().st_mtime_ns == written
    damage_flip(path)
    save(tmp_path, 10)
    assert checkpoint.newest(tmp_path).counters["steps"] == 10
    assert sorted(os.listdir(tmp_path)) == ["step_000000010", "step_000000010-1"]


def damage_truncate(path):
    data = (path / "state.safetensors").read_bytes()
    (path / "state.safetensors").write_bytes(data[:-1])


def damage_flip(path):
    data = bytearray((path / "state.safetensors").read_bytes())
    data[-1] ^= 1
    (path / "state.safetensors").write_bytes(data)


def damage_missing(path):
    (path / "state.safetensors").unlink()


def damage_manifest(path):
    (path / "manifest.json").write_text("{")


def damage_no_manifest(path):
    (path / "manifest.json").unlink()


def damage_format(path):
    manifest = json.loads((path / "manifest.json").read_text())
    (path / "manifest.json").write_text(json.dumps(manifest | {"format": 99}))


def damage_counters(path):
    manifest = json.loads((path / "manifest.json").read_text())
    (path / "manifest.json").write_text(json.dumps(manifest | {"counters": {"steps": "many"}}))


def damage_keys(path):
    manifest = json.loads((path / "manifest.json").read_text())
    (path / "manifest.json").write_text(json.dumps(manifest | {"files": {}}))


DAMAGES = [value for name, value in sorted(globals().items()) if name.startswith("damage_")]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_skipped_with_a_warning(tmp_path, damage):
    save(tmp_path, 10)
    damage(save(tmp_path, 20))
    with pytest.warns(UserWarning, match=r"skipped a newer checkpoint: .*step_000000020"):
        assert checkpoint.newest(tmp_path).counters["steps"] == 10


@pytest.mark.parametrize("damage", DAMAGES)
def test_without_an_intact_checkpoint_there_is_an_error_that_names_the_fault(tmp_path, damage):
    damage(save(tmp_path, 20))
    with pytest.raises(UserError, match=r"no checkpoint in .* can be used; .*step_000000020"):
        checkpoint.newest(tmp_path)


def test_no_checkpoint_at_all_is_an_error(tmp_path):
    with pytest.raises(UserError, match="no checkpoint in"):
        checkpoint.newest(tmp_path / "nowhere")


@pytest.mark.parametrize("failing", ["fsync", "rename", "mkdir"])
def test_a_save_that_fails_is_reported_and_leaves_the_previous_one(tmp_path, monkeypatch, failing):
    save(tmp_path, 10)

    def fail(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(
        *{"fsync": (os, "fsync"), "rename": ("pathlib.Path.rename",), "mkdir": ("pathlib.Path.mkdir",)}[failing], fail
    )
    with pytest.raises(UserError, match="No space left on device"):
        save(tmp_path, 20)
    monkeypatch.undo()
    assert os.listdir(tmp_path) == ["step_000000010"]
    assert checkpoint.newest(tmp_path).counters["steps"] == 10


def test_an_unfinished_folder_is_never_read(tmp_path):
    path = save(tmp_path, 10)
    shutil.copytree(path, tmp_path / ".unfinished-step_000000099-1")
    assert checkpoint.newest(tmp_path).counters["steps"] == 10


def test_nothing_is_written_but_arrays_and_json(tmp_path):
    path = save(tmp_path, 10)
    assert sorted(os.listdir(path)) == ["manifest.json", "state.safetensors"]
    assert files.read_json(path / "manifest.json")["files"]["state.safetensors"]["bytes"] > 0
