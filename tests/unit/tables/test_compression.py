import contextlib
import gzip
import struct
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from criteo_audiences import ConfigurationError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

TABLE = b"id,email\n" + b"".join(b"%d,person%d@example.com\n" % (number, number * number) for number in range(5_000))
HALF = len(TABLE) // 2
SKIPPABLE = b"\x52\x2a\x4d\x18" + (5).to_bytes(4, "little") + b"hello"


def checked(content: bytes) -> bytes:
    """Compresses with zstd's optional checksum, as its command does."""
    return zstd.compress(content, options={zstd.CompressionParameter.checksum_flag: 1})


def with_extra_field(content: bytes) -> bytes:
    """Compresses as bgzip does: a gzip member with a field of its own in the header, and an empty one at the end."""
    members = []
    for part in (content[:HALF], content[HALF:], b""):
        deflater = zlib.compressobj(wbits=-15)
        body = deflater.compress(part) + deflater.flush()
        extra = struct.pack("<H2sHH", 6, b"BC", 2, len(body) + 25)
        header = b"\x1f\x8b\x08\x04" + bytes(5) + b"\xff" + extra
        members.append(header + body + struct.pack("<II", zlib.crc32(part), len(part)))
    return b"".join(members)


READABLE: list[Callable[[bytes], bytes]] = [
    gzip.compress,
    lambda content: gzip.compress(content[:HALF]) + gzip.compress(b"") + gzip.compress(content[HALF:]),
    zstd.compress,
    checked,
    lambda content: zstd.compress(content[:HALF]) + zstd.compress(b"") + checked(content[HALF:]),
    lambda content: SKIPPABLE + zstd.compress(content[:HALF]) + SKIPPABLE + checked(content[HALF:]) + SKIPPABLE,
]
COPIED: list[Callable[[bytes], bytes]] = [
    lambda content: gzip.compress(content) + bytes(100_000),
    lambda content: gzip.compress(content[:HALF]) + bytes(7) + gzip.compress(content[HALF:]),
    with_extra_field,
]


@pytest.mark.parametrize("compress", READABLE)
def test_compressed_files_stay_as_they_are(compress: Callable[[bytes], bytes], desk: Any) -> None:
    """One member or frame or several, with or without a checksum: the engine unpacks them itself, whatever the name."""
    layout = desk.inspect(compress(TABLE), "crm.csv")
    assert (layout.rows, layout.path) == (5_000, str(desk.files / "crm.csv"))
    assert layout.compression in {"gzip", "zstd"}
    assert desk.copies() == []


@pytest.mark.parametrize("compress", COPIED)
def test_gzip_that_the_engine_cannot_read_is_copied(compress: Callable[[bytes], bytes], desk: Any) -> None:
    """Zeros between and behind members, and bgzip's members with a field of their own."""
    layout = desk.inspect(compress(TABLE))
    assert (layout.rows, layout.compression) == (5_000, "none")
    assert Path(layout.path).read_bytes() == TABLE


def test_a_name_does_not_decide(desk: Any) -> None:
    """A file that was unpacked on its way still has its old name."""
    assert desk.inspect(TABLE, "crm.csv.gz").compression == "none"


@pytest.mark.parametrize("compress", [gzip.compress, zstd.compress, checked])
@pytest.mark.parametrize("share", [tenth / 10 for tenth in range(1, 10)] + [0.9999])
def test_a_cut_file_is_an_os_error(compress: Callable[[bytes], bytes], share: float, desk: Any) -> None:
    """Wherever it was cut, one sentence says so before a single row is sent."""
    content = compress(TABLE)
    with pytest.raises(OSError, match=r"^crm\.csv is damaged: its (gzip|zstd) data end too early or cannot be read\."):
        desk.inspect(content[: int(len(content) * share)])


@given(
    place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7), compress=st.sampled_from([gzip.compress, checked])
)
def test_a_flipped_bit_never_changes_what_is_read(place: float, bit: int, compress: Any, desks: Any) -> None:
    """Either it is noticed, or it lies where nothing depends on it, as a gzip header's time does."""
    content = bytearray(compress(TABLE))
    content[int(place * len(content))] ^= 1 << bit
    with contextlib.suppress(OSError, ConfigurationError):
        layout = desks().inspect(bytes(content))
        assert (layout.names, layout.rows) == (("id", "email"), 5_000)


@pytest.mark.parametrize(
    "content",
    [
        gzip.compress(TABLE)[:5],
        gzip.compress(TABLE)[:-4] + b"\xff\xff\xff\x7f",
        gzip.compress(TABLE) + b"something else behind it",
        gzip.compress(TABLE) + gzip.compress(TABLE)[:-9],
        gzip.compress(TABLE)[:200] + b"\xff" * 200,
        zstd.compress(TABLE)[:5],
        zstd.compress(TABLE) + b"something else behind it",
        checked(TABLE)[:-1] + bytes([checked(TABLE)[-1] ^ 1]),
        zstd.compress(TABLE) + SKIPPABLE[:-1],
    ],
)
def test_a_damaged_end_is_an_os_error(content: bytes, desk: Any) -> None:
    """Checksums and lengths count, and so does what stands behind them."""
    with pytest.raises(OSError, match=r"^crm\.csv is damaged") as caught:
        desk.inspect(content)
    assert caught.value.__cause__ is None


def test_zstd_without_its_package_says_what_to_install(desk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra that brings it is named."""
    missing = "compression" if sys.version_info >= (3, 14) else "backports"
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ConfigurationError, match=r"needs an extra: pip install 'criteo-audiences\[files\]'"):
        desk.inspect(zstd.compress(TABLE))
