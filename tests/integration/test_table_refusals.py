"""Tables that cannot be read: one clear error each, nothing sent, and no cell in anything that is shown."""

import gzip
import logging
import os
import random
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from criteo_audiences import ConfigurationError, Table
from criteo_audiences.tables.engine.opening import open_table
from tests.kit import no_descriptors

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PLANTED = "planted.person"
CELL = f"{PLANTED}@example.com"
ROWS = "".join(f"{number},{CELL}\n" for number in range(50))


def _parquet(path: Path) -> None:
    pl.DataFrame({"email": [CELL] * 1_000}).write_parquet(path)


def _damaged_parquet(path: Path) -> None:
    _parquet(path)
    content = bytearray(path.read_bytes())
    content[40:-200] = b"\xff" * len(content[40:-200])
    path.write_bytes(content)


def _flipped(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 0x10]) + content[middle + 1 :]


def _noise(count: int) -> bytes:
    return random.Random(count).randbytes(count)  # noqa: S311 - no secret


MANY = "id,email\n" + "".join(f"{number},{PLANTED}{number}@example.com\n" for number in range(20_000))
JSON = f'{{"email": "{CELL}"}}\n'

FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda _: None, "There is no file 'crm.csv'"),
    "empty": (lambda path: path.write_bytes(b""), "empty"),
    "blank": (lambda path: path.write_bytes(b"\n\n"), "crm"),
    "without a header": (lambda path: path.write_text(ROWS), "crm"),
    "cut gzip": (lambda path: path.write_bytes(gzip.compress(f"id,email\n{ROWS}".encode())[:-9]), "damaged"),
    "damaged gzip": (
        lambda path: path.write_bytes(b"\x1f\x8b\x08\x00" + b"\0" * 6 + CELL.encode() * 9),
        "damaged",
    ),
    "binary": (lambda path: path.write_bytes(bytes(range(256)) * 40 + CELL.encode()), "binary"),
    "workbook": (lambda path: path.write_bytes(b"PK\x03\x04" + CELL.encode()), "workbook"),
    "directory": (lambda path: path.mkdir(), "directory without Parquet"),
    "two of a name": (lambda path: path.write_text(f"Email,email\n{CELL},{CELL}\n"), "several columns"),
    "open quote in the header": (lambda path: path.write_text(f'id,"email\n1,{CELL}\n2,x\n'), "line 1 was never"),
    "no e-mails": (lambda path: path.write_text(f"name,city\n{PLANTED},Paris\n"), "No column"),
    "only flags": (lambda path: path.write_text(f"name,email opt in\n{PLANTED},yes\n"), "No column"),
    "one list": (lambda path: path.write_text(f'[{{"email": "{CELL}"}}]'), "one JSON list"),
    "no object": (lambda path: path.write_text(f'{{"email": "{CELL}"}}\n"{CELL}"\n'), "Line 2"),
    "cut parquet": (lambda path: (_parquet(path), path.write_bytes(path.read_bytes()[:-3])), "cut or damaged"),
    "damaged parquet": (_damaged_parquet, "damaged"),
    "numbers": (lambda path: pl.DataFrame({"email": [1]}).write_parquet(path), "No column"),
    "a flipped bit in gzip": (lambda path: path.write_bytes(_flipped(gzip.compress(MANY.encode()))), "gzip data"),
    "half a zstd": (lambda path: path.write_bytes(zstd.compress(MANY.encode())[:9_000]), "its zstd data"),
    "half a parquet": (lambda path: (_parquet(path), path.write_bytes(path.read_bytes()[:200])), "cut or damaged"),
    "picture": (lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n" + _noise(999)), "is a picture"),
    "noise": (lambda path: path.write_bytes(_noise(9_999)), "is binary"),
    "zeros": (lambda path: path.write_bytes(bytes(9_999)), "is binary"),
    "a zero in the middle": (lambda path: path.write_text(f"{MANY}\0\n"), r"Line 20,002 .* a NUL"),
    "one of two of a name holds others": (
        lambda path: path.write_text(f"email,email\nyes,{CELL}\n"),
        "'email' .0% fit.*column='column_1'",
    ),
    "another delimiter": (lambda path: path.write_text(f"email\nAnn|{CELL}\n"), r"Line 2 of crm\.csv divides"),
    "a title above": (lambda path: path.write_text(f"Email list\nid|email\n1|{CELL}\n"), "give skip_rows=1"),
    "a number for an e-mail": (lambda path: path.write_text("id,email\n" + "1,2\n" * 30), "'email' .0% fit"),
    "one long line": (lambda path: path.write_text("id,email" + ",x" * 300_000), "first line"),
    "a long line": (lambda path: path.write_text(f"{MANY}1,{'x' * 2_500_000}\n"), "a line is too long"),
    "a last line longer than what is read at once": (
        lambda path: path.write_text(f"id,email\n1,{CELL}\n2,{'x' * 9_000_000}"),
        "a line is too long",
    ),
    "a row of many lines": (
        lambda path: path.write_text(MANY + '1,"' + "x\n" * 1_200_000 + '"\n'),
        "line 20,002 is too long",
    ),
    "a long object": (
        lambda path: path.write_text(f'{JSON}{{"x": "{"x" * 40_000_000}"}}\n'),
        "object, or a line, is too",
    ),
    "no object later": (lambda path: path.write_text(JSON * 2_000 + "{\n" + JSON), "line 2,001 that is no JSON object"),
    "a list later": (lambda path: path.write_text(JSON * 2_000 + "[1]\n" + JSON), "line 2,001 that is no JSON object"),
    "a key twice": (
        lambda path: path.write_text(JSON * 2_000 + '{"email": "planted@example.com", "email": "b"}\n'),
        "line 2,001 with a key twice; expected each key once",
    ),
    "null device": (lambda path: path.symlink_to(os.devnull), "crm.csv is empty"),
    "broken link": (lambda path: path.symlink_to(f"/nowhere/{PLANTED}"), "There is no file 'crm.csv'"),
    "link to itself": (lambda path: path.symlink_to(path), "Too many levels"),
}


def shown(error: BaseException, caplog: pytest.LogCaptureFixture) -> str:
    """Returns all that anybody may see of an error, and of those it came from."""
    texts = [record.getMessage() for record in caplog.records]
    each: BaseException | None = error
    while each is not None:
        texts += [str(each), repr(each), *traceback.format_exception(each), *getattr(each, "__notes__", ())]
        each = each.__cause__ or each.__context__
    return "\n".join(texts)


@pytest.mark.parametrize(("write", "words"), FILES.values(), ids=FILES)
async def test_a_file_that_cannot_be_used(
    stage: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture, write: Callable[[Path], object], words: str
) -> None:
    """It is named by its file name only."""
    caplog.set_level(logging.DEBUG)
    directory = tmp_path / f"of {CELL}"
    directory.mkdir()
    write(directory / "crm.csv")
    with pytest.raises((ConfigurationError, OSError), match=words) as caught:
        await stage.upload(directory / "crm.csv")
    assert "crm.csv" in str(caught.value)
    assert PLANTED not in shown(caught.value, caplog)
    assert stage.amendments == []


async def test_a_file_that_disappears(stage: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the look at it and its rows: one line, and nothing is sent."""
    path = tmp_path / "crm.csv"
    path.write_text(MANY)

    def look(*arguments: Any, **options: Any) -> Any:
        opened = open_table(*arguments, **options)
        path.unlink()
        return opened

    monkeypatch.setattr("criteo_audiences.tables.reader.open_table", look)
    with pytest.raises(OSError, match=r"crm\.csv is not there any more"):
        await stage.upload(path)
    assert stage.amendments == []


@pytest.mark.parametrize("write", [lambda path: path.write_text(MANY), _parquet], ids=["text", "Parquet"])
@pytest.mark.parametrize("first", [True, False])
async def test_lack_of_descriptors_is_no_fault_of_the_file(
    stage: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[[Path], object], first: object
) -> None:
    """However many are left, and whether the temporary directory is known yet: it is read, or their lack is named."""
    path = tmp_path / "crm"
    write(path)
    await stage.upload(path, dry_run=True)
    for spare in range(7):
        if first:
            monkeypatch.setattr(tempfile, "tempdir", None)
        with no_descriptors(spare):
            try:
                report = await stage.upload(path, dry_run=True)
            except OSError as error:
                words = "this process has no file descriptors left; raise the limit (ulimit -n)."
                assert words in str(error), spare  # noqa: PT017
            else:
                assert report.read, spare
                assert spare > 3


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
async def test_a_file_that_may_not_be_read(stage: Any, tmp_path: Path) -> None:
    """The error is the system's own, with the file's name."""
    path = tmp_path / "crm.csv"
    path.write_text(MANY)
    path.chmod(0)
    with pytest.raises(PermissionError, match=r"crm\.csv"):
        await stage.upload(path)


async def test_a_condition_shows_nothing(stage: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Neither in an error, in what it came from, nor in what a table or its settings look like."""
    caplog.set_level(logging.DEBUG)
    path = tmp_path / "crm.csv"
    path.write_text(f"id,email\n{ROWS}")
    for where in (f'email = "{CELL}"', "CAST(email AS INT) = 1", "email::date > '2024-01-01'"):
        with pytest.raises(ConfigurationError) as caught:
            await stage.upload(path, where=where)
        assert PLANTED not in shown(caught.value, caplog)
    assert PLANTED not in repr(Table.from_file(path, where=f"email = '{CELL}'"))
    assert PLANTED not in repr(Table.from_query(f"SELECT '{CELL}' AS email"))


async def test_patterns_and_lists_without_files(tmp_path: Path) -> None:
    """They are refused when the table is described."""
    with pytest.raises(FileNotFoundError, match=r"There is no file '\*\.csv' and none that it matches as a pattern"):
        Table.from_file(tmp_path / "*.csv")
    with pytest.raises(ConfigurationError):
        Table.from_file([])
    with pytest.raises(ConfigurationError, match="SELECT"):
        Table.from_query(" ")
    with pytest.raises(TypeError, match="__arrow_c_stream__"):
        Table.from_arrow([])


async def test_options_of_tables_only(stage: Any) -> None:
    """An iterable has no columns."""
    for options in ({"column": "email"}, {"where": "1=1"}, {"columns": {"email": "email"}}):
        with pytest.raises(ConfigurationError, match=next(iter(options))):
            await stage.upload([CELL], **options)
    with pytest.raises(ConfigurationError, match="memory_limit"):
        await stage.upload([CELL], memory_limit="lots")


async def test_two_open_quotes_that_pair_up(stage: Any, tmp_path: Path) -> None:
    """Rows between them are one cell to everybody; it is rejected, and what stands outside goes out."""
    path = tmp_path / "crm.csv"
    path.write_text('id,email\n1,a@b.co\n2,"c@b.co\n3,d@b.co\n4,e@b.co"\n5,f@b.co\n')
    report = await stage.upload(path)
    assert stage.held == {"a@b.co", "f@b.co"}
    assert report.rejected == {"several_at_signs": 1}
