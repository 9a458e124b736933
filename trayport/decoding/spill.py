"""A temporary file for record batches that exceed the memory limit of a response."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from weakref import finalize

import pyarrow as pa
from attrs import define, field

from ..errors import QueryError

__all__ = ["SpillFile"]


@define(eq=False)
class SpillFile:
    """Record batches in a temporary file that disappears with its process.

    Reads and writes are unbuffered and at explicit positions, so that a forked child cannot disturb its parent's file.
    """

    _raw: Any = field(init=False)
    _process: int = field(factory=os.getpid, init=False)
    _schema: pa.Schema | None = field(default=None, init=False)
    _sizes: list[int] = field(factory=list, init=False)

    def __attrs_post_init__(self) -> None:
        with _explained():
            self._raw = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115  # it stays open until `close`
        finalize(self, self._raw.close).atexit = False

    def write(self, batch: pa.RecordBatch) -> None:
        """Append a batch; all batches have one schema."""
        self._schema, packed = batch.schema, batch.serialize()
        self._sizes.append(packed.size)
        left = memoryview(packed)
        with _explained():
            while left:
                left = left[self._raw.write(left) :]

    def read(self) -> Iterator[pa.RecordBatch]:
        """Yield the batches in the order of writing."""
        start = 0
        for size in self._sizes:
            if os.getpid() != self._process:
                raise QueryError("a stream cannot continue in a forked process", "run the query in the child process")
            packed, count = bytearray(size), 0
            with _explained():
                self._raw.seek(start)
                while count < size:
                    added = self._raw.readinto(memoryview(packed)[count:])
                    if not added:
                        raise OSError(errno.EIO, "the file is shorter than the data written to it")
                    count += added
            yield pa.ipc.read_record_batch(pa.py_buffer(packed), self._schema)
            start += size

    def close(self) -> None:
        """Delete the file."""
        self._raw.close()


@contextmanager
def _explained() -> Iterator[None]:
    """Add the purpose of the file and the remedy to an ``OSError``."""
    try:
        yield
    except OSError as error:
        reason = (
            f"{error.strerror}: the rows of a long response are kept in a temporary file here; free some space, or set "
            "TMPDIR (on Windows TEMP) to another folder"
        )
        raise OSError(error.errno, reason, tempfile.gettempdir()) from None
