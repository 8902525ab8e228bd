import csv
import gzip
import io
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from criteo_audiences.tables.inspection import inspect

MIXED = "Prénom;E-mail;Ort\nJosé;a@b.co;Köln Süd\nZoë;c@d.co;Málaga €\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_text_is_read_in_the_encoding_it_is_in(encoding: str, compress: Callable[[bytes], bytes], desk: Any) -> None:
    """What is no UTF-8 is copied into it, for the owner's eyes only."""
    content = MIXED.encode(encoding)
    layout = desk.inspect(compress(b"\xfe\xff" * encoding.endswith("16-be") + content))
    assert layout.names == ("Prénom", "E-mail", "Ort")
    assert layout.sample == (("José", "a@b.co", "Köln Süd"), ("Zoë", "c@d.co", "Málaga €"))
    if encoding.startswith("utf-8"):
        assert desk.copies() == []
        return
    assert desk.copies() == [Path(layout.path)]
    assert (Path(layout.path).read_bytes(), layout.compression) == (MIXED.encode(), "none")
    assert Path(layout.path).stat().st_mode & 0o777 == 0o600


def test_damaged_places_in_utf8_stay_damaged_places(desk: Any) -> None:
    """One bad byte does not turn all other letters into another encoding's; its own cell becomes unusable."""
    content = (MIXED * 3).encode() + b"Ann;jos\xe9@d.co;Ulm\n"
    layout = desk.inspect(content)
    assert layout.names == ("Prénom", "E-mail", "Ort")
    assert layout.sample[-1] == ("Ann", "jos\ufffd@d.co", "Ulm")


def test_bytes_that_a_code_page_leaves_undefined_are_replaced(desk: Any) -> None:
    """Five bytes mean nothing in cp1252."""
    assert desk.inspect(b"name,email\nJos\xe9,a\x81\x8d\x8f\x90\x9db@b.co\n").sample == (
        ("José", "a\ufffd\ufffd\ufffd\ufffd\ufffdb@b.co"),
    )


def test_a_damaged_byte_is_found_wherever_it_is(desk: Any) -> None:
    """Also at the end of a large file, within a character that two pieces share, and at its very end."""
    begun = b"email,name\n" + b"a@b.co,\xc3\xa4nn\n" * 60_000
    for number, tail in enumerate((b"c@d.co,\xff\n", b"c@d.co,\xc3")):
        layout = desk.inspect(begun + tail, f"{number}.csv")
        assert Path(layout.path).read_bytes() == begun + tail.replace(b"\xff", b"\xef\xbf\xbd").replace(
            b"\xc3", b"\xef\xbf\xbd"
        )
        Path(layout.path).unlink()


@pytest.mark.parametrize("shift", range(4))
def test_characters_are_whole_across_pieces(shift: int, desk: Any) -> None:
    """A file of clean UTF-8 is clean wherever its pieces end."""
    content = "email," + "x" * shift + "\n" + "a@b.co,äöü€😀\n" * 30_000
    assert desk.inspect(content).path == str(desk.files / "crm.csv")


CELLS = st.text(st.characters(codec="cp1252", exclude_categories=["Cc"], include_characters="\n\r,;\t"), max_size=12)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.tuples(CELLS, CELLS, CELLS), max_size=8),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1252"]),
    dialect=st.sampled_from(["excel", "excel-tab", "unix"]),
)
def test_a_table_is_sampled_as_python_reads_it(rows: list[Any], encoding: str, dialect: str, desks: Any) -> None:
    """Whatever the cells hold, names and sample are those of Python's own reader."""
    text = io.StringIO(newline="")
    # The same letters in every row keep a code page apart from damaged UTF-8, and pure ASCII from both.
    csv.writer(text, dialect).writerows([("id", "E-Mail", "ÄÖÜ ß"), *rows, ("1", "a@b.co", "éèêë ôöò äàâ")])
    expected = [
        row for row in csv.reader(io.StringIO(text.getvalue(), newline=""), dialect, skipinitialspace=True) if row
    ]
    layout = desks().inspect(text.getvalue().encode(encoding))
    assert list(layout.names) == expected[0]
    assert [list(row) for row in layout.sample] == expected[1:]
    assert layout.rows == len(expected) - 1


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "cp1252"])
def test_memory_does_not_grow_with_the_file(encoding: str, desk: Any) -> None:
    """Eight megabytes take no more than a fixed few, in any encoding, and so does a file that unpacks to them."""
    row = "Jörg,person@example.com,some more text that a row has\n"
    content = gzip.compress(("name,email,note\n" + row * 150_000).encode(encoding), 1)
    path = desk.write(content)
    del content
    tracemalloc.start()
    try:
        inspect(str(path), desk.workspace)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 7_000_000
