"""Open files and streams as sources and opt-outs: `Table.from_stream`."""

import asyncio
import gzip
import io
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.streams.file import FileReadStream

from criteo_audiences import ConfigurationError, CriteoClient, Table
from criteo_audiences.sandbox import Sandbox

ROWS = b"email,consent\n" + b"".join(b"customer.%d@example.com,yes\n" % number for number in range(30_000))
PLANTED = "planted.person@example.com"


class Upload:
    """What Starlette and FastAPI hand to an endpoint: asynchronous methods around a spooled file."""

    def __init__(self, content: bytes) -> None:
        self.file = tempfile.SpooledTemporaryFile(max_size=1_000)  # noqa: SIM115 - the framework closes it
        self.file.write(content)
        self.file.seek(0)

    async def read(self, size: int = -1) -> bytes:
        """Reads some."""
        return await asyncio.to_thread(self.file.read, size)


async def of_bytes() -> io.BytesIO:
    """A file object of bytes."""
    return io.BytesIO(ROWS)


async def of_text() -> io.StringIO:
    """A file object of text."""
    return io.StringIO(ROWS.decode())


async def packed() -> io.BytesIO:
    """Compressed bytes."""
    return io.BytesIO(gzip.compress(ROWS))


async def unpacked() -> gzip.GzipFile:
    """A file that decompresses as it is read."""
    return gzip.GzipFile(fileobj=io.BytesIO(gzip.compress(ROWS)))


async def uploaded() -> Upload:
    """A file that came with a request."""
    return Upload(ROWS)


async def received() -> Any:
    """A byte stream of anyio."""
    file = tempfile.TemporaryFile()  # noqa: SIM115 - the test closes the stream
    file.write(ROWS)
    file.seek(0)
    return FileReadStream(file)


async def read() -> asyncio.StreamReader:
    """A reader of asyncio."""
    reader = asyncio.StreamReader()
    reader.feed_data(ROWS)
    reader.feed_eof()
    return reader


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """A local Criteo."""
    async with Sandbox() as running:
        yield running


@pytest.fixture
async def criteo(sandbox: Sandbox) -> AsyncIterator[CriteoClient]:
    """A client of it."""
    async with CriteoClient(sandbox.credentials, base_url=sandbox.url) as client:
        yield client


@pytest.mark.parametrize(
    "opened", [of_bytes, of_text, packed, unpacked, uploaded, received, read], ids=lambda f: f.__name__
)
async def test_every_kind_of_stream_is_read_to_its_end(
    opened: Callable[[], Awaitable[Any]], sandbox: Sandbox, criteo: CriteoClient
) -> None:
    """All its rows arrive, in any format of a file."""
    segment_id = sandbox.add_contact_list()
    stream = await opened()
    table = Table.from_stream(stream, where="consent = 'yes'")
    report = await criteo.marketing_solutions.upload_contact_list(segment_id, table, hash="sha256")
    if isinstance(stream, Upload):
        stream.file.close()
    if isinstance(stream, FileReadStream):
        await stream.aclose()
    assert (report.read, report.valid) == (30_000, 30_000)
    assert "the stream" in table.label
    assert table.rereadable is False


async def test_opt_outs_may_be_a_stream(sandbox: Sandbox, criteo: CriteoClient) -> None:
    """They are left out."""
    report = await criteo.marketing_solutions.upload_contact_list(
        sandbox.add_contact_list(),
        Table.from_stream(io.BytesIO(ROWS)),
        suppress=Table.from_stream(io.StringIO("email\ncustomer.1@example.com\n")),
        hash="sha256",
    )
    assert (report.suppressed, report.valid) == (1, 29_999)


async def test_a_stream_is_read_once(sandbox: Sandbox, criteo: CriteoClient) -> None:
    """A second upload of it is refused, rather than be one of nothing."""
    table = Table.from_stream(io.BytesIO(ROWS))
    upload = criteo.marketing_solutions.upload_contact_list
    await upload(sandbox.add_contact_list(), table, hash="sha256")
    with pytest.raises(ConfigurationError, match="has been read already"):
        await upload(sandbox.add_contact_list(), table, hash="sha256")


async def test_a_stream_that_waits_ends_with_its_upload(sandbox: Sandbox, criteo: CriteoClient) -> None:
    """Though nothing comes any more; the stream itself stays open."""
    reader = asyncio.StreamReader()
    reader.feed_data(b"email\n")
    with anyio.move_on_after(0.2) as scope:
        await criteo.marketing_solutions.upload_contact_list(
            sandbox.add_contact_list(), Table.from_stream(reader), hash="sha256"
        )
    assert scope.cancelled_caught
    reader.feed_data(b"a@b.co\n")
    assert await reader.read(10) == b"a@b.co\n"


class Odd(io.RawIOBase):
    """Gives what no file gives."""

    def __init__(self, given: object) -> None:
        self._given = given

    def read(self, size: int = -1) -> Any:  # noqa: ARG002 - as files have it
        """Gives it."""
        return self._given


def closed() -> io.BytesIO:
    """A file that is closed."""
    file = io.BytesIO(ROWS)
    file.close()
    return file


@pytest.mark.parametrize(
    ("stream", "said"),
    [
        (closed(), "it is closed"),
        (Odd(None), "it gave NoneType"),
        (Odd([PLANTED]), "it gave list"),
        (Odd(PLANTED + "\ud800"), "halves of characters"),
        (io.TextIOWrapper(io.BytesIO(f"email\n{PLANTED}\xe9\n".encode("latin-1")), "utf-8"), "another encoding"),
    ],
)
async def test_what_is_no_stream_of_rows_ends_the_upload(
    stream: Any, said: str, sandbox: Sandbox, criteo: CriteoClient
) -> None:
    """In one line, with nothing sent and nobody's address in the message."""
    with pytest.raises(OSError, match=said) as raised:
        await criteo.marketing_solutions.upload_contact_list(
            sandbox.add_contact_list(), Table.from_stream(stream), hash="sha256"
        )
    assert PLANTED not in str(raised.value)
    assert raised.value.__context__ is None
    assert not any("contact-list" in call.path for call in sandbox.requests)


@pytest.mark.parametrize("opened", [of_bytes, of_text, uploaded, received, read], ids=lambda f: f.__name__)
async def test_a_stream_itself_is_no_source(
    opened: Callable[[], Awaitable[Any]], sandbox: Sandbox, criteo: CriteoClient
) -> None:
    """It is refused before any call, with its type and the way."""
    stream = await opened()
    with pytest.raises(TypeError, match=rf"an open file \({type(stream).__name__}\): pass Table.from_stream"):
        await criteo.marketing_solutions.upload_contact_list("1", stream, hash="sha256")
    assert not sandbox.requests
    if isinstance(stream, Upload):
        stream.file.close()
    if isinstance(stream, FileReadStream):
        await stream.aclose()


@pytest.mark.parametrize("given", ["crm.csv", Path("crm.csv"), [PLANTED], 7, None, {"email": PLANTED}])
def test_what_cannot_be_read_from_is_refused(given: object) -> None:
    """With its type, and nothing of what it holds."""
    with pytest.raises(TypeError, match=rf"not {type(given).__name__}; for a path, there is Table.from_file") as raised:
        Table.from_stream(given)
    assert PLANTED not in str(raised.value)


async def test_an_encoding_does_not_go_with_text(sandbox: Sandbox, criteo: CriteoClient) -> None:
    """Which has been decoded."""
    table = Table.from_stream(io.StringIO("email\na@b.co\n"), encoding="cp1252")
    with pytest.raises(ConfigurationError, match="encoding does not go with a stream of text"):
        await criteo.marketing_solutions.upload_contact_list(sandbox.add_contact_list(), table, hash="sha256")


def test_an_asynchronous_stream_needs_its_event_loop() -> None:
    """Where none runs, it is refused with the way."""
    loop = asyncio.new_event_loop()
    with pytest.raises(ConfigurationError, match=r"call Table\.from_stream in the one that it belongs to"):
        Table.from_stream(asyncio.StreamReader(loop=loop))
    loop.close()
