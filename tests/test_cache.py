"""The cache of reference data on disk: shared by processes, private to its owner, and never a cause of failure."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import shutil
import sqlite3
import stat
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import diskcache
import pytest

from trayport import TrayportWarning
from trayport.refdata.cache import Cache

posix = pytest.mark.skipif(os.name != "posix", reason="Windows keeps permissions in access lists")


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[Cache]:
    with closing(Cache(tmp_path / "cache")) as cache:
        yield cache


def works_in_memory(cache: Cache) -> bool:
    """Return True if there is no further warning and a stored document is returned."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cache.set("again", [1])
        kept = cache.get("again")
    return kept is not None and kept.document == [1]


def test_document_is_returned_with_the_time_it_was_stored(tmp_path: Path) -> None:
    cache = Cache(tmp_path, clock=lambda: 1234.5)
    document = [{"id": 1, "name": "TTF ü €"}, None, 1.5]
    cache.set("list", document)
    kept = cache.get("list")

    assert kept is not None
    assert (document, 1234.5) == (kept.document, kept.stored_at)


def test_other_cache_on_the_same_folder_has_the_document(cache: Cache) -> None:
    cache.set("list", [1])

    assert [1] == (Cache(cache.directory).get("list") or pytest.fail("no entry")).document


def test_unknown_or_deleted_document_is_none(cache: Cache) -> None:
    cache.set("a", 1)
    cache.set("b", 2)
    cache.delete("a")

    assert (None, None) == (cache.get("a"), cache.get("c"))
    cache.clear()
    assert cache.get("b") is None


@posix
def test_only_the_owner_can_read_the_folder(cache: Cache) -> None:
    cache.set("list", [1])

    assert 0o700 == stat.S_IMODE(cache.folder.stat().st_mode)


@posix
def test_folder_that_others_can_read_is_made_private(cache: Cache) -> None:
    cache.folder.mkdir(parents=True)
    cache.folder.chmod(0o755)
    cache.set("list", [1])

    assert 0o700 == stat.S_IMODE(cache.folder.stat().st_mode)


@posix
@pytest.mark.skipif(getattr(os, "getuid", lambda: 1)() != 0, reason="only root can give a folder away")
def test_folder_of_another_user_is_not_used(cache: Cache) -> None:
    cache.folder.mkdir(parents=True)
    os.chown(cache.folder, 12345, 12345)
    with pytest.warns(TrayportWarning, match="belongs to another user"):
        cache.set("list", [1])

    assert works_in_memory(cache)


@pytest.mark.parametrize("change", ["moved", "deleted", "replaced"])
def test_database_that_was_moved_deleted_or_replaced_is_opened_again(cache: Cache, tmp_path: Path, change: str) -> None:
    cache.set("list", [1])
    if change == "deleted":
        shutil.rmtree(cache.folder)
    else:
        cache.folder.rename(cache.folder.with_name("moved"))
    if change == "replaced":
        other = Cache(tmp_path / "other")
        other.set("list", [2])
        other.close()
        other.folder.rename(cache.folder)
    entry = cache.get("list")

    assert (entry.document if entry else None) == ([2] if change == "replaced" else None)
    cache.set("list", [3])
    assert [3] == (Cache(cache.directory).get("list") or pytest.fail("no entry")).document


def open_files(folder: Path) -> list[str]:
    """Return the files below a folder that this process has open."""
    names = [os.readlink(link) for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    return sorted({name for name in names if name.startswith(str(folder))})


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="open files are listed in /proc on Linux only")
def test_main_thread_keeps_its_connection_until_close_and_other_threads_none(cache: Cache) -> None:
    thread = threading.Thread(target=cache.set, args=("list", [1]))
    thread.start()
    thread.join()
    assert [] == open_files(cache.folder)

    cache.get("list")
    assert str(cache.folder / "cache.db") in open_files(cache.folder)
    cache.close()
    assert [] == open_files(cache.folder)
    assert [1] == (cache.get("list") or pytest.fail("no entry")).document


@pytest.mark.skipif(not hasattr(os, "fork"), reason="only POSIX forks")
def test_parent_and_forked_child_share_an_open_cache(cache: Cache) -> None:
    cache.set("list", [1])
    child = os.fork()
    if child == 0:
        status = 1
        with contextlib.suppress(BaseException):
            cache.set("child", cache.get("list").document)  # type: ignore[union-attr]
            cache.close()
            status = 0
        os._exit(status)
    _, status = os.waitpid(child, 0)
    cache.set("parent", [3])

    assert 0 == status
    assert [[1], [1], [3]] == [
        (Cache(cache.directory).get(name) or pytest.fail(name)).document for name in ("list", "child", "parent")
    ]
    with closing(sqlite3.connect(cache.folder / "cache.db")) as database:
        assert ("ok",) == database.execute("PRAGMA integrity_check").fetchone()


class Exploit:
    """An object that creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> object:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("raw", [0, 1], ids=["pickled-key", "pickled-value"])
def test_pickle_in_the_cache_is_not_unpickled(cache: Cache, tmp_path: Path, raw: int) -> None:
    cache.set("list", ["x" * 50_000])
    trap = tmp_path / "trap"
    with sqlite3.connect(cache.folder / "cache.db") as database:
        database.execute(
            "UPDATE Cache SET mode = 4, raw = ?, filename = NULL, value = ?",
            (raw, pickle.dumps(Exploit(trap)) if raw else None),
        )
        if not raw:
            database.execute("UPDATE Cache SET key = ?", (pickle.dumps(Exploit(trap)),))
    database.close()

    if raw:
        with pytest.warns(TrayportWarning, match="a value is pickled"):
            assert cache.get("list") is None
        assert works_in_memory(cache)
    else:
        assert cache.get("list") is None
        with cache._open() as disk, pytest.raises(Exception, match="a key is pickled"):
            list(disk)
    assert not trap.exists()


@pytest.mark.parametrize("act", [Cache.names, lambda cache: cache.get("list")], ids=["names", "get"])
def test_pickle_in_a_file_or_a_key_is_refused_by_every_access(
    cache: Cache, tmp_path: Path, act: Callable[[Cache], object]
) -> None:
    cache.set("list", ["x" * 50_000])
    trap = tmp_path / "trap"
    next(cache.folder.rglob("*.val")).write_bytes(pickle.dumps(Exploit(trap)))
    with closing(sqlite3.connect(cache.folder / "cache.db")) as database:
        database.execute("UPDATE Cache SET mode = 4")
        database.execute("INSERT INTO Cache (key, raw) VALUES (?, 0)", (pickle.dumps(Exploit(trap)),))
        database.commit()
    with pytest.warns(TrayportWarning, match="is pickled; it has been deleted") as warned:
        assert not act(cache)

    assert (1, False) == (len(warned), trap.exists())
    assert works_in_memory(cache)


@pytest.mark.parametrize(
    "act",
    [
        lambda cache: cache.get("list"),
        lambda cache: cache.set("list", [2]),
        lambda cache: cache.delete("list"),
        Cache.clear,
    ],
    ids=["get", "set", "drop", "clear"],
)
@pytest.mark.parametrize("filename", ["../../secret", "{folder}/secret", "ab/../../../secret"])
def test_value_outside_of_the_folder_is_neither_read_nor_removed(
    cache: Cache, tmp_path: Path, act: Callable[[Cache], object], filename: str
) -> None:
    cache.set("list", ["x" * 50_000])
    secret = tmp_path / "secret"
    secret.write_text('{"stored": 1, "document": "secret"}', encoding="utf-8")
    with closing(sqlite3.connect(cache.folder / "cache.db")) as database:
        database.execute("UPDATE Cache SET filename = ?", (filename.format(folder=tmp_path),))
        database.commit()
    with pytest.warns(TrayportWarning, match="a value is outside of its folder") as warned:
        assert "secret" not in str(act(cache))

    assert (1, True) == (len(warned), secret.exists())
    assert works_in_memory(cache)


def test_only_text_can_be_stored(cache: Cache) -> None:
    with cache._open() as disk:
        with pytest.raises(Exception, match="a list instead of text"):
            disk.set("key", [1])
        with pytest.raises(Exception, match="a tuple instead of text"):
            disk.set((1, 2), "value")


def test_file_that_is_not_a_database_is_deleted_with_one_warning(cache: Cache) -> None:
    cache.folder.mkdir(parents=True)
    (cache.folder / "cache.db").write_bytes(b"this is no database" * 1000)
    with pytest.warns(TrayportWarning, match="deleted") as warned:
        cache.set("list", [1])

    assert 1 == len(warned)
    assert works_in_memory(cache)
    fresh = Cache(cache.directory)
    fresh.set("list", [2])
    assert fresh._is_on_disk


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE Cache RENAME COLUMN mode TO modus",
        "DROP INDEX Cache_key_raw; ALTER TABLE Cache DROP COLUMN raw",
        "DROP TABLE Cache; CREATE TABLE Cache (a)",
        "INSERT INTO Settings VALUES ('disk_surprise', 1)",
        "CREATE TRIGGER surprise BEFORE INSERT ON Cache BEGIN SELECT RAISE(FAIL, 'no'); END",
    ],
)
def test_database_of_another_layout_is_deleted_with_one_warning(cache: Cache, change: str) -> None:
    cache.set("list", [1])
    with closing(sqlite3.connect(cache.folder / "cache.db")) as database:
        database.executescript(change)
    cache = Cache(cache.directory)
    with pytest.warns(TrayportWarning, match="cannot be used") as warned:
        cache.set("more", [2])

    assert 1 == len(warned)
    assert works_in_memory(cache)
    assert not cache.folder.exists()  # so that the next process makes a new one


def test_truncated_database_is_deleted(cache: Cache) -> None:
    cache.set("list", [1])
    cache.close()  # writes all changes to the database file
    database = cache.folder / "cache.db"
    database.write_bytes(database.read_bytes()[:-4096])
    with pytest.warns(TrayportWarning, match="malformed; it has been deleted") as warned:
        cache.get("list")

    assert (1, False) == (len(warned), cache.folder.exists())
    assert works_in_memory(cache)


@pytest.mark.parametrize("text", ["{", '{"document": 1}', "[]", '{"document":1,"stored":"never"}'])
def test_damaged_entry_is_none_with_one_warning(cache: Cache, text: str) -> None:
    cache.set("list", [1])
    with cache._open() as disk:
        disk.set("list", text)
    with pytest.warns(TrayportWarning, match="holds something that it did not store") as warned:
        assert cache.get("list") is None

    assert 1 == len(warned)
    assert works_in_memory(cache)


def test_truncated_value_file_is_none(cache: Cache) -> None:
    cache.set("list", ["x" * 100_000])
    [value] = cache.folder.rglob("*.val")
    value.write_bytes(value.read_bytes()[:50_000])
    with pytest.warns(TrayportWarning, match="holds something"):
        assert cache.get("list") is None


def test_deleted_value_file_is_none(cache: Cache) -> None:
    cache.set("list", ["x" * 100_000])
    next(cache.folder.rglob("*.val")).unlink()

    assert cache.get("list") is None
    cache.set("list", [1])
    assert cache.get("list") is not None


def test_impossible_folder_is_reported_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    cache = Cache(tmp_path / "file")
    with pytest.warns(TrayportWarning, match=r"set Config.cache_dir \(or TRAYPORT_CACHE_DIR\)") as warned:
        cache.set("list", [1])

    assert 1 == len(warned)
    assert works_in_memory(cache)


@pytest.mark.parametrize("is_open", [True, False], ids=["open", "not-open-yet"])
@pytest.mark.parametrize("lock", ["IMMEDIATE", "EXCLUSIVE"])
def test_lock_of_another_process_is_waited_for_at_most_2_seconds(cache: Cache, lock: str, is_open: bool) -> None:
    cache.set("list", [1])
    if not is_open:
        cache = Cache(cache.directory)
    with closing(sqlite3.connect(cache.folder / "cache.db")) as holder:
        holder.execute(f"BEGIN {lock}")
        started = time.monotonic()
        with pytest.warns(TrayportWarning, match="locked") as warned:
            cache.set("list", [2])
        waited = time.monotonic() - started

    assert (1, True) == (len(warned), waited < 5)
    # The disk is not used again, although the lock is free.
    assert [2] == (cache.get("list") or pytest.fail("no entry")).document
    assert works_in_memory(cache)
    assert ["list"] == Cache(cache.directory).names()
    assert [1] == (Cache(cache.directory).get("list") or pytest.fail("lost")).document


UNPRIVILEGED = """
import encodings.hex_codec, os, resource, sys, warnings
from pathlib import Path
import diskcache
from trayport.refdata.cache import Cache
# Root can write anywhere, so change to an unprivileged user, after the imports, which that user may be unable to read.
if os.getuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
if sys.argv[2] == "full":
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
cache = Cache(Path(sys.argv[1]))
with warnings.catch_warnings(record=True) as warned:
    warnings.simplefilter("always")
    cache.set("list", ["x" * 3_000_000])
    cache.set("more", [1])
print(len(warned), cache.get("list").document == ["x" * 3_000_000], cache.get("more").document == [1])
"""


@posix
@pytest.mark.parametrize("problem", ["read-only", "full"])
def test_read_only_or_full_disk_causes_one_warning(tmp_path: Path, problem: str) -> None:
    folder = tmp_path / "shared"
    folder.mkdir()
    for parent in (folder, *folder.parents):
        if parent.stat().st_uid == os.getuid() and str(parent) != "/":
            parent.chmod(parent.stat().st_mode | 0o055)
    folder.chmod(0o555 if problem == "read-only" else 0o777)
    command = [sys.executable, "-c", UNPRIVILEGED, str(folder), problem]
    done = subprocess.run(command, capture_output=True, text=True)

    assert "1 True True" == done.stdout.strip(), done.stderr


def test_threads_can_share_a_cache(cache: Cache) -> None:
    def store(number: int) -> None:
        for step in range(5):
            cache.set(f"{number}", {"step": step})
            assert cache.get(f"{number}") is not None

    threads = [threading.Thread(target=store, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [4] * 6 == [(cache.get(str(number)) or pytest.fail("lost")).document["step"] for number in range(6)]
    assert cache._is_on_disk


def test_document_on_disk_is_json_text(cache: Cache) -> None:
    cache.set("list", [{"id": 1}])
    plain = diskcache.Cache(str(cache.folder), disk=type("Plain", (diskcache.Disk,), {}))
    with plain:
        assert [{"id": 1}] == json.loads(plain["list"])["document"]


def test_keys_and_values_are_text_and_value_files_are_json(cache: Cache) -> None:
    cache.set("short", [{"id": 1, "name": "TTF ü"}, None, True, 1.5])
    cache.set("long", ["x" * 50_000])
    with closing(sqlite3.connect(cache.folder / "cache.db")) as database:
        rows = database.execute("SELECT key, typeof(key), raw, typeof(value), mode FROM Cache ORDER BY key").fetchall()
        [short] = database.execute("SELECT value FROM Cache WHERE key = 'short'").fetchone()

    assert [("long", "text", 1, "null", 3), ("short", "text", 1, "text", 1)] == rows
    assert [{"id": 1, "name": "TTF ü"}, None, True, 1.5] == json.loads(short)["document"]
    [value] = cache.folder.rglob("*.val")
    assert ["x" * 50_000] == json.loads(value.read_text(encoding="utf-8"))["document"]


@pytest.mark.parametrize("broken", [False, True], ids=["on-disk", "in-memory"])
def test_documents_can_be_listed_deleted_and_cleared(tmp_path: Path, broken: bool) -> None:
    cache = Cache(tmp_path / "cache")
    if broken:
        (tmp_path / "cache").write_text("in the way", encoding="utf-8")
        with pytest.warns(TrayportWarning):
            cache.set("a", 0)
    for name in ("a", "b", "c/ü"):
        cache.set(name, [name])

    assert ["a", "b", "c/ü"] == sorted(cache.names())
    cache.delete("a")
    cache.delete("unknown")
    assert ["b", "c/ü"] == sorted(cache.names())
    cache.clear()
    assert ([], None) == (cache.names(), cache.get("b"))


def test_deleted_or_replaced_document_leaves_no_file(cache: Cache) -> None:
    for name in ("a", "b"):
        cache.set(name, ["x" * 50_000])
    cache.delete("a")
    cache.set("b", [1])

    assert [] == list(cache.folder.rglob("*.val"))


@pytest.mark.parametrize("name", ["$TRAYPORT_NOWHERE", "100%", "a~b", "50 % of $", "ünï"])
def test_folder_name_may_contain_special_characters(tmp_path: Path, name: str) -> None:
    cache = Cache(tmp_path / name)
    cache.set("list", [1])

    assert (tmp_path / name / cache.folder.name / "cache.db").is_file()
    assert [1] == (Cache(tmp_path / name).get("list") or pytest.fail("no entry")).document


@pytest.mark.parametrize("name", ["$TRAYPORT_ELSEWHERE", "${TRAYPORT_ELSEWHERE}", "~"])
def test_folder_name_that_diskcache_would_expand_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("TRAYPORT_ELSEWHERE", "other")
    monkeypatch.chdir(tmp_path)
    cache = Cache(Path(name))
    with pytest.warns(TrayportWarning, match="its path must hold no variables") as warned:
        cache.set("list", [1])

    assert (1, []) == (len(warned), list(tmp_path.iterdir()))
    assert works_in_memory(cache)


def test_default_folder_is_in_the_users_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    assert "trayport" in Cache().folder.parts
