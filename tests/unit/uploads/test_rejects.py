import asyncio
import csv
import os
import re
import unicodedata
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from attrs import frozen
from hypothesis import example, given, settings
from hypothesis import strategies as st

from criteo_audiences import ConfigurationError, UploadReport
from criteo_audiences.identifiers import Reject
from criteo_audiences.tables import Table
from criteo_audiences.tables.reader import Reader
from criteo_audiences.tables.table import Plan
from criteo_audiences.uploads.rejects import RejectsFile, defused
from tests.kit import LIST, options_of, stream, upload

Fake = Callable[..., Any]
HEADER = ["file", "row", "column", "reason", "fingerprint"]
AWKWARD = [
    "a,b",
    'say "no"',
    "two\r\nlines",
    "\n",
    "\r",
    "=cmd()",
    "+1",
    "'",
    "",
    " ",
    "\0",
    "\u2028",
    "a\u00e9",
    "\u0130@b",
]
VALUES = st.lists(
    st.sampled_from(["a@b.co", "c@d.co", *AWKWARD])
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=9)
    | st.none(),
    max_size=40,
)


@frozen
class Place:
    """A directory, and uploads in it that write their rejects there; each to a new file."""

    directory: Path
    amend: Any

    @property
    def path(self) -> Path:
        """The file of rejects."""
        return self.directory / "rejects.csv"

    def write(self, text: str, name: str = "crm.csv") -> Path:
        """Writes a source."""
        path = self.directory / name
        path.write_bytes(text.encode())
        return path

    def upload(self, source: object, **options: Any) -> UploadReport:
        """Runs an upload in an event loop of its own; it sends nothing unless told to."""
        chosen = options_of(**{"rejects": self.path, "rejects_plain": True, "dry_run": True, **options})
        return asyncio.run(upload(self.amend, LIST, source, chosen))

    def rejects(self, source: object, **options: Any) -> list[list[str]]:
        """Returns the rows that an upload wrote, without the header and the fingerprint."""
        self.path.unlink(missing_ok=True)
        self.upload(source, **options)
        return [row[:4] + row[5:] for row in rows_of(self.path)]


def rows_of(path: Path) -> list[list[str]]:
    """Returns the rows of a file of rejects, whose header must be there."""
    with path.open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    assert header[:5] == HEADER
    assert all(len(row) == len(header) for row in rows)
    return rows


@pytest.fixture
def place(tmp_path: Path, fake_amend: Fake) -> Place:
    """A place to upload from, and to nobody."""
    return Place(tmp_path, fake_amend())


SOURCES: dict[str, Callable[[list[str | None]], object]] = {
    "iterable": lambda values: values,
    "table": lambda values: pl.DataFrame({"email": values}, schema={"email": pl.String}),
}
lanes = pytest.mark.parametrize("lane", SOURCES)


def column_of(lane: str) -> dict[str, str]:
    """Returns the option that a table needs when its values do not tell."""
    return {"column": "email"} if lane == "table" else {}


@given(values=VALUES)
@example(values=[None, "", *AWKWARD, "a@b.co", *AWKWARD])
@settings(max_examples=25, deadline=None)
def test_both_lanes_write_the_same_rows(values: list[str | None], tmp_path_factory: Any, fake_amend: Fake) -> None:
    """Row, reason and value as it was read are the same in both, in the order of the source."""
    place = Place(tmp_path_factory.mktemp("rejects"), fake_amend())
    written = {lane: place.rejects(make(values), **column_of(lane)) for lane, make in SOURCES.items()}
    assert [row[1:2] + row[3:] for row in written["iterable"]] == [row[1:2] + row[3:] for row in written["table"]]
    assert {(row[0], row[2]) for row in written["table"]} <= {("", "email")}
    for _, number, _, _, value in written["iterable"]:
        assert undone(value) == (values[int(number) - 1] or "")


def undone(cell: str) -> str:
    """Undoes what defuses a cell, as docs/reference/rejects.md says."""
    return re.sub(
        r"\\(\\|x[0-9a-f]{2}|u[0-9a-f]{4})",
        lambda found: "\\" if found[1] == "\\" else chr(int(found[1][1:], 16)),
        cell.removeprefix("'"),
    )


RISKY = st.text(
    st.sampled_from("=+-@\t\r\n\f\0\x1b\x85\u2028 '\"\\;,|x2au\u00a0\u200b\ufeff\u2019\uff1d\uff0b\uff0d\uff20\ud800")
)


@given(value=RISKY | st.text(st.characters(exclude_categories=[])))
@example(value="+34612345678")
@example(value="a;\t=x")
@example(value="\\x3d")
@example(value="''=x")
@settings(max_examples=500)
def test_no_cell_is_run_and_each_can_be_had_back(value: str) -> None:
    """No cell of any dialect begins as a formula does or holds a control character; undoing gives the value."""
    cell = defused(value)
    assert undone(cell) == value
    assert not any(unicodedata.category(letter) in {"Cc", "Cs", "Zl", "Zp"} for letter in cell)
    first, *others = re.split("[;,|]", cell)
    assert first[:1] not in set("=+-@\uff1d\uff0b\uff0d\uff20")
    for part in [first, *others]:
        assert part.lstrip(' \u00a0"\u200b\ufeff\u2019')[:1] not in set("=+-@\uff1d\uff0b\uff0d\uff20")


@lanes
def test_no_written_cell_is_run(lane: str, place: Place) -> None:
    """Nor is the name of a column or of a file; what is written is what the rule makes of the value."""
    values = ["=1+1", "@x", "\uff1d1", " -1", "\t=1", "a;=cmd()", "'x", "\x1b[31m"]
    assert [row[4] for row in place.rejects(SOURCES[lane](values), **column_of(lane))] == list(map(defused, values))
    source = place.write('"=email"\nx\n', "=cmd().csv")
    assert place.rejects(Table.from_file(source), column="=email")[0][::2] == ["'=cmd().csv", "'=email", "x"]


@lanes
@pytest.mark.parametrize("kind", ["email", "phone_number"])
def test_rejects_can_be_uploaded_again(lane: str, kind: str, place: Place) -> None:
    """The apostrophe in front is passed over: each value meets the same reason as before."""
    values = ["+34", "=1+1", "-x", "@x", " =x", "'x", "''x", "\uff0b34", "nobody", "+34 612 345 67x", '="x"']
    options = {"identifier_type": kind, "dedupe": False}
    first = place.rejects(SOURCES[lane](values), **column_of(lane), **options)
    again = place.directory / "again.csv"
    place.path.rename(again)
    second = place.rejects(Table.from_file(again), column="value", **options)
    assert [row[3] for row in second] == [row[3] for row in first]
    assert len(first) == len(values)
    assert [undone(undone(row[4])) for row in second] == [undone(row[4]) for row in first] == values


def test_mended_number_is_the_same_with_its_apostrophe(place: Place) -> None:
    """A number that only another kind's rule rejects is taken as it stands in the file."""
    number = "+34612345678"
    assert place.rejects([number])[0][4] == f"'{number}"
    again = place.directory / "again.csv"
    place.path.rename(again)
    report = place.upload(Table.from_file(again), column="value", identifier_type="phone_number", dry_run=False)
    assert (report.read, report.rejected_total) == (1, 0)
    assert [received.batch.count for received in place.amend.received] == [1]


@lanes
def test_the_report_counts_what_is_written(lane: str, place: Place) -> None:
    """Each rejected value has its row, of every reason, over many slices and with no duplicates looked for."""
    values = [None if number % 7 == 0 else "nobody" if number % 5 == 0 else f"{number}@b.co" for number in range(5_000)]
    report = place.upload(SOURCES[lane](values), dedupe=False)
    rows = rows_of(place.path)
    expected = [(number, value) for number, value in enumerate(values, start=1) if value in {None, "nobody"}]
    assert [(int(row[1]), row[5] or None) for row in rows] == expected
    assert report.rejected_total == len(rows) == sum(report.rejected.values())


def test_rows_are_those_of_the_file(place: Place) -> None:
    """A row that the condition leaves out counts, as does one of two lines; every file begins anew."""
    one = place.write('email,consent\na@b.co,yes\nnobody,no\n"no\nbody",yes\nnobody,yes\n')
    two = place.write("id,consent,email\n1,yes,=cmd()\n2,yes,\n", "erp.csv")
    assert place.rejects(Table.from_file([one, two]), column="email", where="consent = 'yes'") == [
        ["crm.csv", "3", "email", "no_at_sign", "no\\x0abody"],
        ["crm.csv", "4", "email", "no_at_sign", "nobody"],
        ["erp.csv", "1", "email", "no_at_sign", "'=cmd()"],
        ["erp.csv", "2", "email", "empty", ""],
    ]


def test_several_columns_say_which_one_a_value_came_from(place: Place) -> None:
    """Under the column's own name; a row with nothing in any column of a kind is empty in the first."""
    source = place.write(
        "Work email,Alt,row,idfa\nnobody,a@b.co,1,\nx,y,2,z\n,,3,38400000-8cf0-11bd-b23e-10b96e4ef00d\n"
    )
    columns = {"email": ["Work email", "Alt"], "madid": "idfa"}
    assert place.rejects(Table.from_file(source), columns=columns) == [
        ["crm.csv", "1", "Work email", "no_at_sign", "nobody"],
        ["crm.csv", "1", "idfa", "empty", ""],
        ["crm.csv", "2", "Work email", "no_at_sign", "x"],
        ["crm.csv", "2", "Alt", "no_at_sign", "y"],
        ["crm.csv", "2", "idfa", "not_a_mobile_ad_id", "z"],
        ["crm.csv", "3", "Work email", "empty", ""],
    ]


@pytest.mark.parametrize("names", [("relation", "number"), ("field", "k"), ("v", "code"), ("p", "usual")])
def test_columns_may_be_called_as_ours_are(names: tuple[str, str], place: Place) -> None:
    """The engine's own columns do not mix with those of a file, nor with a condition on them."""
    source = place.write(f"{names[0]},{names[1]}\nnobody,1\na@b.co,1\nnobody,2\n")
    found = place.rejects(Table.from_file(source), column=names[0], where=f"{names[1]} = '2'")
    assert found == [["crm.csv", "3", names[0], "no_at_sign", "nobody"]]


def test_several_threads_leave_the_rows_in_order(place: Place) -> None:
    """Numbers are those of the file also where it is long enough to be read in pieces."""
    values = [f"{number}-nobody" if number % 100 == 0 else f"{number}@b.co" for number in range(1, 60_001)]
    source = place.directory / "crm.parquet"
    pl.DataFrame({"email": values}).write_parquet(source, row_group_size=2_048)
    found = place.rejects(Table.from_file(source), threads=4)
    assert [(int(row[1]), row[4]) for row in found] == [
        (number, f"{number}-nobody") for number in range(100, 60_001, 100)
    ]


@lanes
def test_equal_values_have_equal_fingerprints_in_one_file_only(lane: str, place: Place) -> None:
    """Sixteen hexadecimal digits that say which values are the same, and differ from one file to the next."""
    source = SOURCES[lane](["nobody", "noone", "nobody", "a@b.co"])
    place.upload(source, rejects_plain=False)
    first, second, third = (row[4] for row in rows_of(place.path))
    assert first == third != second
    assert len(first) == 16
    assert set(first) <= set("0123456789abcdef")
    place.path.unlink()
    place.upload(source)
    assert first not in place.path.read_text(encoding="utf-8")


@lanes
def test_values_stand_nowhere_unless_asked_for(lane: str, place: Place, caplog: pytest.LogCaptureFixture) -> None:
    """Without `rejects_plain` the file has no such column, and no value in any other."""
    caplog.set_level("DEBUG")
    report = place.upload(SOURCES[lane](["planted nobody", "a@b.co"]), rejects_plain=False)
    assert rows_of(place.path)[0][:4] == ["", "1", "email" if lane == "table" else "", "no_at_sign"]
    everything = place.path.read_text(encoding="utf-8") + repr(report) + str(report.to_dict()) + caplog.text
    assert "planted" not in everything
    assert "value" not in place.path.read_text(encoding="utf-8")


@lanes
def test_nothing_rejected_leaves_the_header(lane: str, place: Place) -> None:
    """So that whoever reads the file finds one."""
    place.upload(SOURCES[lane](["a@b.co"]))
    assert place.path.read_bytes() == b"file,row,column,reason,fingerprint,value\r\n"


def test_half_a_surrogate_pair_is_written_as_an_escape(place: Place) -> None:
    """What UTF-8 cannot hold does not stop an upload."""
    assert place.rejects(["x\ud800"]) == [["", "1", "", "no_at_sign", "x\\ud800"]]


@pytest.mark.skipif(os.name != "posix", reason="modes are of POSIX")
def test_only_the_owner_can_read_the_file(place: Place) -> None:
    """Whatever the umask allows, and from the first byte."""
    file = RejectsFile(place.path, plain=True)
    umask = os.umask(0)
    try:
        file.open()
    finally:
        os.umask(umask)
    assert place.path.stat().st_mode & 0o777 == 0o600
    assert place.path.stat().st_size > 0
    file.close()


@pytest.mark.parametrize("obstacle", ["file", "link", "dangling link", "directory", "no parent"])
def test_what_is_there_is_refused_before_anything_is_read(obstacle: str, place: Place) -> None:
    """It might be the export itself: nothing is overwritten, followed, read or sent."""
    target = place.write("precious", "target")
    if obstacle == "file":
        target.rename(place.path)
    elif obstacle == "directory":
        place.path.mkdir()
    elif obstacle.endswith("link"):
        place.path.symlink_to(target if obstacle == "link" else place.directory / "nowhere")
    source = iter(["nobody"])
    path = place.directory / "nowhere" / "rejects.csv" if obstacle == "no parent" else place.path
    with pytest.raises(ConfigurationError, match="rejects must name") as caught:
        place.upload(source, rejects=path, dry_run=False, journal=place.directory / "crm.journal")
    assert place.directory.name not in str(caught.value)
    assert not (place.directory / "crm.journal").exists()
    assert next(source) == "nobody"
    assert not (place.directory / "nowhere").exists()
    assert not place.amend.received
    if obstacle in {"file", "link"}:
        assert place.path.read_text(encoding="utf-8") == "precious"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rejects_plain": True}, "rejects_plain goes with rejects"),
        ({"rejects": ""}, "rejects must not be empty"),
        ({"rejects": 3}, "rejects must be a str"),
        ({"rejects": "x", "rejects_plain": "no"}, "rejects_plain must be True or False"),
    ],
)
def test_options_are_checked(options: dict[str, Any], message: str) -> None:
    """Each names itself and what it may be."""
    with pytest.raises(ConfigurationError, match=message):
        options_of(**options)


def test_other_mistakes_leave_no_file(place: Place) -> None:
    """What is refused for another reason has created nothing."""
    with pytest.raises(ConfigurationError, match="column"):
        place.upload(["a@b.co"], column="email")
    assert not place.path.exists()


@pytest.mark.parametrize("count", [10, 3_000])
async def test_a_canceled_upload_leaves_whole_rows(count: int, tmp_path: Path, fake_amend: Fake) -> None:
    """All that had been rejected by then, whether or not it had been written before."""
    waiting = asyncio.Event()

    async def source() -> AsyncIterator[str]:
        for number in range(count * 16):
            yield "x" * 9 if number % 16 == 0 else f"{number}@b.co"
        waiting.set()
        await asyncio.Event().wait()

    path = tmp_path / "rejects.csv"
    options = options_of(rejects=path, rejects_plain=True)
    task = asyncio.create_task(upload(fake_amend(), LIST, source(), options))
    await waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    rows = rows_of(path)
    assert [int(row[1]) for row in rows] == list(range(1, count * 16, 16))
    assert path.read_bytes().endswith(b"\r\n")


async def test_a_table_has_written_them_all_before_the_first_batch(tmp_path: Path, fake_amend: Fake) -> None:
    """Leaving the block after it loses none."""
    values = [f"{number}@b.co" if number % 2 else "nobody" for number in range(4_000)]
    options = options_of(rejects=tmp_path / "rejects.csv", batch_size=10, dedupe=False)
    async with stream(fake_amend(), LIST, SOURCES["table"](values), options) as results:
        await anext(results)
    assert len(rows_of(tmp_path / "rejects.csv")) == 2_000
    assert results.report.pending > 0


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Lets no file grow beyond a size, as a full disk would."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@lanes
@pytest.mark.parametrize("size", [10_000, 100_000], ids=["at the end", "on the way"])
def test_a_full_disk_stops_the_upload(lane: str, size: int, place: Place) -> None:
    """Losing rejects in silence is no choice; the file ends with a whole row, and the error shows no value."""
    values = ["planted nobody"] * (1_000 if size == 10_000 else 5_000)
    with largest_file(size), pytest.raises(OSError, match="file of rejects cannot be written") as caught:
        place.upload(SOURCES[lane]([*values, "a@b.co"]), column=column_of(lane).get("column"), dry_run=False)
    assert "planted" not in str(caught.value)
    assert place.path.read_bytes().endswith(b"\r\n")
    assert len(rows_of(place.path)) < len(values)
    if lane == "table" and size == 100_000:
        assert not place.amend.received


def test_an_interrupted_reader_hands_out_no_more() -> None:
    """A cancellation does not wait until a million rows are written."""
    chosen = options_of(column="email")
    taken: list[Reject] = []

    def take(rejects: Iterable[Reject]) -> None:
        for reject in rejects:
            taken.append(reject)
            reader.interrupt()

    table = Table.from_arrow(SOURCES["table"](["nobody"] * 9_000))
    reader = Reader(table, Plan(selections=chosen.selections, on_rejects=take))
    with pytest.raises(OSError, match="interrupted"):
        list(reader.chunks())
    assert 0 < len(taken) <= 1_000
