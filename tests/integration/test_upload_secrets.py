import asyncio
import gzip
import json
import logging
import traceback
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import attrs
import pytest

from criteo_audiences import AuthenticationError, ClientCredentials, CriteoClient, UploadReport, hash_email
from criteo_audiences.sandbox import Sandbox
from tests.kit import AMENDING

pytestmark = pytest.mark.usefixtures("short_stacks")

SECRET = "planted-client-secret"
CLIENT_ID = "planted-client-id"
EMAILS = [f"planted.person.{number}@example.com" for number in range(30)]
REFUSED = ["planted.nobody", "planted person@example.com", "planted@b@example.com", "planted\ud800@example.com"]
ROWS = [*EMAILS, *REFUSED, "planted!@example.c\u00fcm", None]


@attrs.define
class Spoken:
    """Everything that was said where others can hear it."""

    said: list[str] = attrs.field(factory=list)
    tokens: list[str] = attrs.field(factory=list)

    def note(self, *things: Any) -> None:
        """Keeps how things show themselves."""
        for thing in things:
            self.said += [str(thing), repr(thing)]

    def note_error(self, error: BaseException) -> None:
        """Keeps an error with its notes and all that it came from."""
        self.note(error, error.args)
        self.said += traceback.format_exception(error)
        for inner in [error.__cause__, error.__context__, *getattr(error, "exceptions", ())]:
            if inner is not None:
                self.note_error(inner)

    def note_report(self, report: UploadReport) -> None:
        """Keeps what a report tells, but for its sample of refused identifiers, which is asked for on purpose."""
        self.note(report, report.explain(), json.dumps(report.to_dict()), report.failures)
        for failure in report.failures:
            self.note_error(failure.error)

    def leaks(self) -> set[str]:
        """Returns what of the planted was said."""
        everything = "\n".join(self.said)
        digests = [hash_email(each, "sha256") for each in EMAILS] + [hash_email(each, "md5") for each in EMAILS]
        planted = [SECRET, CLIENT_ID, *self.tokens, *digests, "planted.person", "planted.nobody", "planted person"]
        planted += ["planted@b", "planted\ud800", "planted\\ud800", "planted!"]
        return {each for each in planted if each in everything}


@attrs.frozen
class ListeningCredentials:
    """The sandbox's credentials; the tokens that they get are planted too."""

    spoken: Spoken = attrs.field(repr=False)
    inner: ClientCredentials

    async def token(self, grant: Any) -> Any:
        """See `TokenSource.token`."""
        token = await self.inner.token(grant)
        self.spoken.tokens.append(token.value)
        self.spoken.note(token)
        return token


@pytest.fixture
def spoken(caplog: pytest.LogCaptureFixture) -> Iterator[Spoken]:
    """Listens to every logger at DEBUG; a leak fails the test at its end."""
    caplog.set_level(logging.DEBUG)
    heard = Spoken()
    for name in ("criteo_audiences", "criteo_audiences.session", "criteo_audiences.quota", "aiohttp", "asyncio"):
        caplog.set_level(logging.DEBUG, logger=name)
    yield heard
    records = caplog.get_records("call")
    assert "criteo_audiences.session" in {record.name for record in records}
    heard.said += map(logging.Formatter().format, records)
    heard.note(*(record.args for record in records))
    assert heard.leaks() == set()


Open = Callable[..., AbstractAsyncContextManager[Any]]


@pytest.fixture
def open_stage(set_stage: Open, spoken: Spoken) -> Open:
    """Sets up a sandbox with planted credentials under a loop that logs each callback, and notes what is shown."""

    def stage(**options: Any) -> AbstractAsyncContextManager[Any]:
        loop = asyncio.get_running_loop()
        loop.set_debug(True)
        loop.slow_callback_duration = 0
        inner = ClientCredentials(client_id=CLIENT_ID, client_secret=options.pop("client_secret", SECRET))
        credentials = ListeningCredentials(spoken, inner)
        client = {"credentials": credentials, "on_event": spoken.note}
        spoken.note(inner, credentials, attrs.asdict(inner).keys())
        return set_stage(client, client_id=CLIENT_ID, client_secret=SECRET, **options)

    return stage


async def asynchronously(rows: list[Any]) -> AsyncIterator[Any]:
    """Yields rows as a database driver would."""
    for row in rows:
        yield row


@pytest.mark.parametrize(
    "fault",
    [
        {},
        {"status": 400},
        {"status": 401},
        {"status": 403},
        {"status": 404},
        {"status": 410},
        {"status": 413},
        {"status": 418, "code": "planted.person.1@example.com"},
        {"status": 500, "times": 9},
        {"status": 429, "headers": {"Retry-After": "0.01", "x-ratelimit-remaining": "planted.person.1"}},
        {"status": 307, "headers": {"Location": "/planted.person.1@example.com"}},
        {"body": b"<html>planted.person.1@example.com", "times": 9},
        {"body": b'{"data": "planted.person.1@example.com"}', "times": 9},
        {"body": b'{"data": {"attributes": {"operation": "planted.person.1@example.com"}}}'},
        {"body": b'{"errors": [{"code": "planted.person.1@example.com", "instance": "planted.person.2@example.com"}]}'},
        {
            "status": 400,
            "body": b'{"errors": [{"detail": "planted.person.1@example.com", "traceId": "planted.nobody!"}]}',
        },
        {"drop_connection": True, "times": 9},
        {"lose_reply": True, "times": 9},
    ],
    ids=str,
)
@pytest.mark.parametrize("algorithm", [None, "sha256"])
async def test_nothing_planted_is_shown_whatever_the_answer(
    fault: dict[str, Any], algorithm: str | None, open_stage: Open, spoken: Spoken
) -> None:
    """No log, event, exception, traceback or repr holds an identifier, its hash, the secret or a token."""
    async with open_stage() as stage:
        if fault:
            stage.sandbox.fail_next(**fault, on=AMENDING)
        report = await stage.upload(asynchronously(ROWS), hash=algorithm, batch_size=10, on_progress=spoken.note)
        assert stage.held or not report.ok
        spoken.note(stage.criteo, stage.criteo.marketing_solutions, stage.criteo.rate_limit)
        spoken.note(*stage.sandbox.requests)
        spoken.note_report(report)
        try:
            report.raise_for_failures()
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not show anything
            spoken.note_error(error)
    assert spoken.tokens


async def test_a_wrong_secret_is_not_shown(open_stage: Open, spoken: Spoken) -> None:
    """Nor a secret that is nearly right."""
    async with open_stage(client_secret=SECRET + "-wrong") as stage:
        with pytest.raises(AuthenticationError) as caught:
            await stage.upload(ROWS)
        spoken.note_error(caught.value)


async def test_the_first_answer_to_a_token_call_is_not_shown(open_stage: Open, spoken: Spoken) -> None:
    """Garbage from the token endpoint may hold a token."""
    async with open_stage() as stage:
        stage.sandbox.fail_next(body=b'{"access_token": "planted.nobody\\n", "expires_in": "soon"}', on="oauth2")
        spoken.note_report(await stage.upload(ROWS, batch_size=7))


@pytest.mark.parametrize("row", [5, b"planted.person.1@example.com", ["planted.person.1@example.com"]], ids=repr)
async def test_a_row_of_another_type_is_not_shown(row: Any, open_stage: Open, spoken: Spoken) -> None:
    """The error names its type."""
    async with open_stage() as stage:
        await stage.upload(EMAILS)
        with pytest.raises(TypeError) as caught:
            await stage.upload([*ROWS, row])
        spoken.note_error(caught.value)


async def test_a_canceled_upload_shows_nothing(open_stage: Open, spoken: Spoken) -> None:
    """Neither its exception nor its report."""
    async with open_stage() as stage:
        stage.sandbox.fail_next(delay=30, times=9, on=AMENDING)
        ms = stage.criteo.marketing_solutions
        async with ms.stream_contact_list(stage.segment_id, ROWS, hash=None, batch_size=7) as results:
            async with asyncio.timeout(10):
                while len(stage.calls) < 4:  # noqa: ASYNC110 - the sandbox has no event to wait for
                    await asyncio.sleep(0.001)
            spoken.note(results)
        spoken.note_report(results.report)


@pytest.mark.parametrize(
    "content",
    [
        "email,name\n" + "\n".join(EMAILS),
        "name,mail\n" + "\n".join(EMAILS),
        "\n".join(EMAILS),
        'email\n"' + "\n".join(EMAILS),
        'email\n"' + "\n".join(EMAILS * 500),
        "email\n" + "\0".join(EMAILS),
    ],
    ids=range(6),
)
@pytest.mark.parametrize("cut", [0, 20])
async def test_a_file_shows_nothing_of_itself(
    content: str, cut: int, open_stage: Open, spoken: Spoken, tmp_path: Path
) -> None:
    """Whatever is wrong with it, and also while nothing is."""
    path = tmp_path / "crm.csv.gz"
    raw = gzip.compress(content.encode())
    path.write_bytes(raw[: len(raw) - cut])
    async with open_stage() as stage:
        await stage.upload(EMAILS[:1])
        try:
            spoken.note_report(await stage.upload(path))
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not show anything
            spoken.note_error(error)


@pytest.mark.parametrize("algorithm", [None, "sha256"])
@pytest.mark.parametrize("lane", ["list", "file"])
async def test_the_rows_of_refused_identifiers_show_none(
    lane: str, algorithm: str | None, open_stage: Open, spoken: Spoken, tmp_path: Path
) -> None:
    """Where they stand is told in the report and on disk, what they are is not."""
    path, rejects = tmp_path / "crm.csv", tmp_path / "rejects.csv"
    path.write_text("\n".join(["email", *EMAILS, "planted.nobody", ""]), encoding="utf-8")
    source = path if lane == "file" else [*EMAILS, "planted.nobody"]
    wire = [hash_email(email, algorithm) if algorithm else email for email in (EMAILS[4], EMAILS[21])]
    async with open_stage() as stage:
        stage.sandbox.contact_list(stage.segment_id).refuse(wire)
        report = await stage.upload(source, hash=algorithm, batch_size=10, rejects=rejects, fail_on="invalid>1")
        spoken.note_report(report)
        spoken.note(report.invalid_rows, report.verdicts, *stage.sandbox.requests, rejects.read_text("utf-8"))
    assert sorted(report.sample_invalid) == sorted(wire)
    assert [row.row for row in report.invalid_rows] == [5, 22]
    assert {row.file for row in report.invalid_rows} == {"crm.csv" if lane == "file" else ""}
    assert not report.ok
    path.unlink()
    assert [file.name for file in tmp_path.iterdir()] == ["rejects.csv"]


async def test_what_is_asked_for_on_purpose_is_there(open_stage: Open) -> None:
    """The check would find a leak: the sample of refused identifiers, which is for the caller alone, holds one."""
    async with open_stage() as stage:
        receipt = await stage.criteo.marketing_solutions.amend_contact_list(
            stage.segment_id, operation="add", identifiers=REFUSED[:1]
        )
    heard = Spoken()
    heard.note(receipt.sample_invalid)
    assert heard.leaks() == {"planted.nobody"}


async def test_a_client_that_nobody_entered_shows_nothing() -> None:
    """Its credentials are attributes without a place in any repr."""
    credentials = ClientCredentials(client_id=CLIENT_ID, client_secret=SECRET)
    heard = Spoken()
    async with Sandbox() as sandbox, CriteoClient(credentials, base_url=sandbox.url) as criteo:
        heard.note(credentials, criteo, vars(criteo), [credentials], {"credentials": credentials})
    assert heard.leaks() == set()
