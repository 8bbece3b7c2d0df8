"""Run folders that are damaged or hostile are read, or refused in one sentence: some of what `faults.folders` tries."""

import os

import pytest

pytestmark = pytest.mark.skipif(os.name != "posix", reason="pipes, links and limits of POSIX")


def test_whatever_a_folder_holds_it_is_read_or_refused_in_one_sentence():
    from faults.folders.fuzzer import campaign

    findings = campaign(count=1_200, seed=0)
    assert not findings, "\n".join(map(str, findings[:20]))


def test_the_fuzzer_hears_what_it_listens_for(tmp_path):
    from faults.folders.watch import Watch

    watch = Watch()
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "link").symlink_to(tmp_path / "outside.txt")
    with watch.over(inside) as seen:
        (inside / "file").write_text("")
        (inside / "file").rename(inside / "moved")
        (inside / "link").unlink()
    assert seen == []
    (inside / "link").symlink_to(tmp_path / "outside.txt")
    with watch.over(inside) as seen:
        (inside / "link").write_text("")
        (tmp_path / "folder").mkdir()
        os.system("true")
    assert [one.split(" ")[0].rstrip(":") for one in seen] == ["opened", "os.mkdir", "os.system"]
