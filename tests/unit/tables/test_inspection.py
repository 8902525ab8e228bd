import contextlib
import gzip
import io
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from criteo_audiences import ConfigurationError
from criteo_audiences.tables.engine.connection import read_csv
from criteo_audiences.tables.files.inspection import inspect
from criteo_audiences.tables.files.scan import HEAD, Scan

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PLANTED = b"email,name\nplanted@example.com,Ann\n"
EXPECTED = "expected CSV, TSV or JSON lines (plain, gzip or zstd), or Parquet."
ADDRESSES = (("a@b.co",), ("c@d.co",))


@pytest.mark.parametrize(
    ("content", "delimiter", "skip", "quotes"),
    [
        ("id,email,name\n1,a@b.co,Ann\n2,c@d.co,Bob\n", ",", 1, False),
        ("id;email;name\n1;a@b.co;Ann\n2;c@d.co;Bob\n", ";", 1, False),
        ("id\temail\tname\n1\ta@b.co\tAnn\n2\tc@d.co\tBob\n", "\t", 1, False),
        ("id|email|name\n1|a@b.co|Ann\n2|c@d.co|Bob\n", "|", 1, False),
        ("id^email^name\n1^a@b.co^Ann\n2^c@d.co^Bob\n", "^", 1, False),
        ("id\x01email\x01name\n1\x01a@b.co\x01Ann\n2\x01c@d.co\x01Bob\n", "\x01", 1, False),
        ("id,email,name\r\n1,a@b.co,Ann\r\n2,c@d.co,Bob\r\n", ",", 1, False),
        ("id,email,name\r1,a@b.co,Ann\r2,c@d.co,Bob", ",", 1, False),
        ("\ufeffid,email,name\n1,a@b.co,Ann\n2,c@d.co,Bob", ",", 1, False),
        ('\ufeff"email"\na@b.co\nc@d.co', ",", 1, False),
        ("email\na@b.co\nc@d.co\n", ",", 1, False),
        ("sep=;\nid;email;name, first\n1;a@b.co;Ann\n2;c@d.co;Bob\n", ";", 2, False),
        ("\ufeff\nSEP=|\r\nid|email|x;y;z;w\n1|a@b.co\n2|c@d.co\n", "|", 3, False),
        ("\n \nid;email;name\n\n1;a@b.co;Ann\n\n\n2;c@d.co;Bob\n\n", ";", 3, False),
        (",,\n,,\nid,email,name\n1,a@b.co,Ann\n2,c@d.co,Bob\n", ",", 3, False),
        ('"id","email","name"\n"1","a@b.co","Doe, Ann"\n"2","c@d.co","Bob\nBuilder"\n', ",", 1, True),
        ('"id","email"\n1,a@b.co\n2,c@d.co\n', ",", 1, False),
        ('"a; first;last;x;y","email"\nAnn,a@b.co\nBob,c@d.co\n', ",", 1, False),
        ("a; first and last; both,email\nAnn,a@b.co\nBob,c@d.co\n", ",", 1, False),
        ('id,"The\r\nlong\n\nname",email\n1,Ann,a@b.co\n2,Bob,c@d.co\n', ",", 1, False),
        ('\n\n"The\nlong","email"\n"1","a@b.co"\n"2","c@d.co"\n', ",", 3, True),
        ('sep=,\n\n"The\nlong","email"\n1,a@b.co\n2,c@d.co\n', ",", 3, False),
        ('"email","size"\n"a@b.co","5"" pipe"\n"c@d.co",""\n', ",", 1, True),
    ],
)  # fmt: skip
@pytest.mark.parametrize("compress", [bytes, gzip.compress, zstd.compress])
def test_delimited_text_is_understood_as_programs_write_it(
    content: str,
    delimiter: str,
    skip: int,
    quotes: bool,  # noqa: FBT001 - parametrized
    compress: Callable[[bytes], bytes],
    desks: Any,
) -> None:
    """Delimiters, line ends, a BOM, a `sep=` line, lines without content, quotes: all alike when compressed."""
    desk = desks()
    layout = desk.inspect(compress(content.encode()))
    assert (layout.format, layout.delimiter, layout.skip, layout.quotes) == ("csv", delimiter, skip, quotes)
    position = layout.names.index("email")
    assert tuple(row[position : position + 1] for row in layout.sample) == ADDRESSES
    assert layout.rows == 2
    assert layout.path == str(desk.files / "crm.csv")  # the engine reads it as it is
    assert desk.copies() == []


def test_a_byte_order_mark_that_hides_a_quote_is_left_out(desk: Any) -> None:
    """DuckDB takes a quoted name behind the mark for an unquoted one, and would count one row too few."""
    layout = desk.inspect('\ufeff"The\nname",email\n"Ann",a@b.co\n')
    assert (layout.names, layout.skip) == (("The\nname", "email"), 1)
    assert Path(layout.path).read_text() == '"The\nname",email\n"Ann",a@b.co\n'


def test_ragged_rows_are_made_as_wide_as_the_header(desk: Any) -> None:
    """A short row lacks cells, a long one has cells that belong to no column."""
    layout = desk.inspect("id,name,email\n1\n2,Bob\n3,Cy,c@d.co\n4,Di,e@f.co,too,many\n5,Ed,\n")
    assert layout.sample == (
        ("1", None, None),
        ("2", "Bob", None),
        ("3", "Cy", "c@d.co"),
        ("4", "Di", "e@f.co"),
        ("5", "Ed", ""),
    )


def test_names_are_trimmed_and_kept_when_they_repeat(desk: Any) -> None:
    """Whether a repeated or empty name matters is decided when a column is chosen."""
    layout = desk.inspect(" id ,\u00a0E-Mail\u200b,,id\n1,a@b.co,,\n")
    assert layout.names == ("id", "E-Mail", "", "id")


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_a_header_without_rows_has_none(ending: str, desk: Any) -> None:
    """No rows, no error."""
    layout = desk.inspect("id,email" + ending)
    assert (layout.names, layout.rows, layout.sample) == (("id", "email"), 0, ())


def test_rows_are_estimated_beyond_the_sample(desk: Any) -> None:
    """A thousand rows are looked at; line ends tell about how many there are, within a few percent."""
    rows = 200_000
    lines = "".join(f"{number},{'x' * (number * 7919 % 41)}\n" for number in range(rows))
    layout = desk.inspect("id,name\n" + lines)
    assert len(layout.sample) == 1_000
    assert layout.rows == pytest.approx(rows, rel=0.03)
    assert desk.inspect("id\n" + "1\n" * 2_000, "small.csv").rows == 2_000


def test_the_sample_stays_out_of_logs(desk: Any) -> None:
    """A layout's text shows names, no values."""
    assert "planted" not in repr(desk.inspect(PLANTED))


# What is refused


def workbook() -> bytes:
    """Builds the beginning of what Excel saves."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("[Content_Types].xml", "planted@example.com")
    return buffer.getvalue()


EMPTY = "crm.csv is empty: it has not even a header row."
NO_HEADER = "crm.csv has no header row: its first line already holds data. Add a line of names."
MD5 = b"e13743a7f1db7f4246badd6fd6ff54ff"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", EMPTY),
        (b"\n \n\t\n", EMPTY),
        (b"\xef\xbb\xbf", EMPTY),
        (b"\xef\xbb\xbf\r\n", EMPTY),
        (b"\xff\xfe", EMPTY),
        (b",,,\n,,\n", EMPTY),
        (b"sep=;\n", EMPTY),
        (gzip.compress(b""), EMPTY),
        (zstd.compress(b""), EMPTY),
        (workbook(), f"crm.csv is an Excel workbook or another zip archive (save its sheet as CSV); {EXPECTED}"),
        (gzip.compress(workbook()), "crm.csv is an Excel workbook or another zip archive"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + PLANTED, "crm.csv is an old Excel workbook"),
        (b"BZh91AY&SY\x01\x02", "crm.csv is bzip2-compressed; expected"),
        (b"\xfd7zXZ\x00\x00", "crm.csv is xz-compressed; expected"),
        (b"7z\xbc\xaf\x27\x1c\x00\x04", "crm.csv is a 7-Zip archive; expected"),
        (b"SQLite format 3\x00" + PLANTED, "crm.csv is an SQLite database; expected"),
        (b"%PDF-1.7" + PLANTED, "crm.csv is a PDF; expected"),
        (b"\xef\xbb\xbf<?xml version='1.0'?><a>planted@example.com</a>", "crm.csv is XML; expected"),
        (b"\n<!DOCTYPE html><html>planted@example.com", "crm.csv is a web page; expected"),
        (gzip.compress(gzip.compress(PLANTED)), "crm.csv is gzip inside a compressed file; expected"),
        (gzip.compress(b"PAR1\x15\x00" + PLANTED), "crm.csv is a Parquet file inside a compressed one; expected"),
        (b"PARE" + bytes(20), "crm.csv is an encrypted Parquet file; expected"),
        (b"email\n\x00\x01planted@example.com", "Line 2 of crm.csv holds a NUL (a zero byte), which no text holds; "),
        (PLANTED * 20_000 + b"\0", "Line 40,001 of crm.csv holds a NUL (a zero byte), which no text holds; "),
        (PLANTED * 20_000 + b"a\0" + PLANTED * 10_000, "Line 40,001 of crm.csv holds a NUL"),
        (PLANTED.replace(b"\n", b"\r") * 20_000 + b"\0", "Line 40,001 of crm.csv holds a NUL"),
        (gzip.compress(PLANTED + b"\0"), "Line 3 of crm.csv holds a NUL"),
        (PLANTED.decode().replace("A", "\0").encode("utf-16"), "Line 2 of crm.csv holds a NUL"),
        (PLANTED * 200 + bytes(range(256)) * 400, f"crm.csv is binary; {EXPECTED}"),
        (b"\x02\x03\x04\x05planted@example.com", "crm.csv is binary; expected"),
        (b"planted@example.com\nc@d.co\n", NO_HEADER),
        (b"1,Planted <planted@example.com>\n", NO_HEADER),
        (MD5 + b"\n", NO_HEADER),
        (b"x," + (MD5 * 2).upper() + b"\n", NO_HEADER),
        (b"Ann,+49 (151) 1234-5678\n", NO_HEADER),
        (b"Ann,0612345678\n", NO_HEADER),
        (b"123e4567-e89b-12d3-a456-426614174000\n", NO_HEADER),
        (b"x" * (HEAD + 1), "The first line of crm.csv is longer than 512 KiB; expected"),
    ],
)
def test_what_is_no_list_of_rows_is_named(content: bytes, message: str, desk: Any) -> None:
    """One clear sentence says what the file is, and shows nothing of it."""
    with pytest.raises(ConfigurationError) as caught:
        desk.inspect(content)
    assert str(caught.value).startswith(message)
    assert "planted" not in str(caught.value).lower()
    assert MD5.decode() not in str(caught.value).lower()
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    "header",
    ["ORCID,email", "BZhao,email", "2024-01-15,20240115,15.01.2024,email", "Twitter @handle,email", "1,2,email"],
)
def test_a_header_that_only_looks_odd_is_a_header(header: str, desk: Any) -> None:
    """Letters that some format begins with, dates of a pivot table and single digits are names."""
    assert desk.inspect(header + "\n").names == tuple(header.split(","))


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ('"name,email\nAnn,planted@example.com', 1),
        ('sep=,\n\n"name","email\nAnn,planted@example.com', 3),
        ('name,"email\nAnn,planted\nBob,"q"\n', 1),
        ('\nname,"email"s"x\nAnn,planted@example.com\n', 2),
    ],
)
def test_a_quote_in_the_header_that_is_never_closed_is_an_error_that_names_its_line(
    content: str, line: int, desk: Any
) -> None:
    """Without a header that is certain, no column is."""
    with pytest.raises(OSError, match=rf"^crm\.csv.* line {line}\b.*never closed") as caught:
        desk.inspect(content)
    assert "planted" not in str(caught.value)


# Paths


def test_what_is_not_there_is_named_without_its_path(tmp_path: Path) -> None:
    """The directories around a file are nobody's business."""
    with pytest.raises(FileNotFoundError) as caught:
        inspect(f"{tmp_path}/./nowhere.csv", tmp_path / "workspace")
    assert str(caught.value).startswith("There is no file 'nowhere.csv'.")


def test_a_copy_that_cannot_be_written_is_not_mistaken_for_the_file(desk: Any) -> None:
    """The file is there; what fails is its copy."""
    path = desk.write("é;email\n".encode("cp1252"))
    with pytest.raises(FileNotFoundError) as caught:
        inspect(str(path), desk.workspace / "nowhere")
    assert str(caught.value) == "[Errno 2] No such file or directory: 'a temporary copy'"


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_standard_input_is_kept_and_stays_open(
    compress: Callable[[bytes], bytes], desk: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`-` reads standard input, which others may still need, into a file of the owner's alone."""
    given = io.BufferedReader(io.BytesIO(compress(PLANTED)))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(given))
    layout = inspect("-", desk.workspace)
    assert (layout.name, layout.names, layout.rows) == ("standard input", ("email", "name"), 1)
    assert [(path.read_bytes(), path.stat().st_mode & 0o777) for path in desk.copies()] == [(compress(PLANTED), 0o600)]
    assert not given.closed


def test_empty_standard_input_is_named(desk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """As any other file without a header."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO()))
    with pytest.raises(ConfigurationError, match=r"^standard input is empty"):
        inspect("-", desk.workspace)


@given(
    content=st.one_of(
        st.binary(max_size=200),
        st.text('ab@.,;|\t"\n\r\ufeff{}[]:=sep\x00é', max_size=80).map(str.encode),
        st.text("a;é日\n", max_size=80).map(lambda text: text.encode("utf-16")),
    ),
    compress=st.sampled_from([bytes, gzip.compress, zstd.compress]),
)
def test_whatever_a_file_holds_it_is_a_layout_or_one_clear_error(content: bytes, compress: Any, desks: Any) -> None:
    """No other exception gets out, and a layout is consistent in itself."""
    with contextlib.suppress(OSError, ConfigurationError):
        layout = desks().inspect(compress(content))
        assert layout.names or layout.format == "json"
        assert all(len(row) == len(layout.names) for row in layout.sample)
        assert layout.is_broken or layout.rows == len(layout.sample)
        assert Path(layout.path).is_file()


@given(pieces=st.lists(st.text("ab\n", min_size=1, max_size=6), min_size=1, max_size=20))
def test_lines_that_reach_beyond_a_piece_are_measured(pieces: list[str]) -> None:
    """However a text is cut, the longest line is known if it is longer than a piece, and none is thought longer."""
    scan = Scan()
    scan.read(piece.encode() for piece in pieces)
    lines = [len(line) for line in "".join(pieces).split("\n")]
    beyond = [line for line in lines if line > max(map(len, pieces))]
    assert max(beyond, default=0) <= scan.longest <= max(lines)


def test_old_line_ends_are_line_ends(desk: Any) -> None:
    """A large file of carriage returns alone has no long line."""
    assert desk.inspect("email\r" + "a@b.co\r" * 400_000).names == ("email",)


@pytest.mark.parametrize("length", [2_000_000, 2_000_001])
def test_the_longest_line_that_is_taken(desk: Any, length: int) -> None:
    """Both sides of the bound."""
    content = "id,email\n" + "x" * length
    if length == 2_000_000:
        assert desk.inspect(content).names == ("id", "email")
    else:
        with pytest.raises(OSError, match=r"crm\.csv: a line is too long"):
            desk.inspect(content)


# A delimiter that the header lacks, and lines above the header

HEADER = "There, line {} looks like the header: give skip_rows={} (--skip-rows on the command line)."
BY_A_LIST = "Name every column in the header, or give values that hold the character themselves as a list."


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ("Email export\nid|email\n1|planted@b.co\n", ("3", "'|'", "1", HEADER.format(2, 1))),
        ("E-mail list\n\nid~name~email\n1~Ann~planted@b.co\n", ("4", "'~'", "1", HEADER.format(3, 2))),
        ("Emails; all\nid^email\n1^planted@b.co\n", ("3", "'^'", "1", HEADER.format(2, 1))),
        ("\n\nemail\nplanted@b.co|Ann", ("4", "'|'", "3", BY_A_LIST)),
        ("id;email\n1,planted@b.co\n2,c@d.co\n", ("2", "','", "1", BY_A_LIST)),
        ("phone\nAnn|+33 6 12 34 56 78\n", ("2", "'|'", "1", BY_A_LIST)),
        ("email\nAnn\tplanted@b.co\n", ("2", "a tab", "1", BY_A_LIST)),
        ("email\nAnn\x01planted@b.co\n", ("2", "the character U+0001", "1", BY_A_LIST)),
        ('email\n5" tall|planted@b.co\n"Bob"|c@d.co\n', ("2", "'|'", "1", BY_A_LIST)),
        *((f"email\nAnn{sign}planted@b.co\nBob{sign}c@d.co\n", ("2", f"'{sign}'", "1", BY_A_LIST)) for sign in "|^~;,"),
        *(
            (f"email\n12{sign}planted@b.co\n13{sign}c@d.co\n", ("2", f"'{sign}'", "1", BY_A_LIST))
            for sign in "!#$*/=`{}"
        ),
    ],
)
def test_a_delimiter_that_the_header_lacks_is_refused(content: str, found: tuple[str, ...], desk: Any) -> None:
    """Otherwise a name or a number beside an address would become part of it."""
    with pytest.raises(ConfigurationError) as caught:
        desk.inspect(content)
    line, sign, header, way = found
    assert str(caught.value) == (
        f"Line {line} of crm.csv divides its cells by {sign}, which line {header}, its header, does not. {way}"
    )


@pytest.mark.parametrize(
    "content",
    [
        "phone\n030/1234567 / 089/7654321\n+1 415 555 0134 #12345678\n",
        "email\na/b@c.co\n" + "d@e.co\n" * 9,
        "email,page\na@b.co,x.com/a@b.co\nc@d.co,x.com/c@d.co\n",
    ],
)
def test_a_sign_that_numbers_and_a_few_addresses_hold_divides_nothing(content: str, desk: Any) -> None:
    """Only where half of the rows with an address have it, it is a delimiter."""
    assert desk.inspect(content).delimiter == ","


@pytest.mark.parametrize("sign", [*"|^~;,"])
def test_lines_that_are_wrapped_in_quotes_are_refused(sign: str, desk: Any) -> None:
    """As spreadsheets save a column into which whole lines were pasted; a header may hold such a character, though."""
    with pytest.raises(ConfigurationError) as caught:
        desk.inspect(f'"id{sign}email"\n"12{sign}planted@b.co"\n"13{sign}""c@d.co"""\n')
    assert str(caught.value) == (
        f"Line 2 of crm.csv is one quoted cell with others in it, divided by '{sign}'; export it again without quotes "
        "around whole lines."
    )
    assert desk.inspect(f'"email{sign} private"\n"a@b.co"\nc@d.co\n', "b.csv").sample == ADDRESSES


RARE = st.sampled_from(["|", "~", "^"])


@pytest.mark.parametrize(
    "content",
    [
        "email\na@b.co\nAnn|c@d.co\ne@f.co\n",
        'email\n"Ann|a@b.co"\n"Bob|c@d.co"\n',
        "email\na@b.co;\nc@d.co;\n",
        "email\na@b.co,\nc@d.co,Ann\n",
        "customer id\nFR|1234567\nDE|7654321\n",
        "email\n",
        "email\nNULL\nmailto:a@b.co\n",
        "tags,email\nvip|new,a@b.co\nold|x@y.z,c@d.co\n",
        "phone\n+33 6 12 34 56 78\n",
        'note,email\n"Regards\nAnn | x@y.co\n5"" tall",a@b.co\n"\nBob ~ x@y.co\n",c@d.co\n',
        'size,email\n5" pipe,a@b.co\n"Regards\nAnn | x@y.co",c@d.co\n',
    ],
)
def test_a_file_whose_values_hold_such_a_character_is_read(content: str, desk: Any) -> None:
    """One column of addresses of which a few hold `|`, values in quotes, ids of two parts, tags, notes of many lines."""
    assert desk.inspect(content).names[-1] in {"email", "customer id", "phone"}


@settings(max_examples=settings.default.max_examples * 2 // 5)
@given(plain=st.integers(2, 20), odd=st.integers(0, 2), sign=RARE, data=st.data())
def test_one_column_is_never_refused_for_a_few_odd_addresses(
    plain: int, odd: int, sign: str, data: Any, desks: Any
) -> None:
    """As long as most of its addresses hold no such character."""
    odd = min(odd, (plain - 1) // 2)
    rows = [f"person{row}@b.co" for row in range(plain)] + [f"a{sign}b{row}@b.co" for row in range(odd)]
    rows = data.draw(st.permutations(rows))
    assert [row[0] for row in desks().inspect("email\n" + "\n".join(rows)).sample] == rows


ABOVE = "Report:,Customers\n\nMade for Ann\n"


@pytest.mark.parametrize(
    ("content", "skip_rows", "skip"),
    [
        (ABOVE + "id;email\n1;a@b.co\n2;c@d.co\n", 3, 4),
        (ABOVE + "sep=;;;;\nid;email\n1;a@b.co\n2;c@d.co\n", 3, 5),
        (ABOVE + "sep = ;\n\nid;email\n1;a@b.co\n2;c@d.co\n", 3, 6),
        ("sep=;;;;\nid;email\n1;a@b.co\n2;c@d.co\n", None, 2),
        ("sep = |\r\nid|email\r\n1|a@b.co\r\n2|c@d.co\r\n", None, 2),
        ('"sep=\t"\nid\temail\n1\ta@b.co\n2\tc@d.co\n', None, 2),
        (ABOVE.replace("\n", "\r") + "id,email\r1,a@b.co\r2,c@d.co\r", 3, 4),
        ("id,email\n1,a@b.co\n2,c@d.co\n", 0, 1),
    ],
)
def test_lines_above_the_header_are_left_out(content: str, skip_rows: int | None, skip: int, desk: Any) -> None:
    """`skip_rows` counts lines of the file; a `sep=` line may be widened, and stand after them."""
    layout = desk.inspect(content, skip_rows=skip_rows)
    assert (layout.names, layout.skip) == (("id", "email"), skip)
    assert tuple(row[1:] for row in layout.sample) == ADDRESSES


@pytest.mark.parametrize("above", ['The "best customers\n', '"\n""\n', 'a"\r\n\r\n', '"Report","Ann"\n'])
@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_quotes_above_the_header_begin_no_cell(above: str, compress: Callable[[bytes], bytes], desk: Any) -> None:
    """The engine would count such lines otherwise, so it reads a copy in which they hold none."""
    content = compress((above + 'id,email\n1,a@b.co\n2,"c@d.co"\n').encode())
    layout = desk.inspect(content, skip_rows=above.count("\n"))
    assert (layout.names, layout.skip) == (("id", "email"), above.count("\n") + 1)
    assert '"' not in Path(layout.path).read_text().partition("id,")[0]
    assert tuple(row[1:] for row in layout.sample) == ADDRESSES


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (ABOVE + "id,email\n1,a@b.co\n", 4),
        ("Customers\n\nemail\na@b.co\n", 3),
        ("Report,2024\nid,mail address,x\n1,a@b.co,y\n", 2),
        ("Report,,\ncode,address,x\n1,a@b.co,y\n2,c@d.co,z\n", 2),
        ("Report\n\nid;name;Telefon\n1;Ann;+33612345678\n", 3),
        ("id,login\n1,a@b.co\n", None),
        ("login,channel\na@b.co,email\nc@d.co,phone\n", None),
        ("a,b\n1,2\n3,4\n", None),
    ],
)
def test_the_line_that_looks_like_the_header_is_found(content: str, line: int | None, desk: Any) -> None:
    """For messages only: a name of an identifier in it, or more cells than the title above it."""
    assert desk.inspect(content).likely_header == line


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        (
            "email\na@b.co\n",
            {"skip_rows": 2},
            "skip_rows=2 leaves nothing of crm.csv; expected fewer lines than it has.",
        ),
        ("email\na@b.co\n\n", {"skip_rows": 99}, "skip_rows=99 leaves nothing of crm.csv; expected fewer lines"),
        ('{"email": "a@b.co"}\n', {"skip_rows": 1}, "skip_rows goes with delimited text, but crm.csv is JSON lines;"),
        ("PAR1", {"skip_rows": 1}, "skip_rows goes with delimited text, but crm.csv is Parquet; leave it out."),
        ("PAR1", {"encoding": "cp1252"}, "encoding goes with text, but crm.csv is Parquet; leave it out."),
    ],
)
def test_what_the_caller_says_of_a_file_must_fit(
    content: str, options: dict[str, Any], message: str, desk: Any
) -> None:
    """No option is ignored in silence."""
    with pytest.raises(ConfigurationError) as caught:
        desk.inspect(content, **options)
    assert str(caught.value).startswith(message)


TITLE = st.text(st.sampled_from([*'ab ,;|="\t', "é"]), max_size=12)
CELL = st.text(st.sampled_from([*"ab ,;", "\n", '"', "é"]), max_size=6)


@pytest.fixture(scope="module")
def engine() -> Iterator[duckdb.DuckDBPyConnection]:
    """One engine for every file."""
    with duckdb.connect() as connection:
        yield connection


@given(
    above=st.lists(TITLE, max_size=5),
    rows=st.lists(CELL, max_size=5),
    end=st.sampled_from(["\n", "\r\n"]),
    encoding=st.sampled_from([None, "cp1252", "utf-16"]),
)
def test_lines_above_the_header_change_nothing_below_it(
    above: list[str], rows: list[str], end: str, encoding: str | None, desks: Any, engine: duckdb.DuckDBPyConnection
) -> None:
    """Whatever they hold, the engine reads the same rows as of the file without them."""
    quoted = ['"' + cell.replace('"', '""') + '"' for cell in rows]
    body = end.join(["id,email", *(f"{number},{cell}" for number, cell in enumerate(quoted)), "9,a@b.co", ""])
    text = "".join(line + end for line in above) + body
    layout = desks().inspect(text.encode(encoding or "utf-8"), skip_rows=len(above), encoding=encoding)
    source = read_csv(
        layout.path, layout.names, layout.delimiter, skip=layout.skip, compression="none", parallel=not layout.quotes
    )
    read = [cell or "" for (cell,) in engine.sql(source.join(("SELECT email FROM ", ""))).fetchall()]
    assert read == [*rows, "a@b.co"]
    assert [row[1] for row in layout.sample] == read
