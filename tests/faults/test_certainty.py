"""A report is never more certain than the facts, whatever goes wrong."""

import os
import random
from collections import Counter
from collections.abc import Iterator
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
    """Yields what goes wrong with one request after the other: something with four of five, until so many have."""
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
