import gzip
import io
import os
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from criteo_audiences import ConfigurationError, Table

Cells = list[str | None]


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Writes a file of text, encoded as UTF-8, or of bytes."""

    def file(content: str | bytes, name: str = "crm.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return file


Write = Callable[..., Path]


async def cells(path: Any, column: str | None = None) -> Cells:
    """Reads a table's column to its end."""
    return [cell async for slice_, _ in Table.from_file(path, column=column).slices() for cell in slice_]


@pytest.mark.parametrize(
    "content",
    [
        "id,email,name\n1,a@b.co,Ann\n2,c@d.co,Bob\n",
        "id;email;name\n1;a@b.co;Ann\n2;c@d.co;Bob\n",
        "id\temail\tname\n1\ta@b.co\tAnn\n2\tc@d.co\tBob\n",
        "id|email|name\n1|a@b.co|Ann\n2|c@d.co|Bob\n",
        "id,email,name\r\n1,a@b.co,Ann\r\n2,c@d.co,Bob\r\n",
        "id,email,name\r1,a@b.co,Ann\r2,c@d.co,Bob",
        "\ufeffid,email,name\n1,a@b.co,Ann\n2,c@d.co,Bob",
        "\ufeffemail\na@b.co\nc@d.co",
        "sep=;\nid;email;name, first\n1;a@b.co;Ann\n2;c@d.co;Bob\n",
        "\ufeffSEP=|\r\nid|email;x;y;z\n1|a@b.co\n2|c@d.co\n",
        "\n\nid;email;name\n\n1;a@b.co;Ann\n\n\n2;c@d.co;Bob\n\n",
        '"id","email","name"\n"1","a@b.co","Doe, Ann"\n"2","c@d.co","Bob\nBuilder"\n',
        '"name, first;last;x;y","email"\nAnn,a@b.co\nBob,c@d.co\n',
        'email,note\na@b.co,"she said ""hi"", twice\n\nand left"\nc@d.co,\n',
        "email\na@b.co\nc@d.co\n",
    ],
)
@pytest.mark.parametrize("compressed", [False, True])
async def test_delimited_text_is_read_as_programs_write_it(content: str, compressed: bool, write: Write) -> None:  # noqa: FBT001 - parametrized
    """Four delimiters, three line ends, a BOM, a `sep=` line, empty lines, quotes: plain or gzip."""
    raw = gzip.compress(content.encode()) if compressed else content.encode()
    column = "email;x;y;z" if "email;x" in content else "email"
    assert await cells(write(raw), column) == ["a@b.co", "c@d.co"]


async def test_ragged_rows_have_no_cell_where_they_end(write: Write) -> None:
    """A short row is a row without the cell, a long one is read as far as the header goes."""
    path = write("id,name,email\n1\n2,Bob\n3,Cy,c@d.co\n4,Di,e@f.co,too,many\n5,Ed,\n")
    assert await cells(path) == [None, None, "c@d.co", "e@f.co", ""]


async def test_bytes_that_are_no_utf8_spoil_their_own_cell_only(write: Write) -> None:
    """Latin-1 in another column is harmless; in the chosen one the cell comes through as it cannot be valid."""
    path = write(b"name,email\nJos\xe9,a@b.co\nAnn,jos\xe9@d.co\n\xff\xfe,e@f.co\n")
    assert await cells(path) == ["a@b.co", "jos\udce9@d.co", "e@f.co"]


@pytest.mark.parametrize("count", [1_999, 2_000, 2_001, 6_000])
async def test_every_row_is_read_once_around_the_slices_borders(count: int, write: Write) -> None:
    """Files of any length come whole, with a share that grows to 1."""
    path = write("email\n" + "".join(f"{number}@example.com\n" for number in range(count)))
    shares, rows = [], []
    async for slice_, share in Table.from_file(path).slices():
        shares.append(share)
        rows += slice_
    assert rows == [f"{number}@example.com" for number in range(count)]
    assert shares == sorted(shares)
    assert shares[-1] == 1


async def test_a_header_without_rows_holds_nothing(write: Write) -> None:
    """No rows, no error."""
    assert await cells(write("id,email\n")) == []
    assert await cells(write("id,email")) == []


def workbook() -> bytes:
    """Builds the beginning of what Excel saves."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("[Content_Types].xml", "planted@example.com")
    return buffer.getvalue()


PLANTED = b"email\nplanted@example.com\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "crm.csv is empty: it has not even a header row."),
        (b"\n \n\t\n", "crm.csv is empty: it has not even a header row."),
        (b"\xef\xbb\xbf", "crm.csv is empty: it has not even a header row."),
        (b",,,\n,,\n", "crm.csv is empty: it has not even a header row."),
        (b"sep=;\n", "crm.csv is empty: it has not even a header row."),
        (gzip.compress(b""), "crm.csv is empty: it has not even a header row."),
        (
            workbook(),
            "crm.csv is an Excel workbook or another zip archive; expected CSV or TSV in UTF-8, plain or gzip.",
        ),
        (gzip.compress(workbook()), "crm.csv is an Excel workbook or another zip archive; expected CSV or TSV"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "crm.csv is an old Excel workbook; expected CSV"),
        (PLANTED.decode().encode("utf-16"), "crm.csv is UTF-16 text; expected CSV or TSV in UTF-8"),
        (PLANTED.decode().encode("utf-16-le"), "crm.csv is binary; expected CSV or TSV in UTF-8"),
        (b"PAR1" + PLANTED, "crm.csv is a Parquet file; expected"),
        (b"%PDF-1.7", "crm.csv is a PDF; expected"),
        (b"email\n\x00\x01planted@example.com", "crm.csv is binary; expected"),
        (b"planted@example.com\nc@d.co\n", "crm.csv has no header row: its first line already holds data."),
    ],
)
async def test_what_is_no_delimited_text_is_named(content: bytes, message: str, write: Write) -> None:
    """One clear sentence says what the file is, and shows nothing of it."""
    with pytest.raises(ConfigurationError) as caught:
        await cells(write(content))
    assert str(caught.value).startswith(message)
    assert "planted" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    "content",
    [
        gzip.compress(PLANTED * 5_000)[:-9],
        gzip.compress(PLANTED * 5_000)[:300],
        gzip.compress(PLANTED)[:5],
        gzip.compress(PLANTED)[:-4] + b"\xff\xff\xff\x7f",
        gzip.compress(PLANTED * 5_000)[:200] + b"\xff" * 200,
    ],
)
async def test_a_damaged_gzip_file_is_an_os_error(content: bytes, write: Write) -> None:
    """Wherever it breaks, the error says so, and names the file."""
    with pytest.raises(OSError, match=r"^crm\.csv\.gz is damaged: its gzip data end too early or cannot be read\.$"):
        await cells(write(content, "crm.csv.gz"))


async def test_a_quote_that_is_never_closed_is_an_error_that_names_its_line(write: Write) -> None:
    """The rows that it swallowed are not silently left out."""
    path = write('sep=,\nname,email\nAnn,a@b.co\n"Doe\nJane",e@f.co\n"Bob,planted@example.com\nCy,c@d.co\n')
    with pytest.raises(OSError, match=r"^crm\.csv ends inside a quoted cell: a quote in line 6 was never closed\.$"):
        await cells(path)


async def test_a_quoted_cell_without_an_end_stops_at_its_bound(write: Write) -> None:
    """A large file is not read into memory because of one quote."""
    with pytest.raises(OSError, match=r"a cell is longer than 1,000,000 characters.*never closed\.$"):
        await cells(write('email\n"a@b.co\n' + "planted@example.com\n" * 60_000))


async def test_a_path_that_cannot_be_read_is_an_os_error(tmp_path: Path) -> None:
    """A file that is not there is told by the system; a directory by name."""
    with pytest.raises(FileNotFoundError):
        await cells(tmp_path / "nowhere.csv")
    with pytest.raises(ConfigurationError, match="is a directory; expected a file"):
        await cells(tmp_path)


async def test_the_file_is_closed_when_reading_stops(write: Write) -> None:
    """A reader that leaves early leaves no file open: an unclosed one would warn, which fails the test."""
    slices = Table.from_file(write(PLANTED * 5_000)).slices()
    await anext(slices)
    await slices.aclose()


def test_the_chosen_column_can_be_asked_for(write: Write) -> None:
    """Before anything is read, except of standard input."""
    path = write("id, E-Mail \n1,a@b.co\n")
    assert Table.from_file(path).chosen_column() == "E-Mail"
    with pytest.raises(ConfigurationError, match=r"name the column with column="):
        Table.from_file("-").chosen_column()


@pytest.mark.parametrize("compressed", [False, True])
async def test_standard_input_is_read_and_stays_open(compressed: bool, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: FBT001 - parametrized
    """`-` reads standard input, which others may still need."""
    content = b"email\na@b.co\nc@d.co\n"
    given = io.BufferedReader(io.BytesIO(gzip.compress(content) if compressed else content))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(given))
    assert await cells("-") == ["a@b.co", "c@d.co"]
    assert not given.closed
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(b""))))
    with pytest.raises(ConfigurationError, match=r"^standard input is empty"):
        await cells("-")


def test_what_can_be_read_only_once_is_refused(tmp_path: Path) -> None:
    """A named pipe is not waited for: it belongs on standard input."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(ConfigurationError, match="no regular file"):
        Table.from_file(pipe).chosen_column()
