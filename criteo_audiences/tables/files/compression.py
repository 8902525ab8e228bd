"""The bytes of a file, decompressed and checked to their end, a bounded piece at a time."""

import errno
import os
import shutil
import sys
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from attrs import define, field

from criteo_audiences.errors import ConfigurationError
from criteo_audiences.tables.files.layout import Compression
from criteo_audiences.tables.files.workspace import Interruption

CHUNK: Final = 256 * 1024
"""Bytes a piece: a look at one holds Python's lock for well below a millisecond."""

_OWNER_ONLY: Final = 0o600
_FED: Final = 64 * 1024
_MOST_OF_IT: Final = 0.9  # of the space that is free, so that a copy cannot fill the disk for others
_MOST_TIMES: Final = 5_000
_SURELY: Final = 1_000_000_000
"""Bytes that a compressed file may hold whatever its size."""

_GZIP: Final = b"\x1f\x8b"
_ZSTD: Final = b"\x28\xb5\x2f\xfd"
_SKIPPABLE: Final = tuple(bytes([low]) + b"\x2a\x4d\x18" for low in range(0x50, 0x60))
_GZIP_HEADER: Final = 10
_FLAGS: Final = 3
_HAS_A_NAME: Final = 0b1000


class _DamagedError(Exception):
    """Compressed data that cannot be read."""


@define
class Content:
    """What a file holds, decompressed.

    Attributes:
        path: where it is.
        name: the file's name, for messages.
        compression: how it is compressed.
        interruption: ends reading half-way.
        portable: whether the engine reads it as it is, known at its end: DuckDB refuses gzip members with an extra
            field (bgzip's), a comment or a checksum in their header, and zeros after the last one.
    """

    path: Path
    name: str
    compression: Compression
    interruption: Interruption = field(factory=Interruption, repr=False)
    portable: bool = True

    @classmethod
    def of(cls, path: Path, name: str, start: bytes, interruption: Interruption) -> "Content":
        """Tells by a file's first bytes, never by its name, how it is compressed."""
        if start.startswith(_GZIP):
            return cls(path, name, "gzip", interruption)
        return cls(path, name, "zstd" if start.startswith((_ZSTD, *_SKIPPABLE)) else "none", interruption)

    def chunks(self) -> Iterator[bytes]:
        """Yields pieces of at most `CHUNK` bytes, so that a small file cannot fill the memory.

        Raises:
            OSError: when the file cannot be read, its compressed data are cut or damaged anywhere, or reading is
                interrupted.
            ConfigurationError: when it is zstd and no decompressor is installed.
        """
        most = max(_SURELY, _MOST_TIMES * self.path.stat().st_size)
        for chunk in self._pieces():
            self.interruption.check()
            most -= len(chunk)
            if most < 0 and self.compression != "none":
                raise OSError(
                    f"{self.name} holds more than {_MOST_TIMES:,} times its size, which no list does: it is "
                    "damaged, or made to fill a disk."
                )
            yield chunk

    def _pieces(self) -> Iterator[bytes]:
        with self.path.open("rb", buffering=0) as file:
            if self.compression == "none":
                yield from iter(lambda: file.read(CHUNK), b"")
                return
            fed = iter(lambda: file.read(_FED), b"")
            try:
                yield from self._gunzipped(fed) if self.compression == "gzip" else _unframed(fed)
            except (EOFError, zlib.error, _DamagedError):
                raise OSError(
                    f"{self.name} is damaged: its {self.compression} data end too early or cannot be read. "
                    "Fetch or export it again."
                ) from None

    def _gunzipped(self, fed: Iterator[bytes]) -> Iterator[bytes]:
        """Yields the content of all members; zlib checks the checksum and length of each."""
        data = next(fed)
        while data:
            while len(data) < _GZIP_HEADER:
                data += _more(fed)
            self.portable = self.portable and not data[_FLAGS] & ~_HAS_A_NAME
            member = zlib.decompressobj(wbits=31)
            while not member.eof:
                content = member.decompress(data, CHUNK)
                if content:
                    yield content
                data = member.unconsumed_tail
                if not (data or content or member.eof):
                    data = _more(fed)
            data = self._after_padding(member.unused_data, fed)

    def _after_padding(self, data: bytes, fed: Iterator[bytes]) -> bytes:
        """Returns what follows the zeros that tapes and block devices leave after a member."""
        data = data or next(fed, b"")
        while data:
            stripped = data.lstrip(b"\0")
            self.portable = self.portable and len(stripped) == len(data)
            if stripped:
                return stripped
            data = next(fed, b"")
        return b""


def _unframed(fed: Iterator[bytes]) -> Iterator[bytes]:
    """Yields the content of all zstd frames, each checked to its end and against its checksum if it has one."""
    zstd = _zstd()
    data = next(fed)
    while data:
        frame = zstd.ZstdDecompressor()
        while not frame.eof:
            try:
                content = frame.decompress(data, CHUNK)
            except zstd.ZstdError:
                raise _DamagedError from None
            if content:
                yield content
            data = _more(fed) if frame.needs_input and not frame.eof else b""
        data = frame.unused_data or next(fed, b"")


def _more(fed: Iterator[bytes]) -> bytes:
    data = next(fed, b"")
    if not data:
        raise EOFError
    return data


def _zstd() -> ModuleType:
    """Returns Python's module for zstd, or what brings it to a Python that has none."""
    try:
        if sys.version_info >= (3, 14):
            from compression import zstd  # noqa: PLC0415 - an extra
        else:
            from backports import zstd  # noqa: PLC0415 - an extra
    except ImportError:
        raise ConfigurationError("Reading zstd needs an extra: pip install 'criteo-audiences[files]'.") from None
    return zstd


def write_copy(path: Path, chunks: Iterable[bytes]) -> Path:
    """Writes a new file that only its owner can read, and returns its path."""
    room = shutil.disk_usage(path.parent).free * _MOST_OF_IT
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ONLY), "wb", buffering=0) as file:
        for chunk in chunks:
            room -= len(chunk)
            if room < 0:
                raise _no_room()
            try:
                _write_all(file, chunk)
            except OSError as error:
                if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
                    raise
                raise _no_room() from None
    return path


def _no_room() -> OSError:
    return OSError(
        "A copy of the file, decompressed and in UTF-8, does not fit into the temporary directory "
        f"{tempfile.gettempdir()}: let TMPDIR name a larger disk, or convert the file to UTF-8."
    )


def _write_all(file: Any, chunk: bytes) -> None:
    view = memoryview(chunk)
    while view:
        view = view[file.write(view) :]
