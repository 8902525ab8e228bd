import asyncio
import io
import traceback
from collections import ChainMap, OrderedDict
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from criteo_audiences import ConfigurationError, IdentifierType, NotFoundError, Table
from criteo_audiences.uploads import UploadStream
from tests.kit import LIST, assert_adds_up, options_of, stream, upload

CLEAR = options_of()


class DataFrame:
    """Looks like a data frame that speaks no Arrow: iterating would yield its column names."""

    def __dataframe__(self) -> object:
        """See the data frame interchange protocol."""

    def __iter__(self) -> Iterator[str]:
        return iter(["email", "name"])


class AsyncFile:
    """Looks like a file of aiofiles."""

    async def read(self) -> str:
        """Reads everything."""

    def __aiter__(self) -> AsyncIterator[str]:
        raise NotImplementedError


@pytest.mark.parametrize(
    "source",
    [
        "planted@example.com",
        b"planted@example.com",
        bytearray(b"planted@example.com"),
        memoryview(b"planted@example.com"),
        {"planted@example.com": 1},
        OrderedDict(),
        ChainMap({"planted@example.com": 1}),
        io.StringIO("planted@example.com"),
        io.BytesIO(b"planted@example.com"),
        AsyncFile(),
        DataFrame(),
    ],
    ids=lambda source: type(source).__name__,
)
async def test_what_only_looks_like_a_source_is_refused(source: object, fake_amend: Callable[..., Any]) -> None:
    """Text, bytes, mappings, open files and data frames are a TypeError that names the way out and shows nothing."""
    amend = fake_amend()
    with pytest.raises(TypeError, match=r"Table\.from_file\(path, column=\.\.\.\)") as caught:
        await upload(amend, LIST, source, CLEAR)
    assert type(source).__name__ in str(caught.value)
    assert "planted" not in "".join(traceback.format_exception(caught.value))
    assert amend.received == []


@pytest.mark.parametrize("source", [None, 5, object(), print, lambda: ["a@b.co"]], ids=lambda each: type(each).__name__)
async def test_what_is_no_source_at_all_is_refused(source: object, fake_amend: Callable[..., Any]) -> None:
    """Anything that cannot be iterated is named by its type."""
    with pytest.raises(TypeError, match=rf"or a file; not {type(source).__name__}(; call it)?$"):
        await upload(fake_amend(), LIST, source, CLEAR)


def opened(path: Path) -> Any:
    """Returns an open file."""
    return path.open()


async def test_an_open_file_on_disk_is_refused(tmp_path: Path, fake_amend: Callable[..., Any]) -> None:
    """Its lines are not identifiers, even when they could be."""
    path = tmp_path / "crm.csv"
    path.write_text("a@b.co\n")
    with opened(path) as file, pytest.raises(TypeError, match=r"Table\.from_file"):
        await upload(fake_amend(), LIST, file, CLEAR)


async def test_a_column_of_something_without_columns_is_refused(fake_amend: Callable[..., Any]) -> None:
    """`column` goes with files only, and a table's own column is not named differently beside it."""
    settings = options_of(column="email")
    with pytest.raises(ConfigurationError, match="column is about the columns of a table"):
        await upload(fake_amend(), LIST, ["a@b.co"], settings)
    with pytest.raises(ConfigurationError, match="another column than the table does"):
        await upload(fake_amend(), LIST, Table.from_file("crm.csv", column="mail"), settings)


@pytest.mark.parametrize(
    "source",
    [["a@b.co", "c@d.co"], ("a@b.co", "c@d.co"), {"a@b.co": 1, "c@d.co": 2}.keys(), map(str, ["a@b.co", "c@d.co"])],
    ids=lambda source: type(source).__name__,
)
async def test_any_iterable_of_text_is_a_source(source: object, fake_amend: Callable[..., Any]) -> None:
    """Lists, tuples, the keys of a mapping, iterators."""
    amend = fake_amend()
    report = await upload(amend, LIST, source, CLEAR)
    assert amend.identifiers == ["a@b.co", "c@d.co"]
    assert report.ok


class Rows:
    """Rows that fail at a certain one, and that remember whether they were closed."""

    def __init__(self, failing_at: int | None = None, error: BaseException | None = None) -> None:
        self.failing_at = failing_at
        self.error = error
        self.closed: list[str] = []

    def _row(self, number: int) -> str:
        if number == self.failing_at and self.error is not None:
            raise self.error
        return f"planted{number}@example.com"

    def plain(self) -> Iterator[str]:
        """Never ends."""
        number = 0
        try:
            while number := number + 1:
                yield self._row(number)
        finally:
            self.closed.append("closed")

    async def asynchronous(self) -> AsyncIterator[str]:
        """Never ends, and takes its time to close."""
        number = 0
        try:
            while number := number + 1:
                yield self._row(number)
        finally:
            self.closed.append("closing")
            await asyncio.sleep(0)
            self.closed.append("closed")


@pytest.mark.parametrize("kind", ["plain", "asynchronous"])
@pytest.mark.parametrize(
    "error",
    [
        ValueError("the database went away"),
        ExceptionGroup("the caller's own", [ValueError("one"), KeyError("two")]),
        TimeoutError(),
        NotFoundError(404),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_what_a_source_raises_comes_out_as_it_is(
    kind: str, error: Exception, fake_amend: Callable[..., Any]
) -> None:
    """The very exception, also a group of the caller's own, with a note of how far the upload came."""
    rows = Rows(300, error)
    seen: list[UploadStream] = []

    async def consume() -> None:
        async with stream(fake_amend(), LIST, getattr(rows, kind)(), options_of(batch_size=100)) as results:
            seen.append(results)
            async for _ in results:
                pass

    with pytest.raises(type(error)) as caught:
        await consume()
    assert caught.value is error
    assert rows.closed[-1] == "closed"
    assert_adds_up(seen[0].report)


async def test_the_note_of_an_early_end_counts(fake_amend: Callable[..., Any]) -> None:
    """The exception of a source carries rows read, accepted and not sent."""
    rows = Rows(300, ValueError("the database went away"))
    with pytest.raises(ValueError, match="went away") as caught:
        await upload(fake_amend(), LIST, rows.plain(), options_of(batch_size=100))
    (note,) = caught.value.__notes__
    assert note.startswith("The upload stopped early: 299 rows read, ")
    assert note.endswith(" Running it again is safe.")
    assert "planted" not in "".join(traceback.format_exception(caught.value))


async def test_the_context_of_a_sources_error_is_kept(fake_amend: Callable[..., Any]) -> None:
    """What the caller's own error came from is still told in its traceback."""

    async def rows() -> AsyncIterator[str]:
        yield "a@b.co"
        try:
            {}["column"]
        except KeyError:
            raise ValueError("no such column")  # noqa: B904 - the implicit context is what is tested

    with pytest.raises(ValueError, match="no such column") as caught:
        await upload(fake_amend(), LIST, rows(), CLEAR)
    assert isinstance(caught.value.__context__, KeyError)
    assert not caught.value.__suppress_context__


async def test_a_source_canceled_from_within_is_no_end_of_the_source(fake_amend: Callable[..., Any]) -> None:
    """A CancelledError of something the source waits for never makes an upload look complete."""

    async def rows() -> AsyncIterator[str]:
        yield "a@b.co"
        gone = asyncio.get_running_loop().create_future()
        gone.cancel()
        await gone
        yield "c@d.co"

    with pytest.raises(RuntimeError, match="canceled from within") as caught:
        await upload(fake_amend(), LIST, rows(), CLEAR)
    assert isinstance(caught.value.__cause__, asyncio.CancelledError)


@pytest.mark.parametrize("kind", ["plain", "asynchronous"])
async def test_an_upload_that_stops_early_closes_its_source(kind: str, fake_amend: Callable[..., Any]) -> None:
    """Also a clean-up that has to wait runs to its end."""
    rows = Rows()
    amend = fake_amend(reply=lambda _: NotFoundError(404), latency=0.01)
    report = await upload(amend, LIST, getattr(rows, kind)(), options_of(batch_size=100))
    assert not report.ok
    assert rows.closed[-1] == "closed"


@pytest.mark.parametrize("kind", ["plain", "asynchronous"])
async def test_leaving_a_stream_early_closes_its_source(kind: str, fake_amend: Callable[..., Any]) -> None:
    """The caller need not keep track of a generator that it handed over."""
    rows = Rows()
    amend = fake_amend(latency=0.01)
    async with stream(amend, LIST, getattr(rows, kind)(), options_of(batch_size=100)) as results:
        await anext(results)
    assert rows.closed[-1] == "closed"


@pytest.mark.parametrize("position", [1, 128, 129, 1_000])
async def test_a_row_that_is_no_text_stops_the_upload(position: int, fake_amend: Callable[..., Any]) -> None:
    """The TypeError names the row in the source and its type, wherever the slices' borders are."""
    rows: list[Any] = ["planted@example.com"] * 1_200
    rows[position - 1] = 4_242_424_242
    with pytest.raises(TypeError, match=f"^row {position:,} of the source: expected a str, found int") as caught:
        await upload(fake_amend(), LIST, rows, options_of(batch_size=100))
    shown = "".join(traceback.format_exception(caught.value))
    assert "planted" not in shown
    assert "4242" not in shown.replace("_", "")
    assert f"{position - 1:,} rows read" in shown


async def test_a_kind_without_a_header_of_its_own_must_name_its_column(
    tmp_path: Path, fake_amend: Callable[..., Any]
) -> None:
    """Customer ids have no usual header; the columns there are get listed."""
    path = tmp_path / "crm.csv"
    path.write_text("id,email\n1,a@b.co\n")
    with pytest.raises(ConfigurationError, match=r"columns of crm\.csv are: 'id', 'email'\. Choose one with column="):
        await upload(fake_amend(), LIST, path, options_of(identifier_type=IdentifierType.CUSTOMER_ID))
