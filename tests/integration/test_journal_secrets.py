"""What is planted here stands in no journal and in no word about one: logs, errors, tracebacks, reprs, bytes, names."""

import asyncio
import base64
import contextlib
import json
import logging
import os
import traceback
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from criteo_audiences import (
    AuthenticationError,
    ClientCredentials,
    CriteoClient,
    JournalError,
    RetryPolicy,
    Table,
    hash_email,
    journals,
)
from criteo_audiences.batches import Batch
from criteo_audiences.journals.journal import Job, Journal
from criteo_audiences.journals.rows import BatchState
from criteo_audiences.journals.sqlite_file import log_of
from criteo_audiences.models import IdentifierType, Operation
from criteo_audiences.sandbox import Sandbox
from criteo_audiences.uploads import Amendment, Destination
from criteo_audiences.uploads.sender import job_of
from tests.kit import options_of

pytestmark = pytest.mark.usefixtures("short_stacks")

CLIENT_ID, SECRET, SEGMENT_NAME = "planted-client-id", "planted-client-secret", "planted-segment-name"
EMAILS = [f"planted.person.{number}@example.com" for number in range(30)]
WHERE = "note <> 'planted.condition@example.com'"
OPT_OUT = "planted.gone@example.com"
REJECTED = "planted.nobody"
CALL = "contact-list"


def forms() -> list[bytes]:
    """Returns every form in which an address could be written down: in clear, hashed, in base64, as UTF-16."""
    digests = [hash_email(email, algorithm) for email in EMAILS for algorithm in ("sha256", "md5")]
    raw = [bytes.fromhex(digest) for digest in digests]
    texts = [b"planted.person", b"planted.condition", b"planted.gone", REJECTED.encode()]
    texts += [CLIENT_ID.encode(), SECRET.encode(), SEGMENT_NAME.encode()]
    encoded = [base64.b64encode(each) for each in (*raw, *(email.encode() for email in EMAILS))]
    wide = [text.decode().encode("utf-16-le") for text in texts]
    return [*texts, *wide, *(each.encode() for each in digests), *raw, *encoded]


@attrs.define
class Listener:
    """Credentials that remember the tokens they get, and everything that was said or left where others can find it."""

    inner: ClientCredentials
    said: list[str] = attrs.field(factory=list)
    kept: list[bytes] = attrs.field(factory=list)
    tokens: list[bytes] = attrs.field(factory=list)

    async def token(self, grant: Any) -> Any:
        """See `TokenSource.token`."""
        token = await self.inner.token(grant)
        self.tokens.append(token.value.encode())
        return token

    @property
    def client_id(self) -> str:
        """The application, as it is known of usual credentials: it decides whether a journal is continued."""
        return self.inner.client_id

    def note(self, *things: Any) -> None:
        """Keeps how things show themselves."""
        for thing in things:
            self.said += [str(thing), repr(thing)]

    def note_error(self, error: BaseException) -> None:
        """Keeps an error with its traceback, its notes and all that it came from."""
        self.note(error, error.args)
        self.said += traceback.format_exception(error)
        for inner in (error.__cause__, error.__context__, *getattr(error, "exceptions", ())):
            if inner is not None:
                self.note_error(inner)

    def note_directory(self, directory: Path) -> None:
        """Keeps the names and the bytes of all files in a directory; they are there, and for their owner only."""
        noted = 0
        for path in filter(Path.is_file, directory.iterdir()):
            self.said.append(path.name)
            with contextlib.suppress(FileNotFoundError):  # a transaction has ended meanwhile, and with it SQLite's file
                assert path.stat().st_mode & 0o777 == 0o600
                self.kept.append(path.read_bytes().rstrip(b"\0") + b"\0")  # a log has room for more, which is empty
                noted += 1
        assert noted

    def leaks(self) -> set[bytes]:
        """Returns what of the planted was said or kept."""
        everything = b"\n".join([*(text.encode("utf-8", "backslashreplace") for text in self.said), *self.kept])
        return {each for each in (*forms(), *self.tokens) if each in everything}


@pytest.fixture
def listener(caplog: pytest.LogCaptureFixture) -> Iterator[Listener]:
    """Listens to every logger at DEBUG; a leak fails the test at its end."""
    caplog.set_level(logging.DEBUG)
    heard = Listener(ClientCredentials(client_id=CLIENT_ID, client_secret=SECRET))
    yield heard
    records = caplog.get_records("call")
    heard.said += map(logging.Formatter().format, records)
    heard.note(*(record.args for record in records))
    assert heard.leaks() == set()


@attrs.define
class Stage:
    """A contact list, a client with planted credentials and a place for journals."""

    sandbox: Sandbox
    criteo: CriteoClient
    listener: Listener
    segment_id: str
    directory: Path
    source: Path

    def options(self, **options: Any) -> dict[str, Any]:
        """Returns the keywords of an upload in which everything is planted."""
        usual = {"hash": "sha256", "batch_size": 10, "max_concurrency": 1, "journal": self.directory / "crm.journal"}
        about_tables = {} if options.pop("values", False) else {"column": "email", "where": WHERE}
        return {**usual, **about_tables, "suppress": [OPT_OUT], "on_progress": self.listener.note, **options}

    async def upload(self, source: object = None, **options: Any) -> Any:
        """Uploads, and notes what is shown of it."""
        ms, listener = self.criteo.marketing_solutions, self.listener
        chosen = self.options(**options)
        listener.note(options_of(**chosen))
        async with ms.stream_contact_list(self.segment_id, source or self.source, **chosen) as results:
            listener.note(results, results.journal, results.set_aside)
            async for batch in results:
                listener.note(batch)
                listener.note_directory(self.directory)
        report = results.report
        listener.note(report, report.explain(), json.dumps(report.to_dict()))
        for failure in report.failures:
            listener.note_error(failure.error)
        listener.note(*self.summaries())
        return report

    async def refused(self, source: object = None, **options: Any) -> str:
        """Uploads what a journal does not allow, and returns why."""
        with pytest.raises(JournalError) as caught:
            await self.upload(source, **options)
        self.listener.note_error(caught.value)
        return str(caught.value)

    def summaries(self) -> list[journals.JournalSummary]:
        """Returns what is told of the journals."""
        return journals.list_journals(self.directory)


@pytest.fixture
async def stage(listener: Listener, tmp_path: Path) -> AsyncIterator[Stage]:
    """A running sandbox under a loop that logs each callback."""
    loop = asyncio.get_running_loop()
    loop.set_debug(True)
    loop.slow_callback_duration = 0
    source = tmp_path / "crm.csv"
    rows = [f"{email},ours" for email in (*EMAILS, REJECTED, OPT_OUT)] + ["x@y.zz,planted.condition@example.com"]
    source.write_text("\n".join(["email,note", *rows]), encoding="utf-8")
    async with (
        Sandbox(rate_limit=None, client_id=CLIENT_ID, client_secret=SECRET) as sandbox,
        CriteoClient(listener, base_url=sandbox.url, retry=RetryPolicy(attempts=1), on_event=listener.note) as criteo,
    ):
        segment_id = sandbox.add_contact_list(name=SEGMENT_NAME)
        yield Stage(sandbox, criteo, listener, segment_id, tmp_path / "state", source)


@pytest.mark.parametrize("lane", ["file", "values"])
@pytest.mark.parametrize("algorithm", [None, "sha256", "md5"])
async def test_an_upload_that_fails_and_is_resumed_shows_nothing(
    stage: Stage, tmp_path: Path, lane: str, algorithm: str | None
) -> None:
    """Refused with an echo of an address, without an answer, unable to log in, then resumed: nothing planted comes out."""
    source = stage.source if lane == "file" else [*EMAILS, REJECTED, OPT_OUT]
    options = {"hash": algorithm, "values": lane == "values", "journal": stage.directory}
    stage.directory.mkdir()
    echo = json.dumps({"errors": [{"detail": EMAILS[1], "code": EMAILS[1], "traceId": EMAILS[2]}]}).encode()
    stage.sandbox.fail_next(status=400, body=echo, on=CALL)
    stage.sandbox.fail_next(lose_reply=True, on=CALL)
    rejects = tmp_path / "rejects.csv"
    first = await stage.upload(source, rejects=rejects, **options)
    stage.listener.said.append(rejects.read_text("utf-8"))
    assert (first.valid, first.failed, first.unknown, first.rejected_total) == (10, 10, 10, 1)

    again = await stage.upload(source, resume=True, **options)
    assert (again.valid, again.resumed, again.ok) == (30, 1, True)
    (summary,) = stage.summaries()
    journals.compact(summary.path)
    stage.listener.note_directory(stage.directory)


async def test_an_upload_that_is_left_or_refused_in_the_middle_shows_nothing(stage: Stage) -> None:
    """Left after a batch, and ended by a 401 whose body holds an address: its error with all that hangs below it."""
    ms = stage.criteo.marketing_solutions
    async with ms.stream_contact_list(stage.segment_id, stage.source, **stage.options()) as results:
        assert (await anext(results)).valid == 10
    stage.listener.note(results, results.report)
    stage.listener.note_directory(stage.directory)
    stage.sandbox.fail_next(status=401, body=EMAILS[0].encode(), times=2, on=CALL)
    with pytest.raises(AuthenticationError) as caught:
        await ms.upload_contact_list(stage.segment_id, stage.source, **stage.options())
    stage.listener.note_error(caught.value)
    (summary,) = stage.summaries()  # while the stream was left, the next batch may have come back, too
    assert (await stage.upload()).resumed == summary.batches[BatchState.ACKNOWLEDGED] > 0


def spoiled(content: bytes) -> Callable[[Path], object]:
    """Returns what writes something into the place of a journal."""
    return lambda path: path.write_bytes(content)


SPOILED = [
    spoiled(EMAILS[0].encode() * 1_000),
    lambda path: path.write_bytes(path.read_bytes()[:4096] + EMAILS[0].encode() * 200),
    lambda path: path.write_bytes(path.read_bytes()[:-2048]),
    lambda path: (path.unlink(), os.mkfifo(path)),
    lambda path: (path.unlink(), path.symlink_to(EMAILS[0])),
    lambda path: log_of(path).symlink_to(EMAILS[0]),
]


@pytest.mark.parametrize("spoil", SPOILED, ids=range(len(SPOILED)))
async def test_a_journal_that_cannot_be_used_is_refused_without_a_word_of_it(
    stage: Stage, spoil: Callable[[Path], object]
) -> None:
    """Whatever stands in its place, and also for who asks what is in it."""
    source = [*EMAILS, REJECTED, OPT_OUT]
    stage.sandbox.fail_next(status=503, on=CALL)
    await stage.upload(source, values=True)
    path = stage.directory / "crm.journal"
    spoil(path)
    await stage.refused(source, values=True)
    for ask in (journals.describe, journals.compact, journals.remove):
        with pytest.raises(JournalError) as caught:
            ask(path)
        stage.listener.note_error(caught.value)
    stage.listener.note(*stage.summaries())


async def test_every_refusal_to_continue_names_nobody(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """In use, another job or condition, nothing to resume, the register gone, the disk full."""
    stage.sandbox.fail_next(status=503, on=CALL)
    await stage.upload()
    path = stage.directory / "crm.journal"
    with pytest.raises(JournalError, match="unfinished") as caught:
        journals.compact(path)
    stage.listener.note_error(caught.value)
    assert "another job" in await stage.refused(where="note = 'planted.condition@example.com'")
    assert "another job" in await stage.refused(operation="remove")
    job = job_of(destination(stage), Table.from_file(stage.source), options_of(**stage.options()))
    with Journal.open(path, job, resume=False) as journal:
        stage.listener.note(journal, job)
        assert "in use" in await stage.refused()
        monkeypatch.setattr(os, "write", full)
        with pytest.raises(JournalError) as caught:
            begin_many(journal)
        monkeypatch.undo()
        stage.listener.note_error(caught.value)
    assert "disk is full" in str(caught.value)
    journals.remove(path)
    assert "no unfinished upload" in await stage.refused(resume=True)
    stage.sandbox.fail_next(status=503, on=CALL)
    await stage.upload()
    (stage.directory / ".criteo-audiences.register").unlink()
    assert "cannot be resumed" in await stage.refused(resume=True)


def full(*_: Any) -> int:
    """Stands for a disk without room."""
    raise OSError(28, "No space left on device")


def begin_many(journal: Journal) -> None:
    """Begins more batches than there is room for beforehand."""
    for number in range(1, 1_000):
        journal.begin(planted_batch(number))


def destination(stage: Stage) -> Destination:
    """Returns where the uploads of a stage go."""
    return Destination(service="marketing-solutions", host="h", application=CLIENT_ID, segment_id=stage.segment_id)


def planted_batch(number: int) -> Batch:
    """Returns a batch of planted addresses."""
    return Batch(number=number, count=30, full=True, pieces=(json.dumps(EMAILS).encode(),))


async def test_what_an_upload_is_made_of_shows_nothing_of_it(listener: Listener, stage: Stage) -> None:
    """The repr of every object that holds an identifier, a condition or the application's id."""
    batch = planted_batch(1)
    table = Table.from_query("SELECT 'planted.condition@example.com' AS email")
    settings = options_of(where=WHERE, suppress=[OPT_OUT])
    job = job_of(destination(stage), table, settings)
    amendment = Amendment(
        segment_id="1", operation=Operation.ADD, identifier_type=IdentifierType.EMAIL, batch=batch, upload_id="1"
    )
    assert CLIENT_ID in str(job.configuration)
    assert "planted.condition" in str(job.configuration)
    listener.note(batch, table, Table.from_file("crm.csv", where=WHERE), settings, job, amendment, amendment.labels())
    listener.note(destination(stage), Job(service="s", host="h", segment_id="1", operation="add"))
    listener.note(stage.criteo, stage.criteo.marketing_solutions)


async def test_a_leak_would_be_found(tmp_path: Path) -> None:
    """In clear, hashed, raw, in base64 and as UTF-16; in a text, a name and a file; a token, the client's id."""
    digest = hash_email(EMAILS[3], "sha256")
    said = [EMAILS[3], digest, CLIENT_ID, SECRET, SEGMENT_NAME, WHERE, OPT_OUT, REJECTED, "planted-token"]
    kept = [bytes.fromhex(digest), base64.b64encode(EMAILS[3].encode()), CLIENT_ID.encode("utf-16-le")]
    for secret in [*said, *kept]:
        heard = Listener(ClientCredentials(client_id="x", client_secret="y"), tokens=[b"planted-token"])
        if isinstance(secret, bytes):
            (tmp_path / "one").write_bytes(secret)
            (tmp_path / "one").chmod(0o600)
            heard.note_directory(tmp_path)
        else:
            heard.note_error(ValueError(secret))
        assert heard.leaks(), secret
