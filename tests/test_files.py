"""Files: whole or not at all, and errors that name them."""

import os
import pickle

import numpy as np
import pytest

from a2c import files
from a2c.errors import UserError


def test_arrays_come_back_as_they_went(tmp_path):
    arrays = {"a": np.arange(6, dtype=np.float32).reshape(2, 3).T, "b": np.array(3.5), "c": np.zeros((0, 2), np.int64)}
    files.write_arrays(tmp_path / "x", arrays)
    back = files.read_arrays(tmp_path / "x")
    assert back.keys() == arrays.keys()
    for name, array in arrays.items():
        assert (back[name].dtype, back[name].shape) == (array.dtype, array.shape)
        np.testing.assert_array_equal(back[name], array)


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "x.json"
    files.write_json(path, {"old": 1})

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match=r"cannot write .*x.json: No space left on device"):
        files.write_json(path, {"new": 2})
    monkeypatch.undo()
    assert files.read_json(path) == {"old": 1}
    assert os.listdir(tmp_path) == ["x.json"]


@pytest.mark.skipif(os.name != "posix", reason="pipes with names")
def test_a_pipe_in_place_of_a_file_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "x.json")
    with pytest.raises(UserError, match=r"x.json is not a regular file"):
        files.read_json(tmp_path / "x.json")


def test_a_file_too_large_to_be_of_a_run_is_refused_unread(tmp_path):
    with (tmp_path / "x.json").open("wb") as file:
        file.truncate(1 << 33)
    with pytest.raises(UserError, match=r"x.json has 8589934592 bytes"):
        files.read_json(tmp_path / "x.json")


def test_numbers_that_json_does_not_know_are_not_written(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.write_json(tmp_path / "x.json", {"a": float("nan")})
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 100_000])
def test_what_is_not_json_is_refused_by_name(tmp_path, content):
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(UserError, match=r"x.json is not JSON"):
        files.read_json(tmp_path / "x.json")


def test_json_that_is_no_object_is_refused(tmp_path):
    (tmp_path / "x.json").write_text("[1]")
    with pytest.raises(UserError, match=r"x.json holds a list; it must hold a JSON object"):
        files.read_json(tmp_path / "x.json")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"x.json is missing"):
        files.read_json(tmp_path / "x.json")


@pytest.mark.parametrize("content", [b"", b"short", b"\xff" * 8, pickle.dumps({"a": 1}), b"\x08\0\0\0\0\0\0\0{}      "])
def test_what_is_not_safetensors_is_refused_or_empty(tmp_path, content):
    (tmp_path / "x").write_bytes(content)
    if content.endswith(b"{}      "):
        assert files.read_arrays(tmp_path / "x") == {}
    else:
        with pytest.raises(UserError, match=r"x is not a whole safetensors file"):
            files.read_arrays(tmp_path / "x")


def test_a_truncated_or_changed_header_is_refused(tmp_path):
    files.write_arrays(tmp_path / "x", {"a": np.arange(100.0)})
    whole = (tmp_path / "x").read_bytes()
    for length in range(0, len(whole), 7):
        (tmp_path / "x").write_bytes(whole[:length])
        with pytest.raises(UserError, match="not a whole safetensors file"):
            files.read_arrays(tmp_path / "x")
