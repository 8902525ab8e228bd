"""Rows of files whose quotes are well-formed, broken, or either, as one looks at them."""

import csv
import io
import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from criteo_audiences import ConfigurationError, IdentifierType, Table
from criteo_audiences.identifiers import RejectReason, rule_for
from criteo_audiences.tables.engine import query
from criteo_audiences.tables.files.inspection import inspect
from criteo_audiences.tables.files.quotes import Mender
from criteo_audiences.tables.files.scan import Scan
from criteo_audiences.tables.reader import Reader
from criteo_audiences.tables.table import Chunk, Plan, Selection

Read = Callable[..., tuple[int, dict[str, int], list[str]]]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Reads the column `email` of files: how many rows, how many were rejected why, and the addresses."""

    def read(*contents: str, **options: Any) -> tuple[int, dict[str, int], list[str]]:
        chunks = chunks_of(*files(tmp_path, contents), **options)
        codes = sum((chunk.codes for chunk in chunks), Counter[int]())
        rejected = {
            str(query.REASONS[code - query.FIRST_REASON]): number
            for code, number in codes.items()
            if code >= query.FIRST_REASON
        }
        pieces = (b"".join(batch.pieces) for chunk in chunks for batch in chunk.batches)
        addresses = [str(address) for piece in pieces for address in orjson.loads(b"[" + piece + b"]")]
        return codes.total(), rejected, addresses

    return read


def files(directory: Path, contents: Iterable[str]) -> list[Path]:
    """Writes files, named by their numbers."""
    paths: list[Path] = []
    for number, content in enumerate(contents, start=1):
        paths.append(directory / f"{number}.csv")
        paths[-1].write_bytes(content.encode())
    return paths


def chunks_of(*paths: Path, **options: Any) -> list[Chunk]:
    """Reads the column `email` of files."""
    rule = rule_for(IdentifierType.EMAIL)
    selection = Selection(kind=IdentifierType.EMAIL, rule=rule, columns=("email",))
    return list(Reader(Table.from_file(paths), Plan(selections=(selection,), **options)).chunks())


LINES = ("a@example.com", "b@example.com", "c@example.com")


OUT_OF_PLACE = [
    '"15" TV"',
    r'"x\"y"',
    r'"x \"quoted\" y"',
    '"say "hi" there" now"',
    '"well, "hi" there"',
    '"He said "yes""',
    '"""',
    '"x""',
    '15" TV',
    '5" by 7"',
    '"padded" ',
    ' "padded"',
    '"one "two" "three""',
]


@pytest.mark.parametrize("dedupe", [False, True])
def test_a_row_with_a_quote_out_of_place_is_read(dedupe: bool, read: Read) -> None:  # noqa: FBT001
    """Whatever its item holds, the row is one row, and so is each that follows; each item is in a file of its own."""
    lines = [[f"{line[0]}{number}@example.com" for line in LINES] for number in range(len(OUT_OF_PLACE))]
    texts = [
        f'email,item\n{first},{cell}\n{second},x\n{third},"y, z"'
        for cell, (first, second, third) in zip(OUT_OF_PLACE, lines, strict=True)
    ]
    assert read(*texts, dedupe=dedupe) == (3 * len(texts), {}, list(itertools.chain(*lines)))


IN_DOUBT = [
    '"say "hi, there" now"',
    '"a" b","other@example.com",z',
    '"never closed',
    '"a"b',
    '"a "b, c',
    '"a","b"c"',
    '"',
    'x,"y"z"',
    '"a "b", c"',
    '"x"",y',
]


def test_a_row_whose_cells_are_in_doubt_is_rejected_and_swallows_nothing(read: Read) -> None:
    """It is counted with its reason; the rows around it are read; each is in a file of its own."""
    lines = [[f"{line[0]}{number}@example.com" for line in LINES] for number in range(len(IN_DOUBT))]
    texts = [
        f'email,item\n{first},x\nlost@example.com,{cell}\n{second},"z"\n{third},x\n'
        for cell, (first, second, third) in zip(IN_DOUBT, lines, strict=True)
    ]
    assert read(*texts) == (4 * len(texts), {"broken_quotes": len(texts)}, list(itertools.chain(*lines)))


def test_a_condition_leaves_out_no_row_that_cannot_be_read(read: Read) -> None:
    """Whether it would hold nobody knows, so the row is counted."""
    content = 'email,consent\na@example.com,yes\nb@example.com,no\nc@example.com,"yes\nd@example.com,"yes"\n'
    found = read(content, where="consent = 'yes'")
    assert found == (3, {"broken_quotes": 1}, ["a@example.com", "d@example.com"])
    assert read(content, where="CAST(consent = 'yes' AS INT) = 1") == found


def test_a_broken_row_is_rejected_once_for_several_columns(tmp_path: Path) -> None:
    """It has no cells that could be counted."""
    path = tmp_path / "crm.csv"
    path.write_text('email,other\na@example.com,b@example.com\nc@example.com,"d@example.com\n')
    selection = Selection(kind=IdentifierType.EMAIL, rule=rule_for(IdentifierType.EMAIL), columns=("email", "other"))
    chunks = Reader(Table.from_file(path), Plan(selections=(selection,))).chunks()
    codes = sum((chunk.codes for chunk in chunks), Counter[int]())
    assert codes[query.FIRST_REASON + query.REASONS.index(RejectReason.BROKEN_QUOTES)] == 1
    assert codes.total() == 3


def test_a_single_column_with_broken_quotes_has_a_row_a_line(read: Read) -> None:
    """No identifier spans lines, so a quote there joins none of them."""
    total, rejected, addresses = read('email\n"a@example.com\n""b@example.com"\nc"@example.com\n"d@example.com"\n')
    assert (total, rejected["broken_quotes"], addresses[-1]) == (4, 1, "d@example.com")


def test_the_lines_of_broken_rows_are_noted(tmp_path: Path) -> None:
    """A person can find them; five are enough."""
    path = tmp_path / "crm.csv"
    path.write_text('email,item\na@example.com,"x\n"two\nlines",y\nb@example.com,"x"y\n')
    (note,) = chunks_of(path)[0].notes
    assert note.startswith("crm.csv: 2 rows have broken quotes and cannot be read, in line 2, 5;")
    path.write_text("email,item\n" + 'a@example.com,"x"y\n' * 1_200)
    (note,) = chunks_of(path)[0].notes
    assert note.startswith(
        "crm.csv: 1,200 rows have broken quotes and cannot be read, in line 2, 3, 4, 5, 6 and others;"
    )


def test_rows_that_two_stray_quotes_may_have_hidden_are_noted(tmp_path: Path) -> None:
    """By RFC 4180 they are part of one cell, so they are not read, but not in silence either."""
    path = tmp_path / "crm.csv"
    path.write_text('email,item\na@example.com,x\nb@example.com,"15\nc@example.com,21"\nd@example.com,"y"\n')
    first, *others = chunks_of(path)
    assert sum(chunk.codes.total() for chunk in others) == 3
    (note,) = first.notes
    assert note == (
        "crm.csv: the quoted cell in row 2 has several lines that look like rows of their own; if a quote is missing "
        "there, these rows are not read."
    )


HIDING = [
    'id,note,email\n1,"best,a@example.com\n2,TV 15",b@example.com\n3,x,c@example.com\n',
    'email,note\na@example.com,"best, really\nb@example.com,15, so"\nc@example.com,x\n',
    'email,note\na@example.com,"best, really\nb@example.com,15, so"\nc@example.com,x"y\n',
    'id,note,email\n"1,""2","x,a@example.com\n;15""",b@example.com\n3,x,c@example.com\n',
    'email,note,n\na@example.com,"best\nb@example.com\n c@example.com,15",1\nd@example.com,x,2\n',
    'email\n"a@example.com\nb@example.com"\nc@example.com\nd@example.com\n',
    'n,email,note\n1,a@example.com,"x\n",b@example.com,y\n3,c@example.com,z\n',
    'email,note\na@example.com,"""\nb@example.com",y\nc@example.com,z\n',
    'note,email\n"15, 16,a@example.com\n""",b@example.com\nx,c@example.com\n',
    'note,email\n"15\n16, 17,a@example.com\n18",b@example.com\nx,c@example.com\n',
    'email,note\n"a@example.com","\nb@example.com",\nc@example.com,x\nd@example.com,x\n',
    'email,note\n"a@example.com,\nb@example.com",x\nc@example.com,x\nd@example.com,x\n',
    'email,note\n"a@example.com,\n""b@example.com",\nc@example.com,x\nd@example.com,x\n',
    'n,email,note\n1,"a@example.com,2\n",b@example.com,\n3,c@example.com,x\n4,d@example.com,x\n',
    'n,note,email\n"1,x,a@example.com\n,y ,",b@example.com\n3,x,c@example.com\n',
    'n,note,email\n1,"x,a@example.com\n2","y","z",b@example.com\n3,x,c@example.com\n',
    'n,note,email\n"4 x 4"",a@example.com,1\n2,""b@example.com","p,q"\n3,x,c@example.com\n',
    'n,email,note\n1,"a@example.com","""\n,""",b@example.com,\n3,c@example.com,x\n',
    'n,m,email,note\n1,2,"a@example.com,x\n3,,y""","b@example.com",\n4,5,c@example.com,x\n',
]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_rows_are_noted_wherever_they_are_hidden(tmp_path: Path, end: str) -> None:
    """At the end of the first line, in rows of another width than the header's, next to broken quotes, at any line end."""
    paths = files(tmp_path, (text.replace("\n", end) for text in HIDING))
    notes = chunks_of(*paths)[0].notes
    words = "the quoted cell in row 1 has several lines that look like rows of their own;"
    noted = {note.partition(":")[0] for note in notes if words in note}
    assert [text for path, text in zip(paths, HIDING, strict=True) if path.name not in noted] == []


@given(
    before=st.lists(st.sampled_from(["London", "UK", "near\nthe station", "x" * 40]), min_size=1, max_size=12),
    item=st.sampled_from(["15\nc@example.com,21", "15\ny\nc@example.com,21", '""15""\nc@example.com,21']),
    size=st.integers(64, 200),  # more than the longest line has
)
def test_rows_are_noted_after_any_number_of_cells_of_several_lines(
    before: list[str], item: str, size: int, desks: Any
) -> None:
    """Wherever pieces of the text end, when only lines are kept that may hold an identifier."""
    rows = [f'p{number}@example.com,"1 High St\n{line}"' for number, line in enumerate(before)]
    text = "\n".join(["email,note", *rows, f'b@example.com,"{item}"', *rows, ""])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("criteo_audiences.tables.files.scan._PIECE", size)
        patch.setattr("criteo_audiences.tables.files.scan._FIRST_KEPT", 0)
        assert desks().inspect(text).hiding == len(rows) + 1


def test_a_row_is_noted_after_thousands_of_cells_of_several_lines(tmp_path: Path) -> None:
    """Exports with notes have many."""
    rows = [f'p{number}@example.com,"1 High St\nLondon\nUK"\n' for number in range(5_000)]
    rows.insert(4_000, 'b@example.com,"15\nc@example.com,21"\n')
    path = tmp_path / "crm.csv"
    path.write_text("email,note\n" + "".join(rows))
    assert inspect(str(path), tmp_path).hiding == 4_001


NOT_HIDING = [
    'email,address\na@example.com,"1 High St\nLondon, UK"\nb@example.com,"x\ny"\n',
    'address,email\n"1 High St\nLondon",a@example.com\n"x\n\ny",b@example.com\n',
    'n,note,email\n"1, or ""2""","a\nline, ""x""",a@example.com\n2,"z, y\n",b@example.com\n',
    'address,email\n"1 High St\nLondon",a@example.com,\n"x\ny",b@example.com,,\n',
    'n,address,email\n1,"1 High St\nLondon",a@example.com,\n2,"x\ny",b@example.com,,\n',
    'note,x,email\n"a\nb","x, y",a@example.com\n"a\nb","x, y",b@example.com\n',
    'email,cc\na@example.com,"c@example.com\nd@example.com"\nb@example.com,\n',
]


def test_a_cell_of_several_lines_is_nothing_to_note(tmp_path: Path) -> None:
    """Addresses have commas as well."""
    first, *others = chunks_of(*files(tmp_path, NOT_HIDING))
    assert first.notes == ()
    assert sum(chunk.codes.total() for chunk in others) == 2 * len(NOT_HIDING)


def test_what_is_kept_of_long_lines_is_bounded() -> None:
    """Though each of them may hide a row: memory does not grow with the file."""
    scan = Scan()
    line = b"ann@example.com " + b"x" * 30_000 + b"\n"
    scan.read([b"email,note\n", *(b'a@example.com,"' + 2 * line + b'"\n' for _ in range(800))])
    assert scan.rows == 801
    kept = sum(len(before) + len(after) for _, before, after in scan.continued)
    assert 32 << 20 < kept < 33 << 20


def test_a_cell_of_very_many_lines_is_scanned_as_fast_as_one_of_few() -> None:
    """It takes ten times as long at most, byte by byte: its text is examined once, not once for each of its lines."""

    def seconds(line: bytes) -> float:
        text, took = b'email,note\na@example.com,"' + line * (120_000 // len(line)) + b'"\n', []
        for _ in range(3):
            began = time.thread_time()
            Scan().read([text])
            took.append(time.thread_time() - began)
        return min(took)

    assert seconds(b"x\n") < 10 * seconds(b"x" * 199 + b"\n")


def test_a_header_with_a_quote_that_the_first_row_closes_is_refused_with_its_line(tmp_path: Path) -> None:
    """It holds data then, but a line of names is what it lacks least."""
    path = tmp_path / "crm.csv"
    path.write_text('email;"item\na@example.com;"""\nb@example.com;x\n')
    with pytest.raises(OSError, match=r"^crm\.csv, line 1: a quote in the header, or above it, is never closed"):
        inspect(str(path), tmp_path)


@pytest.mark.parametrize("text", ['address,email\n"1 High St\nLondon",a@example.com\n"x"y,b@example.com\n'])
def test_a_cell_of_several_lines_is_read_beside_broken_quotes(text: str, read: Read) -> None:
    """Its last line has as many cells as the header, too."""
    assert read(text) == (2, {"broken_quotes": 1}, ["a@example.com"])


DEBRIS = st.lists(st.sampled_from(['"', '""', " ", "a", "TV", '\\"', ";", "15"]), max_size=6).map("".join)


@given(
    items=st.lists(st.one_of(DEBRIS, DEBRIS.map('"{}"'.format)), min_size=1, max_size=6),
    around=st.sampled_from(["{}", '"{}"', '"{}', '{}"', '""{}""']),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    dedupe=st.booleans(),
)
def test_no_row_is_lost_whatever_quotes_do(items: list[str], around: str, end: str, dedupe: bool, read: Read) -> None:  # noqa: FBT001
    """A line that is no row for Python's reader either is the only one that may be missing; no address is invented.

    A file with broken quotes may also be refused, with its line.
    """
    addresses = [f"{number}@example.com" for number in range(len(items))]
    rows = [f"{around.format(address)},{item}" for address, item in zip(addresses, items, strict=True)]
    text = end.join(["email,item", *rows, ""])
    try:
        total, _, found = read(text, dedupe=dedupe)
    except ConfigurationError as error:
        refused = str(error)
    else:
        refused = ""
    if refused:
        assert _strictly(text) is None
        assert refused.startswith("Line ")
        return
    assert total == (_strictly(text) or len(rows))
    assert set(found) <= set(addresses)
    if around == "{}" and '"' not in "".join(items):
        assert found == addresses


def _strictly(text: str) -> int | None:
    """Counts the rows of a text in which every quote is where RFC 4180 has it; `None` for any other."""
    scan = Scan()
    scan.read([text.encode()])
    if not scan.has_clean_quotes(","):
        return None
    return len(list(csv.reader(io.StringIO(text, newline=""), strict=True))) - 1


@given(
    rows=st.lists(st.tuples(st.sampled_from(LINES), st.text('ab ,;"\n\t|é')), min_size=1, max_size=8),
    delimiter=st.sampled_from(",;\t|"),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    end=st.sampled_from(["\n", "\r\n"]),
)
def test_well_formed_rows_are_read_as_they_are(
    rows: list[tuple[str, str]],
    delimiter: str,
    quoting: Any,
    end: str,
    tmp_path: Path,
) -> None:
    """No copy is made, every row is counted, and every cell is what Python's writer was given."""
    text = io.StringIO(newline="")
    written = csv.writer(text, delimiter=delimiter, quoting=quoting, lineterminator=end)
    written.writerows([("email", "item"), *rows])
    scan = Scan()
    scan.read([text.getvalue().encode()])
    assert scan.has_clean_quotes(delimiter)
    assert scan.rows == len(rows) + 1
    path = tmp_path / "crm.csv"
    path.write_bytes(text.getvalue().encode())
    chunks = chunks_of(path, dedupe=False)
    assert chunks[0].notes == ()
    assert sum(chunk.codes.total() for chunk in chunks) == len(rows)
    assert b"".join(piece for chunk in chunks for batch in chunk.batches for piece in batch.pieces).count(b"@") == len(
        rows
    )


@given(
    text=st.text('a,;"\n\r é', max_size=60).map(str.encode),
    cuts=st.lists(st.integers(0, 60), max_size=4).map(sorted),
)
def test_a_scan_sees_the_same_however_a_text_is_cut(text: bytes, cuts: list[int]) -> None:
    """Pieces end anywhere: between two quotes, within a line end."""
    whole, pieces = Scan(), Scan()
    whole.read([text] if text else [])
    bounds = [0, *cuts, len(text)]
    pieces.read(filter(None, (text[start:stop] for start, stop in itertools.pairwise(bounds))))
    assert (pieces.rows, pieces.lines, pieces.quotes) == (whole.rows, whole.lines, whole.quotes)
    assert pieces.has_clean_quotes(",") == whole.has_clean_quotes(",")


@given(
    parts=st.lists(st.sampled_from(['"a","b"\n', '","', '"\n"', '"', ",", "\n", "a", '""', "\r\n"]), max_size=30),
    size=st.integers(3, 40),
)
def test_the_quick_look_at_quotes_sees_what_the_slow_one_sees(parts: list[str], size: int) -> None:
    """Whatever the quotes are, and wherever the pieces end."""
    text = "".join(['"a","b"\n', *parts]).encode()
    seen: list[tuple[Any, ...]] = []
    for quick in (True, False):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("criteo_audiences.tables.files.scan._PIECE", size)
            if not quick:
                patch.setattr(Scan, "_quotes_all_cells", lambda *_: False)
            scan = Scan()
            scan.read([text])
        seen.append((scan.rows, scan.lines, scan.quotes, scan.continued, scan.has_clean_quotes(",")))
    assert seen[0] == seen[1]


@given(
    parts=st.lists(st.sampled_from(["a", "é", "\n", "\r\n", "\r", '"', "\0"]), max_size=30),
    cuts=st.lists(st.integers(0, 40), max_size=4).map(sorted),
)
def test_the_quick_count_of_rows_sees_what_the_slow_one_sees(parts: list[str], cuts: list[int]) -> None:
    """Whatever the line ends are, and wherever the pieces end."""
    text = "".join(parts).encode()
    pieces = [text[start:stop] for start, stop in itertools.pairwise([0, *cuts, len(text)]) if start < stop]
    seen: list[tuple[Any, ...]] = []
    for quick in (True, False):
        with pytest.MonkeyPatch.context() as patch:
            if not quick:
                patch.setattr(Scan, "_count", lambda *_: False)
            scan = Scan()
            list(scan.seen(pieces))
        seen.append((scan.rows, scan.lines, scan.has_nul, scan.continued, scan.has_clean_quotes(",")))
    assert seen[0] == seen[1]


@given(text=st.text('a,"\n ', max_size=60).map(str.encode), width=st.integers(1, 3))
def test_what_has_been_mended_is_well_formed_and_needs_no_second_mending(text: bytes, width: int) -> None:
    """Its rows are those of Python's strict reader, and mending them again changes nothing."""
    mended = b"".join(Mender(",", width).mended([text], 0))
    scan = Scan()
    scan.read([mended] if mended else [])
    assert scan.has_clean_quotes(",")
    rows = list(csv.reader(io.StringIO(mended.decode(), newline=""), strict=True))
    assert len(list(filter(None, rows))) == scan.rows
    again = Mender(",", 100)
    assert b"".join(again.mended([mended], 0)) == mended
    assert not again.broken


@given(text=st.text('a,"\n\r ', max_size=60).map(str.encode), cut=st.integers(0, 60))
def test_a_text_is_mended_alike_however_it_is_cut(text: bytes, cut: int) -> None:
    """Pieces end anywhere."""
    whole = b"".join(Mender(",", 2).mended([text], 1))
    assert b"".join(Mender(",", 2).mended([text[:cut], text[cut:]], 1)) == whole


@given(lines=st.lists(st.text('a,"  x', min_size=1, max_size=12).filter(str.strip), min_size=1, max_size=6))
def test_no_broken_row_takes_its_neighbors_along(lines: list[str]) -> None:
    """There are as many rows as lines, except where a quoted cell spans several of them as RFC 4180 has it."""
    mender = Mender(",", 2)
    text = "\n".join(lines).encode()
    rows = list(csv.reader(io.StringIO(b"".join(mender.mended([text], 0)).decode(), newline=""), strict=True))
    continued = sum(cell.count("\n") for row in rows for cell in row)
    assert len(rows) + continued == len(lines)


@given(
    header=st.sampled_from(["email", "email,item", "item;email", '"email"\titem']),
    body=st.text('a@.b,;"\n\r \t|', max_size=80),
    gap=st.sampled_from(["\n", "\r\n", "\r", "\n\n"]),
    dedupe=st.booleans(),
)
def test_the_engine_reads_as_many_rows_as_are_counted_without_it(
    header: str,
    body: str,
    gap: str,
    dedupe: bool,  # noqa: FBT001
    read: Read,
) -> None:
    """Whatever a text holds: otherwise reading would have ended in an error."""
    read(header + gap + body, dedupe=dedupe)


@pytest.mark.parametrize(
    ("cell", "name"),
    [
        ('"na"me"', 'na"me'),
        ('"na\\"me"', 'na\\"me'),
        ('"na"me', 'na"me'),
        ('na"me', 'na"me'),
        ('na"me"', 'na"me"'),
        ('"15" TV"', '15" TV'),
        ('"na""me"', 'na"me'),
    ],
)
@pytest.mark.parametrize("first", [False, True])
def test_a_quote_in_a_header_is_part_of_a_name(
    cell: str,
    name: str,
    first: bool,  # noqa: FBT001 - a column of the table
    tmp_path: Path,
) -> None:
    """Where every reader divides the header into the same cells, the name is what a person sees."""
    path = tmp_path / "crm.csv"
    path.write_text(f"{','.join((cell, 'email') if first else ('email', cell))}\na@example.com,b@example.com\n")
    assert inspect(str(path), tmp_path).names == ((name, "email") if first else ("email", name))


@pytest.mark.parametrize(
    "cell", ['"na"me,x"', '"na\\",me"', '"na', '"na""', '"na" me,"x', '"na,me,"x"', '"na,"me" x"', '"na,me","x" y"']
)
@pytest.mark.parametrize("first", [False, True])
def test_a_header_whose_cells_are_in_doubt_is_refused_with_its_line(
    cell: str,
    first: bool,  # noqa: FBT001 - a column of the table
    tmp_path: Path,
) -> None:
    """Nobody can say how many columns there are."""
    path = tmp_path / "crm.csv"
    path.write_text(f"{','.join((cell, 'email') if first else ('email', cell))}\na@example.com,b@example.com\n")
    with pytest.raises(OSError, match=r"^crm\.csv.* line 1\b"):
        inspect(str(path), tmp_path)
