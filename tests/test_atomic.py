"""Atomic replacement of files."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from trayport import _atomic

posix_only = pytest.mark.skipif(os.name != "posix", reason="Windows has no permission bits and few symbolic links")


@pytest.fixture
def target(tmp_path: Path) -> Path:
    path = tmp_path / "report.csv"
    path.write_bytes(b"old")
    return path


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_content_is_replaced_and_no_temporary_file_stays(target: Path) -> None:
    _atomic.write_bytes(target, b"new")

    assert (b"new", [target]) == (target.read_bytes(), list(target.parent.iterdir()))


def test_a_missing_file_is_created(tmp_path: Path) -> None:
    _atomic.write_bytes(tmp_path / "new.csv", b"new")

    assert b"new" == (tmp_path / "new.csv").read_bytes()


def test_an_exception_keeps_the_old_file_and_removes_the_temporary_one(target: Path) -> None:
    with suppress(ZeroDivisionError), _atomic.temporary_file(target) as path:
        path.write_bytes(b"half of the new")
        _ = 1 / 0

    assert (b"old", [target]) == (target.read_bytes(), list(target.parent.iterdir()))


def test_without_a_move_the_old_file_stays(target: Path) -> None:
    with _atomic.temporary_file(target) as path:
        path.write_bytes(b"new")

    assert (b"old", [target]) == (target.read_bytes(), list(target.parent.iterdir()))


def test_a_process_that_is_killed_while_it_writes_leaves_the_old_file(target: Path) -> None:
    script = """
import os, runpy, sys
from pathlib import Path
with runpy.run_path(sys.argv[1])["temporary_file"](Path(sys.argv[2])) as path:
    path.write_bytes(b"half of the new")
    os._exit(9)
"""
    ended = subprocess.run([sys.executable, "-c", script, str(_atomic.__file__), str(target)], check=False)
    (left,) = set(target.parent.iterdir()) - {target}

    assert (9, b"old") == (ended.returncode, target.read_bytes())
    assert left.name.startswith(".report.csv.")
    assert [target] == list(target.parent.glob("*.csv"))


def test_content_is_flushed_before_the_rename(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[bytes] = []
    monkeypatch.setattr(os, "fsync", lambda handle: flushed.append(target.read_bytes()))
    _atomic.write_bytes(target, b"new")

    assert [b"old"] == flushed


@posix_only
def test_an_existing_file_keeps_its_permission_bits(target: Path) -> None:
    target.chmod(0o640)
    _atomic.write_bytes(target, b"new", mode=0o600)

    assert (0o640, b"new") == (mode(target), target.read_bytes())


@posix_only
def test_a_new_file_has_the_given_permission_bits_less_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        _atomic.write_bytes(tmp_path / "usual", b"")
        _atomic.write_bytes(tmp_path / "private", b"", mode=0o600)
    finally:
        os.umask(before)

    assert (0o640, 0o600) == (mode(tmp_path / "usual"), mode(tmp_path / "private"))


@posix_only
@pytest.mark.parametrize("exists", [True, False])
def test_the_file_behind_a_symbolic_link_is_replaced_and_the_link_stays(tmp_path: Path, exists: bool) -> None:
    link, real = tmp_path / "link.csv", tmp_path / "elsewhere" / "real.csv"
    real.parent.mkdir()
    if exists:
        real.write_bytes(b"old")
    link.symlink_to(real)
    with _atomic.temporary_file(link) as path:
        path.write_bytes(b"new")
        beside = path.parent
        _atomic.move(path, link)

    assert (real.parent, True, b"new") == (beside, link.is_symlink(), real.read_bytes())


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        _atomic.write_bytes(tmp_path / "missing" / "report.csv", b"new")


def test_a_rename_that_is_refused_for_a_moment_is_repeated(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replace, refusals = os.replace, [PermissionError(13, "Access is denied")] * 2

    def refuse_twice(source: Path, destination: Path) -> None:
        if refusals:
            raise refusals.pop()
        replace(source, destination)

    monkeypatch.setattr(os, "replace", refuse_twice)
    monkeypatch.setattr(_atomic, "_RENAME_PATIENCE", 60.0)
    _atomic.write_bytes(target, b"new")

    assert ([], b"new") == (refusals, target.read_bytes())


def test_a_rename_that_stays_refused_is_an_error_and_keeps_the_old_file(
    target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(source: Path, destination: Path) -> None:
        raise PermissionError(13, "Access is denied")

    monkeypatch.setattr(os, "replace", refuse)
    monkeypatch.setattr(_atomic, "_RENAME_PATIENCE", 0.0)
    with pytest.raises(PermissionError):
        _atomic.write_bytes(target, b"new")

    assert (b"old", [target]) == (target.read_bytes(), list(target.parent.iterdir()))


def test_a_folder_is_removed_with_all_that_is_in_it(tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    (folder / "inner").mkdir(parents=True)
    (folder / "inner" / "file").write_bytes(b"content")
    _atomic.remove_folder(folder)

    assert [] == list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_renamed_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="missing"):
        _atomic.remove_folder(tmp_path / "missing")


class TestOverwrite:
    """Replacement in place, with a checksum."""

    def test_content_is_replaced_by_longer_and_shorter_content(self, tmp_path: Path) -> None:
        path, read = tmp_path / "state", []
        for content in (b"first", b"longer than the first\n", b"short", b""):
            _atomic.overwrite(path, content)
            read.append(_atomic.read_overwritten(path))

        assert [b"first", b"longer than the first\n", b"short", b""] == read

    @pytest.mark.parametrize("exists", [True, False])
    def test_a_missing_or_empty_file_has_no_content(self, tmp_path: Path, exists: bool) -> None:
        if exists:
            (tmp_path / "state").touch()

        assert b"" == _atomic.read_overwritten(tmp_path / "state")

    def test_the_end_of_longer_content_is_ignored(self, tmp_path: Path) -> None:
        path = tmp_path / "state"
        _atomic.overwrite(path, b"content")
        with path.open("ab") as file:
            file.write(b"the end of longer content")

        assert b"content" == _atomic.read_overwritten(path)

    @pytest.mark.parametrize("position", [0, 9, 20])
    def test_a_changed_byte_is_noticed(self, tmp_path: Path, position: int) -> None:
        path = tmp_path / "state"
        _atomic.overwrite(path, b"content")
        data = bytearray(path.read_bytes())
        data[position] ^= 1
        path.write_bytes(data)
        with pytest.raises(ValueError, match="checksum"):
            _atomic.read_overwritten(path)

    @pytest.mark.parametrize("data", [b"rubbish", b"\0" * 4000, b"00000000 00000002\n{}", b"deadbeef 00000009\n["])
    def test_other_content_is_noticed(self, tmp_path: Path, data: bytes) -> None:
        (tmp_path / "state").write_bytes(data)
        with pytest.raises(ValueError, match="checksum"):
            _atomic.read_overwritten(tmp_path / "state")

    @posix_only
    def test_a_new_file_has_the_given_permission_bits(self, tmp_path: Path) -> None:
        _atomic.overwrite(tmp_path / "state", b"content", mode=0o600)

        assert 0o600 == mode(tmp_path / "state")
