"""The rows of the identifiers that Criteo shows as refused."""

import asyncio
import io
import itertools
import os
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from criteo_audiences import InvalidIdentifierError, Table, UploadReport, hash_email, normalize_email
from criteo_audiences.models import ContactListOperation
from criteo_audiences.uploads import Amendment, SourceRow
from criteo_audiences.uploads.report import MOST_SAMPLED
from tests.kit import LIST, options_of, stream, upload

Fake = Callable[..., Any]
BAD = "planted@bad.example"
VALUES = ["a@b.co", " Planted@BAD.example", "nobody", "planted@bad.example", "c@d.co"]
SECOND = (SourceRow(row=2, column="email"),)


def refusing(*refused: str, kind: str | None = None) -> Callable[[Amendment], ContactListOperation]:
    """Replies as Criteo does that refuses some identifiers, of one kind if told, and shows all of them."""

    def reply(amendment: Amendment) -> ContactListOperation:
        text = b"".join(amendment.batch.pieces).decode()
        shown = tuple(each for each in refused if f'"{each}"' in text and kind in {None, amendment.identifier_type})
        return ContactListOperation(
            valid=amendment.batch.count - len(shown), invalid=len(shown), sample_invalid=shown[::-1]
        )

    return reply


async def uploaded(fake_amend: Fake, source: object, *refused: str, **options: Any) -> UploadReport:
    """Uploads in clear, unless told otherwise, to a Criteo that refuses some identifiers."""
    amend = fake_amend(reply=refusing(*refused, kind=options.pop("kind", None)))
    return await upload(amend, LIST, source, options_of(**options))


def wire(value: str | None, algorithm: str | None) -> str | None:
    """Returns how a value goes out, by the functions that are made for one value."""
    try:
        return normalize_email(value or "") if algorithm is None else hash_email(value or "", algorithm)
    except InvalidIdentifierError:
        return None


LANES: dict[str, Callable[[Any], Any]] = {
    "iterable": lambda values: values,
    "table": lambda values: pl.DataFrame({"email": values}, schema={"email": pl.String}),
}
FORMS = ["{}@b.co", " {}@B.CO", "<{}@b.co>", "M\u00fc{}@b.co", "nobody {}"]
ROWS = st.lists(st.none() | st.builds(str.format, st.sampled_from(FORMS), st.integers(0, 9)), max_size=40)


@given(data=st.data(), values=ROWS, algorithm=st.sampled_from([None, "sha256", "md5", "sha256_of_md5"]))
@settings(max_examples=20)
def test_both_lanes_find_the_first_row_of_each_identifier(
    data: st.DataObject, values: list[str | None], algorithm: str | None, fake_amend: Fake
) -> None:
    """In the order of the source, whatever form it is written in there, and whatever it goes out as."""
    if values and data.draw(st.booleans()):  # a digest in the source is the same identifier
        values.append(hash_email("4@b.co", algorithm or "md5"))
    sent = [wire(value, algorithm) for value in values]
    refused = data.draw(st.sets(st.sampled_from(sorted(set(filter(None, sent))) or ["x@y.zz"]), max_size=5))
    expected = sorted({sent.index(each) + 1 for each in refused if each in sent})
    dedupe = data.draw(st.booleans())
    for lane, make in LANES.items():
        column = {"column": "email"} if lane == "table" else {}
        options = {"hash": algorithm, "dedupe": dedupe, **column}
        report = asyncio.run(uploaded(fake_amend, make(values), *refused, **options))
        assert report.invalid_rows == tuple(SourceRow(row=row, **column) for row in expected)


@pytest.fixture
def crm(tmp_path: Path) -> Path:
    """An export with two kinds of identifier in four columns."""
    path = tmp_path / "crm.csv"
    path.write_text(
        "consent,Email,Alt Email,idfa,Tel\n"
        f'no,{BAD},,,\nyes,"a\n@b.co",{BAD.upper()},,+33 1 23 45 67 89\n'
        "yes,c@d.co,e@f.co,38400000-8cf0-11bd-b23e-10b96e4ef00d,\n",
        encoding="utf-8",
    )
    return path


@pytest.mark.parametrize("algorithm", [None, "sha256"])
async def test_rows_are_those_of_the_file(algorithm: str | None, crm: Path, tmp_path: Path, fake_amend: Fake) -> None:
    """Of several files, columns and kinds; what `where` leaves out counts and is not looked at."""
    other = tmp_path / "erp.csv"
    other.write_text(f"Email,Alt Email,consent,idfa,Tel\nx@y.zz,,yes,,\n{BAD},z@z.zz,yes,,+1 212 555 0100\n", "utf-8")
    columns = {"email": ["Email", "Alt Email"], "madid": "idfa", "phone_number": "Tel"}
    numbers = ["+33123456789", "+12125550100"]
    refused = [BAD, "z@z.zz", "38400000-8cf0-11bd-b23e-10b96e4ef00d", *numbers]
    if algorithm:
        from hashlib import sha256  # noqa: PLC0415 - the other way to the same digests

        refused = [each if "-" in each else sha256(each.removeprefix("+").encode()).hexdigest() for each in refused]
    report = await uploaded(
        fake_amend, Table.from_file([crm, other]), *refused, columns=columns, hash=algorithm, where="consent = 'yes'"
    )
    assert [(row.file, row.row, row.column) for row in report.invalid_rows] == [
        ("crm.csv", 2, "Alt Email"),
        ("crm.csv", 2, "Tel"),
        ("crm.csv", 3, "idfa"),
        ("erp.csv", 2, "Alt Email"),
        ("erp.csv", 2, "Tel"),
    ]


async def test_a_kind_is_looked_for_in_its_own_columns(fake_amend: Fake) -> None:
    """The same text as an id of another kind was not refused."""
    frame = pl.DataFrame({"customer": ["17", "18"], "link": ["18", "17"]})
    columns = {"customer_id": "customer", "identity_link": "link"}
    report = await uploaded(fake_amend, frame, "17", columns=columns, kind="identity_link")
    assert report.invalid_rows == (SourceRow(row=2, column="link"),)


async def test_a_phone_number_is_found_by_its_rows_country(fake_amend: Fake) -> None:
    """The second reading prepares as the first did."""
    frame = pl.DataFrame({"tel": ["01 23 45 67 89", "06123 456789"], "country": ["FR", "DE"]})
    report = await uploaded(
        fake_amend, frame, "+33123456789", identifier_type="phone_number", column="tel", region_column="country"
    )
    assert report.invalid_rows == (SourceRow(row=1, column="tel"),)
    values = ["06 12 34 56 78", "01 23 45 67 89"]
    report = await uploaded(fake_amend, values, "+33123456789", identifier_type="phone_number", region="FR")
    assert report.invalid_rows == (SourceRow(row=2),)


class Frame:
    """A table that counts how often it is read."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.read = 0

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        self.read += 1
        return self.inner.__arrow_c_stream__(requested_schema)


class SizedFrame(Frame):
    """The same, which knows its length and so can be read again."""

    def __len__(self) -> int:
        return len(self.inner)


@pytest.mark.parametrize(
    "make",
    [
        pl.DataFrame,
        pd.DataFrame,
        pa.table,
        lambda columns: pl.Series("email", columns["email"]),
        lambda columns: duckdb.from_arrow(pa.table(columns)),
        lambda columns: SizedFrame(pa.table(columns)),
        lambda columns: Table.from_query(f"SELECT unnest({columns['email']}) AS email"),
    ],
    ids=["polars", "pandas", "pyarrow", "series", "relation", "sized", "query"],
)
async def test_frames_and_queries_are_read_again(make: Callable[[Any], Any], fake_amend: Fake) -> None:
    """Row and column; there is no file."""
    report = await uploaded(fake_amend, make({"email": VALUES}), BAD)
    assert report.invalid_rows == SECOND


async def _asynchronously(values: list[str]) -> AsyncIterator[str]:
    for value in values:
        yield value


ONE_SHOT: dict[str, Callable[[list[str]], Any]] = {
    "generator": iter,
    "async": _asynchronously,
    "reader": lambda values: pa.table({"email": values}).to_reader(),
    "unsized": lambda values: Frame(pa.table({"email": values})),
    "set": set,
}


@pytest.mark.parametrize("source", ONE_SHOT)
async def test_what_can_be_read_once_has_no_rows(
    source: str, fake_amend: Fake, caplog: pytest.LogCaptureFixture
) -> None:
    """Nor is it touched again; the sample is there all the same, and nothing is wrong."""
    made = ONE_SHOT[source](VALUES)
    report = await uploaded(fake_amend, made, BAD)
    assert (report.invalid_rows, set(report.sample_invalid)) == ((), {BAD})
    assert report.ok
    assert not caplog.records
    if isinstance(made, Frame):
        untouched = Frame(pa.table({"email": VALUES}))
        await uploaded(fake_amend, untouched)
        assert made.read == untouched.read


async def test_standard_input_has_no_rows(fake_amend: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is gone when it has been read."""
    text = "\n".join(["email", *VALUES])
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    report = await uploaded(fake_amend, Table.from_file("-"), BAD)
    assert (report.invalid_rows, report.invalid) == ((), 1)


async def test_without_a_sample_nothing_is_read_twice(fake_amend: Fake) -> None:
    """The second reading is the price of an answer, not of every upload."""
    once, again = SizedFrame(pa.table({"email": VALUES})), SizedFrame(pa.table({"email": VALUES}))
    await uploaded(fake_amend, once)
    await uploaded(fake_amend, again, BAD)
    assert again.read == 2 * once.read > 0


async def test_an_upload_that_is_left_early_does_not_look_again(fake_amend: Fake) -> None:
    """Whoever leaves does not want to wait."""
    frame = SizedFrame(pa.table({"email": [BAD, *(f"{number}@b.co" for number in range(50))]}))
    options = options_of(batch_size=1, dedupe=False)
    async with stream(fake_amend(reply=refusing(BAD)), LIST, frame, options) as results:
        await anext(results)
        read = frame.read
    assert results.report.sample_invalid == (BAD,)
    assert (results.report.invalid_rows, frame.read) == ((), read)


@pytest.mark.parametrize("lane", LANES)
async def test_a_list_that_is_mostly_refused_is_told_where(lane: str, fake_amend: Fake) -> None:
    """An upload that is stopped after its first batch is when one wants to know."""
    values = [BAD, *(f"{number}@b.co" for number in range(20))]
    report = await uploaded(fake_amend, LANES[lane](values), BAD, batch_size=1, max_invalid=0, max_concurrency=1)
    assert report.sent < len(values)
    assert [row.row for row in report.invalid_rows] == [1]


def _remove(path: Path) -> None:
    path.unlink()


def _append(path: Path) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write("more@b.co\n")


def _replace(path: Path) -> None:
    other = path.with_suffix(".new")
    other.write_bytes(path.read_bytes())
    os.replace(other, path)  # noqa: PTH105 - it is atomic, as a nightly export is


@pytest.mark.parametrize("change", [_remove, _append, _replace])
async def test_a_file_that_changes_is_no_error(
    change: Callable[[Path], None], tmp_path: Path, fake_amend: Fake, caplog: pytest.LogCaptureFixture
) -> None:
    """The upload is over and fine; the rows are left out with one line that shows no value and no path."""
    caplog.set_level("DEBUG")
    path = tmp_path / "crm.csv"
    path.write_text("\n".join(["email", *VALUES, ""]), encoding="utf-8")

    def reply(amendment: Amendment) -> ContactListOperation:
        change(path)
        return refusing(BAD)(amendment)

    report = await upload(fake_amend(reply=reply), LIST, path, options_of())
    assert report.ok
    assert (report.valid, report.invalid_rows) == (2, ())
    logged = [record for record in caplog.records if record.name == "criteo_audiences.uploads"]
    (line,) = [record.getMessage() for record in logged if record.levelname == "WARNING"]
    assert line.startswith("The rows of refused identifiers are not known")
    assert "planted" not in caplog.text
    assert tmp_path.name not in caplog.text


class Moody(list[str]):
    """A list that can be iterated over once."""

    used = False

    def __iter__(self) -> Iterator[str]:
        if self.used:
            raise LookupError(BAD)
        self.used = True
        return super().__iter__()


async def test_a_source_that_fails_the_second_time_is_no_error(
    fake_amend: Fake, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever it raises; nor is one that has grown meanwhile."""
    growing = list(VALUES)

    def reply(amendment: Amendment) -> ContactListOperation:
        growing.append("x@y.zz")
        return refusing(BAD)(amendment)

    for report in (
        await uploaded(fake_amend, Moody(VALUES), BAD),
        await upload(fake_amend(reply=reply), LIST, growing, options_of()),
    ):
        assert report.ok
        assert (report.invalid_rows, report.sample_invalid) == ((), (BAD,))
    assert [record.args for record in caplog.records] == [("LookupError",), ("SourceChangedError",)]
    assert "planted" not in caplog.text


class Endless(SizedFrame):
    """A frame that has no end at its second reading; it says when that has begun."""

    def __init__(self, inner: Any) -> None:
        super().__init__(inner)
        self.is_endless = False
        self.began = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        if not self.is_endless:
            return super().__arrow_c_stream__(requested_schema)
        batches = map(self._next, itertools.count())
        return pa.RecordBatchReader.from_batches(self.inner.schema, batches).__arrow_c_stream__()

    def _next(self, _: int) -> pa.RecordBatch:
        self._loop.call_soon_threadsafe(self.began.set)
        time.sleep(0.01)  # takes no processor time from other tests
        return pa.record_batch({"email": ["x@y.zz"] * 1_000})


def _endless(fake_amend: Fake) -> tuple[Endless, Any]:
    frame = Endless(pa.table({"email": VALUES}))

    def reply(amendment: Amendment) -> ContactListOperation:
        frame.is_endless = True
        return refusing(BAD)(amendment)

    return frame, fake_amend(reply=reply)


async def test_a_second_look_can_be_canceled(fake_amend: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine is interrupted and leaves nothing behind."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    frame, amend = _endless(fake_amend)
    task = asyncio.create_task(upload(amend, LIST, frame, options_of()))
    await frame.began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert list(tmp_path.iterdir()) == []


async def test_the_deadline_ends_a_second_look(fake_amend: Fake) -> None:
    """What was sent is reported in time; the rows are left out."""
    frame, amend = _endless(fake_amend)
    report = await upload(amend, LIST, frame, options_of(deadline=1.0))
    assert report.invalid_rows == ()


async def test_a_second_look_leaves_the_event_loop_to_others(fake_amend: Fake) -> None:
    """It goes through a list in slices, also while it finds nothing."""
    values = [f"{number}@b.co" for number in range(30_000)]
    turns, counting = 0, asyncio.Event()

    async def others() -> None:
        nonlocal turns
        await counting.wait()
        while True:
            turns += 1
            await asyncio.sleep(0)

    def reply(amendment: Amendment) -> ContactListOperation:
        counting.set()
        return ContactListOperation(valid=amendment.batch.count - 1, invalid=1, sample_invalid=("gone@b.co",))

    task = asyncio.create_task(others())
    await upload(fake_amend(reply=reply), LIST, values, options_of(hash="sha256", batch_size=50_000))
    task.cancel()
    assert turns > 20  # 30 ms of work in slices of half a millisecond


def test_the_rows_of_a_sum_are_those_of_its_parts() -> None:
    """As many as there may be in the sample; of each the document has all but the value."""
    one = UploadReport(invalid_rows=tuple(SourceRow(file="crm.csv", row=row, column="Email") for row in range(1, 91)))
    both = one + UploadReport(invalid_rows=(SourceRow(row=7),) * 90)
    assert len(both.invalid_rows) == MOST_SAMPLED
    assert both.invalid_rows[:90] == one.invalid_rows
    rows: Iterable[Any] = both.to_dict()["invalid_rows"]
    assert list(rows)[89:91] == [
        {"file": "crm.csv", "row": 90, "column": "Email"},
        {"file": "", "row": 7, "column": ""},
    ]
