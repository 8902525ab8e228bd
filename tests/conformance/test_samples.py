"""A server that records every call and answers with the samples of Criteo's pages."""

import datetime as dt
import json
import logging
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

import pytest
from aiohttp import web
from attrs import define, field

from criteo_audiences import (
    BulkResult,
    ClientCredentials,
    CriteoClient,
    Page,
    PartialFailureError,
    Problem,
    RetryPolicy,
)

from .exchanges import JudgedTransport
from .judge import Document
from .samples import MARKETING_SOLUTIONS, RETAIL_MEDIA, SAMPLES, Sample

VERSION: Final = "2026-07"
TOKEN: Final = {"access_token": "eyJhbGciOi", "token_type": "Bearer", "expires_in": 900}
RENAMED: Final = {
    "accountID": "account_id",
    "nbValidIdentifiers": "valid",
    "nbInvalidIdentifiers": "invalid",
    "sampleInvalidIdentifiers": "sample_invalid",
    "traceIdentifier": "trace_id",
}
"""Attributes whose names are not Criteo's with underscores."""

NAMES: Final = [f"{each.endpoint[0]} {each.endpoint[1]} of the {each.source}" for each in SAMPLES]


@define
class Recorder:
    """The server: what it was asked, and what it answers next."""

    url: str = ""
    answer: web.Response = field(factory=web.Response)
    asked: list[tuple[str, str, dict[str, str], Any]] = field(factory=list)

    async def handle(self, request: web.Request) -> web.Response:
        """Answers a token, or the sample."""
        if request.path == "/oauth2/token":
            return web.json_response(TOKEN)
        assert request.headers["Authorization"] == f"Bearer {TOKEN['access_token']}"
        body = json.loads(await request.read() or b"null")
        self.asked.append((request.method, request.path, dict(request.query), body))
        return self.answer


@pytest.fixture
async def recorder() -> AsyncIterator[Recorder]:
    """A server on this machine."""
    recorder = Recorder()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", recorder.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    recorder.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield recorder
    await runner.cleanup()


@pytest.fixture
async def criteo(recorder: Recorder) -> AsyncIterator[CriteoClient]:
    """A client of that server."""
    async with CriteoClient(
        ClientCredentials(client_id="id", client_secret="secret"),
        base_url=recorder.url,
        api_version=VERSION,
        retry=RetryPolicy(attempts=1),
    ) as client:
        yield client


def _spelled(key: str) -> str:
    return RENAMED.get(key) or re.sub(r"(?<!^)(?=[A-Z])", "_", key).lower()


def _folded(word: object) -> str:
    return str(word).lower().replace("_", "").replace("pointsofinterest", "pointofinterest")


def unreachable(said: Any, model: Any, place: str) -> Iterator[str]:
    """Yields the places of an answer whose value the model does not have."""
    if isinstance(said, dict) and said.keys() == {"value"}:
        yield from unreachable(said["value"], model, place)
    elif isinstance(said, dict) and not isinstance(model, dict):
        for key, value in said.items():
            if not hasattr(model, _spelled(key)):
                yield f"{place}.{key}"
            else:
                yield from unreachable(value, getattr(model, _spelled(key)), f"{place}.{key}")
    elif isinstance(said, list):
        if len(said) != len(model or ()):
            yield place
        for number, (value, each) in enumerate(zip(said, model or (), strict=False)):
            yield from unreachable(value, each, f"{place}[{number}]")
    elif not _is_same(said, model):
        yield place


def _is_same(said: Any, value: Any) -> bool:
    """Whether a value is what an answer says: a moment in UTC, a word of any case, an id that is a number there."""
    if isinstance(value, dt.datetime):
        moment = dt.datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", said))
        return moment.replace(tzinfo=dt.UTC) == value
    if said is None or value is None or said == value:
        return said == value
    return _folded(said) == _folded(getattr(value, "value", value))


def _entity(said: Any, model: Any, place: str) -> Iterator[str]:
    attributes = said.get("attributes", said if "operation" in said else {})
    if isinstance(model, str):  # all that a deletion returns
        yield from unreachable(said["id"], model, f"{place}.id")
        return
    if "id" in said and hasattr(model, "id"):  # statistics are asked for by the id
        yield from unreachable(said["id"], model.id, f"{place}.id")
    yield from unreachable(attributes, model, place)


def _problems(said: list[Any] | None, found: tuple[Problem, ...], place: str) -> Iterator[str]:
    listed = [
        {**each, "stackTrace": _joined(each["stackTrace"])} if "stackTrace" in each else each for each in said or ()
    ]
    yield from unreachable(listed, found, place)


def _joined(trace: Any) -> Any:
    return "\n".join(trace) if isinstance(trace, list) else trace


def everything_missed(answer: Any, found: Any, logged: str) -> list[str]:
    """Returns what an answer says and nothing tells: not the result, not its warnings, and for some calls not the log."""
    data, warnings = answer["data"], answer.get("warnings") or []
    errors = answer.get("errors") or []
    if found is None:  # a list that was cleared: the answer names it, and may warn
        return [f"warnings.{each['code']}" for each in warnings if each["code"] not in logged]
    if isinstance(found, PartialFailureError):
        missed = [*_problems(errors, found.problems, "problems")]
        return missed + everything_missed({**answer, "errors": []}, found.receipt, logged)
    if isinstance(found, BulkResult):
        missed = [*_problems(errors, found.errors, "errors"), *_problems(warnings, found.warnings, "warnings")]
        return missed + _each(data, found.items)
    if isinstance(found, Page):
        missed = [*_problems(warnings, found.warnings, "warnings")]
        return missed + _each(data, found.items) + list(unreachable(answer["meta"], found, "meta"))
    if isinstance(found, tuple):
        missed = [f"warnings.{each['code']}" for each in warnings if each["code"] not in logged]
        return missed + _each(data, found)
    return [*_problems(warnings, found.warnings, "warnings"), *_entity(data, found, "data")]


def _each(data: list[Any], items: tuple[Any, ...]) -> list[str]:
    assert len(data) == len(items)
    pairs = zip(data, items, strict=True)
    return [missed for number, (said, item) in enumerate(pairs) for missed in _entity(said, item, f"data[{number}]")]


async def _made(sample: Sample, criteo: CriteoClient, recorder: Recorder) -> Any:
    body = b"" if sample.answer is None else json.dumps(sample.answer).encode()
    kind = None if sample.answer is None else "application/json"
    recorder.answer = web.Response(status=sample.status, body=body or None, content_type=kind)
    try:
        return await sample.call(criteo)
    except PartialFailureError as error:
        return error


@pytest.mark.parametrize("sample", SAMPLES, ids=NAMES)
async def test_a_sample_is_asked_for_and_understood_as_the_page_has_it(
    sample: Sample, criteo: CriteoClient, recorder: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    """The request equals the sample, and every attribute of the answer can be reached."""
    with caplog.at_level(logging.INFO, "criteo_audiences"):
        found = await _made(sample, criteo, recorder)
    method, path = sample.endpoint
    assert recorder.asked == [(method, f"/{VERSION}{path}", sample.query, sample.body)]
    if sample.answer is None:
        assert found is None
    else:
        assert everything_missed(sample.answer, found, caplog.text) == []


@pytest.mark.parametrize("sample", SAMPLES, ids=NAMES)
async def test_a_sample_is_asked_for_as_openapi_has_it(
    sample: Sample, criteo: CriteoClient, recorder: Recorder, documents: dict[tuple[str, str], Document]
) -> None:
    """The document of the service declares the request."""
    service = sample.endpoint[1].split("/")[1]
    judged = JudgedRequests(documents[service, VERSION], recorder.url, onward=criteo._session._transport)
    criteo._session._transport = judged
    await _made(sample, criteo, recorder)
    assert judged.failure is None
    assert judged.operations


class JudgedRequests(JudgedTransport):
    """Has no answer judged: a guide's sample is not always what the document declares."""

    async def send(self, exchange: Any) -> Any:
        """See `Transport.send`."""
        if not exchange.url.endswith("/oauth2/token"):
            self.operations.add(self.document.check_request(exchange, self.base_url))
        return await self._answer(exchange)


def test_all_endpoints_of_the_pages_have_a_sample() -> None:
    """Eleven of Marketing Solutions and seven of Retail Media, each as the reference and as a guide has it."""
    for samples, number in ((MARKETING_SOLUTIONS, 11), (RETAIL_MEDIA, 7)):
        by_endpoint: dict[tuple[str, str], str] = {}
        for each in samples:
            by_endpoint[each.endpoint] = by_endpoint.get(each.endpoint, "") + each.source
        assert len(by_endpoint) == number
        assert all("reference" in sources and "guide" in sources for sources in by_endpoint.values())


async def test_what_no_attribute_has_is_noticed(criteo: CriteoClient, recorder: Recorder) -> None:
    """The walk through an answer finds a property that is new, and a value that was read as another."""
    sample = next(each for each in RETAIL_MEDIA if each.source.startswith("guide: read-only as text"))
    found = await _made(sample, criteo, recorder)
    (said,) = sample.answer["data"]
    changed = {**said, "attributes": {**said["attributes"], "novelty": 1, "retailerId": "13", "channels": []}}
    missed = everything_missed({**sample.answer, "data": [changed]}, found, "")
    assert missed == ["data[0].retailerId", "data[0].channels", "data[0].novelty"]
