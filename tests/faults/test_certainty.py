"""A report is never more certain than the facts, whatever goes wrong."""

import hashlib
import os
import random
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from criteo_audiences import CriteoClient, Quota, RetryPolicy
from criteo_audiences.sandbox import Fault, RecordedRequest, Sandbox

FAULTS = int(os.environ.get("CRITEO_RANDOM_FAULTS", "60"))
BATCH = 10
# By these Criteo itself says that it did nothing.
REFUSALS = (400, 413, 429)
OTHERS = (
    200,
    201,
    204,
    302,
    303,
    307,
    405,
    406,
    408,
    409,
    418,
    422,
    425,
    451,
    499,
    *range(500, 512),
    *range(520, 531),
    599,
)
PROBLEM = {"type": "availability", "code": "internal-error"}
COUNTS = ((10, 0), (7, 3), (10, 10), (10**18, 0), (-1, 11), (None, None), (0, 0), (5, None))


def document(chance: random.Random) -> bytes:
    """Returns an answer's body that may contradict itself, the call and the facts."""
    valid, invalid = chance.choice(COUNTS[2:])
    attributes: dict[str, Any] = {"nbValidIdentifiers": valid, "nbInvalidIdentifiers": invalid}
    if chance.random() < 0.3:
        attributes = {"nbValidIdentifiers": 0, "nbInvalidIdentifiers": 0, "operation": "remove"}
    whole: dict[str, Any] = {"data": {"attributes": attributes}, "errors": [PROBLEM] * chance.randint(0, 2)}
    return chance.choice(
        (orjson.dumps(whole), b'{"data":{}}', b"", b"[]", b"<html>", orjson.dumps({"errors": [PROBLEM]}))
    )


def fault(chance: random.Random) -> Fault:
    """Returns a fault of any kind; one that refuses has done nothing, any other may have applied the call."""
    handled = chance.random() < 0.5
    kind = chance.randrange(6)
    if kind == 0:
        return Fault(status=chance.choice(REFUSALS), rate_limit_headers=False)
    if kind == 1:
        return Fault(body=document(chance), handle_first=handled)
    if kind == 2:
        return Fault(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab", handle_first=handled)
    if kind == 3:
        moments: tuple[Any, ...] = ("handled", "half-head", "head", "half-body")
        return Fault(lose_reply=True, at=chance.choice(moments)) if handled else Fault(drop_connection=True)
    return Fault(status=chance.choice(OTHERS), handle_first=handled, rate_limit_headers=False)


def faults(chance: random.Random) -> Iterator[Fault | None]:
    """Yields what goes wrong with one request after the other: something with four of five, until so many have.

    The first one is refused for good, so that a batch fails for certain.
    """
    yield Fault(status=413)
    for _ in range(FAULTS):
        while chance.random() < 0.2:
            yield None
        yield fault(chance)


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.timeout(600)
async def test_a_report_claims_no_more_than_the_list_shows(seed: int) -> None:
    """What the list gained is valid or may be; no identifier of a failed batch is in it; every row has its place."""
    chance = random.Random(seed)
    coming = faults(chance)

    def choose(call: RecordedRequest) -> Fault | None:
        return next(coming, None) if call.path.endswith("contact-list") else None

    rows = [f"c{number}@example.com" for number in range(BATCH * (FAULTS // 2 + 5))]
    async with Sandbox(rate_limit=None) as sandbox:
        segment = sandbox.add_contact_list()
        sandbox.fail_with(choose)
        retry = RetryPolicy(attempts=2, first_delay=0.001, max_delay=0.001)
        results = []
        async with (
            CriteoClient(
                sandbox.credentials, base_url=sandbox.url, retry=retry, quota=Quota(100_000), timeout=5.0
            ) as criteo,
            criteo.marketing_solutions.stream_contact_list(
                segment, rows, hash=None, batch_size=BATCH, max_concurrency=3
            ) as stream,
        ):
            async for result in stream:
                results.append(result)  # noqa: PERF401 - the stream ends with its block
        held = set(sandbox.contact_list(segment).identifiers)
    report, seen = stream.report, Counter[str]()
    assert report.read == report.sent + report.pending == len(rows)
    for result in results:
        batch = set(rows[(result.number - 1) * BATCH : result.number * BATCH])
        gained, outcome = len(batch & held), result.outcome
        assert gained <= outcome.valid + outcome.unknown + outcome.unreported, result
        assert not (outcome.failed and gained), result
        seen.update(name for name in ("valid", "unreported", "failed", "unknown") if getattr(outcome, name))
    assert len(held) <= report.valid + report.unknown + report.unreported
    assert {"valid", "failed", "unknown"} <= set(seen)  # or it would have shown nothing


ROWS = [f"c{number}@example.com" for number in range(8 * BATCH)]
BETWEEN = ("clear", "add", "remove", "upload", "restore")


def digests(rows: list[str]) -> set[str]:
    """Returns what a list holds of rows."""
    return {hashlib.sha256(row.encode()).hexdigest() for row in rows}


def rows_of(batches: list[int]) -> set[str]:
    """Returns what a list holds of batches."""
    return digests([row for number in batches for row in ROWS[(number - 1) * BATCH : number * BATCH]])


class Interrupted:
    """One upload with a journal, of which so many calls get through, and what its user does to the list meanwhile."""

    def __init__(self, sandbox: Sandbox, criteo: CriteoClient, journal: Path) -> None:
        self._sandbox = sandbox
        self._lists = criteo.marketing_solutions
        self._journal = journal
        self._segment = sandbox.add_contact_list()

    @property
    def held(self) -> set[str]:
        """What the list holds now."""
        return set(self._sandbox.contact_list(self._segment).identifiers)

    async def run(self, calls: int, resume: bool | None = None) -> tuple[Any, list[int]]:  # noqa: FBT001 - three answers
        """Uploads; returns the stream, and which batches came out of it as accepted."""
        coming = iter([None] * calls + [Fault(status=413)] * len(ROWS))
        self._sandbox.fail_with(lambda call: next(coming) if call.path.endswith("contact-list") else None)
        options: dict[str, Any] = {"hash": "sha256", "batch_size": BATCH, "max_concurrency": 1}
        stream = self._lists.stream_contact_list(self._segment, ROWS, journal=self._journal, resume=resume, **options)
        async with stream as results:
            accepted = [batch.number async for batch in results if batch.valid]
        assert results.report.valid == len(accepted) * BATCH
        self._sandbox.fail_with(lambda _: None)
        return results, accepted

    async def is_disturbed(self, what: str) -> set[str]:
        """Lets something come in between; returns what it put into the list."""
        if what == "restore":
            copy = shutil.copy(self._journal, f"{self._journal}.copy")
            await self.run(2)
            shutil.copy(copy, self._journal)
        elif what == "clear":
            await self._lists.clear_contact_list(self._segment)
        elif what == "upload":
            await self._lists.upload_contact_list(self._segment, ["stranger@example.com"], hash="sha256")
        else:
            changed = {"add": ["stranger@example.com"], "remove": ROWS[:BATCH]}[what]
            await self._lists.amend_contact_list(self._segment, operation=what, identifiers=sorted(digests(changed)))
        return digests(["stranger@example.com"]) if what in {"add", "upload"} else set()


@pytest.mark.parametrize("consents", [False, True])
@pytest.mark.parametrize("what", BETWEEN)
async def test_an_upload_goes_on_after_something_else_only_when_asked(
    tmp_path: Path, what: str, *, consents: bool
) -> None:
    """It is offered and not done; what is reported as accepted is in the list, identifier by identifier."""
    async with Sandbox(rate_limit=None) as sandbox, CriteoClient(sandbox.credentials, base_url=sandbox.url) as criteo:
        upload = Interrupted(sandbox, criteo, tmp_path / "crm.journal")
        _, before = await upload.run(3)
        assert before == [1, 2, 3]
        assert upload.held == rows_of(before)
        strangers = await upload.is_disturbed(what)
        kept = upload.held
        if consents:
            results, accepted = await upload.run(len(ROWS), resume=True)
            assert (results.resumes, results.set_aside, results.report.resumed) == (True, None, len(before))
            assert upload.held == kept | rows_of([4, 5, 6, 7, 8]) | strangers
            assert accepted == [1, 2, 3, 4, 5, 6, 7, 8]
            return
        results, accepted = await upload.run(2)
        assert (results.resumes, results.report.resumed, accepted) == (False, 0, [1, 2])
        assert "something else has operated on the list since (resume=True" in results.set_aside
        assert rows_of(accepted) <= upload.held == kept | rows_of(accepted)
        results, accepted = await upload.run(len(ROWS))  # nothing has come in between: it goes on unasked
        assert (results.resumes, results.set_aside, results.report.resumed) == (True, None, 2)
        assert rows_of(accepted) | strangers == upload.held == digests(ROWS) | strangers
