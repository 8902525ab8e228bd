import asyncio
import logging
from typing import Any

import pytest

from criteo_audiences.errors import ConnectError, CriteoError, InvalidResponseError, NotFoundError, QuotaWaitError
from criteo_audiences.meter import CallMeter
from criteo_audiences.models import RateLimit
from criteo_audiences.session import AccessToken, Event, LocalRateLimiter, Quota, Request, Response, StaticToken

READ = Request(
    method="GET", path="/lists/{segment_id}/statistics", path_parameters={"segment_id": "812345"}, query={"limit": "5"}
)
HEADERS = {"x-ratelimit-limit": "250", "x-ratelimit-remaining": "249", "x-ratelimit-reset": "1800000060"}


class Diary:
    """A limiter, a token source and an observer that write down what happens in which order."""

    def __init__(self) -> None:
        self.entries: list[str] = []
        self.settled: list[tuple[RateLimit | None, float, float | None]] = []

    async def acquire(self, *, background: bool = False, longest: float | None = None) -> float:
        """See `RateLimiter.acquire`."""
        self.entries.append(f"quota background={background} longest={longest}")
        return 0.0

    def settle(self, announced: RateLimit | None = None, *, pause: float = 0.0, sent_at: float | None = None) -> None:
        """See `RateLimiter.settle`."""
        self.entries.append("settle")
        self.settled.append((announced, pause, sent_at))

    async def token(self, grant: object) -> AccessToken:
        """See `TokenSource.token`."""
        assert grant is not None
        self.entries.append("token")
        return AccessToken(value="abc", lifetime=900.0)

    def note(self, event: Event) -> None:
        """Takes an event."""
        self.entries.append(event.name)


async def test_order_of_a_call(transport: Any, make_session: Any) -> None:
    """A call takes its place in the quota, then its token, then the network, and settles when it is over."""
    diary = Diary()
    session = make_session(diary, limiter=diary, on_event=diary.note, max_quota_wait=9.0)
    await session.send(READ)
    assert diary.entries == [
        "quota background=False longest=9.0",
        "token",
        "request.started",
        "request.completed",
        "settle",
    ]
    assert len(transport.sent) == 1


async def test_batches_say_that_they_can_wait(make_session: Any) -> None:
    """An upload's batch asks for its place as background work."""
    diary = Diary()
    await make_session(diary, limiter=diary).send(Request(method="PATCH", path="/x", background=True))
    assert diary.entries[0] == "quota background=True longest=None"


async def test_what_is_sent(transport: Any, make_session: Any) -> None:
    """A request carries the version, the token, what it accepts and who sends it; a token call is a form without token."""
    await make_session(user_agent="criteo-audiences/9").send(READ)
    (token,), (call,) = transport.token_calls, transport.api_calls
    assert call.exchange.url == "https://api.criteo.com/2026-07/lists/812345/statistics?limit=5"
    assert call.exchange.headers == {
        "Accept": "application/json",
        "Content-Type": "application/json",
        "User-Agent": "criteo-audiences/9",
        "Authorization": "Bearer token-1",
    }
    assert token.exchange.url == "https://api.criteo.com/oauth2/token"
    assert token.exchange.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert token.token is None
    assert token.body == b"grant_type=client_credentials&client_id=the-id&client_secret=the-secret"


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (Response(status=404), NotFoundError),
        (ConnectError("down"), ConnectError),
        (InvalidResponseError(["x @ $"]), InvalidResponseError),
        (RuntimeError("a bug"), RuntimeError),
    ],
    ids=["status", "connect", "unreadable", "bug"],
)
async def test_place_is_given_back_whatever_happens(
    transport: Any, make_session: Any, finish: Any, failure: Any, kind: type[Exception]
) -> None:
    """Each request that took a place settles it once, also when it fails, also by a bug."""
    diary = Diary()
    transport.always = failure
    with pytest.raises(kind):
        await finish(make_session(diary, limiter=diary).send(READ))
    taken = [entry for entry in diary.entries if entry.startswith("quota")]
    assert len(taken) == diary.entries.count("settle") == len(transport.sent)


async def test_place_is_given_back_when_cancelled(transport: Any, make_session: Any, clock: Any) -> None:
    """A call cancelled while it asks for its token, or the API, gives its place back."""
    transport.latency = 10.0
    limiter = LocalRateLimiter(Quota(1), clock=clock)
    session = make_session(limiter=limiter)
    for wait in (5.0, 15.0):
        call = asyncio.create_task(session.send(READ))
        await clock.advance(wait)
        call.cancel()
        await clock.advance(0.0)
        assert call.cancelled()
        assert limiter.expected_wait() == 60.0
        await clock.advance(60.0)
        assert limiter.expected_wait() == 0.0


async def test_limiter_learns_what_the_server_announces(transport: Any, make_session: Any, finish: Any) -> None:
    """The limiter is told the rate limit of every answer, when its request was sent, and after a 429 how long to pause."""
    diary = Diary()
    transport.latency = 0.5
    transport.script.extend(
        [Response(status=429, headers={"retry-after": "8"}), Response(status=200, body=b"{}", headers=HEADERS)]
    )
    await finish(make_session(diary, limiter=diary).send(READ))
    (first, pause, sent_at), (second, none, sent_again_at) = diary.settled
    assert (first, pause, none) == (None, 8.0, 0.0)
    assert (sent_at, sent_again_at) == (1_000.0, 1_000.5)
    assert second is not None
    assert (second.limit, second.remaining, second.reset_in) == (250, 249, 59.0)


async def test_rate_limit_is_the_last_announced(transport: Any, make_session: Any) -> None:
    """`rate_limit` is what the server last announced, kept where an answer announces nothing, and `None` at first."""
    session = make_session()
    assert session.rate_limit is None
    transport.script.append(Response(status=200, headers=HEADERS))
    await session.send(READ)
    announced = session.rate_limit
    assert (announced.limit, announced.remaining) == (250, 249)
    await session.send(READ)
    assert session.rate_limit is announced


async def test_authenticate_uses_no_quota(transport: Any, make_session: Any) -> None:
    """`authenticate` gets a token without a place in the quota, and none when one is held."""
    diary = Diary()
    session = make_session(limiter=diary)
    await session.authenticate()
    await session.authenticate()
    assert (len(transport.token_calls), diary.entries) == (1, [])


async def test_too_long_a_quota_wait_sends_nothing(transport: Any, make_session: Any, clock: Any) -> None:
    """A call that would wait too long for the quota is refused before anything is sent."""
    session = make_session(limiter=LocalRateLimiter(Quota(1), clock=clock), max_quota_wait=59.0)
    await session.send(READ)
    sent = len(transport.sent)
    with pytest.raises(QuotaWaitError) as caught:
        await session.send(READ)
    assert (caught.value.wait, len(transport.sent)) == (60.0, sent)


async def test_aclose_closes_the_transport(transport: Any, make_session: Any) -> None:
    """`aclose` closes the transport."""
    await make_session().aclose()
    assert transport.closed == 1


async def test_meter_counts_requests_and_waits(transport: Any, make_session: Any, finish: Any, clock: Any) -> None:
    """A meter counts each request, retries included, and the time the quota held the call back."""
    meter = CallMeter(now=clock.now)
    transport.script.extend([Response(status=503), Response(status=200, body=b"{}")])
    session = make_session(limiter=LocalRateLimiter(Quota(1), clock=clock))
    await finish(session.send(Request(method="PATCH", path="/x", meter=meter)))
    assert (meter.calls, meter.waited()) == (2, 59.0)


async def test_events_of_a_call(transport: Any, make_session: Any, finish: Any) -> None:
    """A call tells each of its steps: name, attempt, status, seconds, path template; never the id in the path."""
    events: list[Event] = []
    transport.latency = 0.25
    transport.script.append(Response(status=503, body=b'{"errors":[{"code":"x","traceId":"trace-1"}]}'))
    transport.script.append(ConnectError("down"))
    session = make_session(StaticToken("abc"), on_event=events.append)
    await finish(session.send(READ))
    path = "/lists/{segment_id}/statistics"
    common: dict[str, Any] = {"host": session.host, "method": "GET", "path": path}
    assert events == [
        Event(name="request.started", attempt=1, size=0, **common),
        Event(
            name="request.retried",
            attempt=1,
            status=503,
            seconds=1.0,
            trace_id="trace-1",
            error="ServerError",
            **common,
        ),
        Event(name="request.started", attempt=2, size=0, **common),
        Event(name="request.retried", attempt=2, seconds=2.0, error="ConnectError", **common),
        Event(name="request.started", attempt=3, size=0, **common),
        Event(name="request.completed", attempt=3, status=200, seconds=0.25, **common),
    ]
    assert all("812345" not in f"{event} {event!r}" for event in events)


async def test_event_of_a_failure(transport: Any, make_session: Any, finish: Any) -> None:
    """A call that fails tells so once, with status, error and trace id."""
    events: list[Event] = []
    transport.always = Response(status=404, body=b'{"errors":[{"traceId":"trace-9"}]}')
    with pytest.raises(NotFoundError):
        await finish(make_session(StaticToken("abc"), on_event=events.append).send(READ))
    failed = [event for event in events if event.name == "request.failed"]
    assert [(event.status, event.error, event.trace_id) for event in failed] == [(404, "NotFoundError", "trace-9")]


async def test_event_of_a_call_without_a_token(transport: Any, make_session: Any, finish: Any) -> None:
    """A call for which there is no token fails once in the events, as the token call does."""
    events: list[Event] = []
    transport.always_token = Response(status=403)
    with pytest.raises(CriteoError):
        await finish(make_session(on_event=events.append).send(READ))
    assert [(event.name, event.path) for event in events] == [
        ("request.started", "/oauth2/token"),
        ("request.failed", "/oauth2/token"),
        ("request.failed", "/lists/{segment_id}/statistics"),
    ]


async def test_event_of_a_quota_wait(make_session: Any, clock: Any, caplog: pytest.LogCaptureFixture) -> None:
    """A wait for the quota is told with its seconds, and logged in an area of its own."""
    events: list[Event] = []
    caplog.set_level(logging.DEBUG)
    limiter = LocalRateLimiter(Quota(1), clock=clock)
    session = make_session(StaticToken("abc"), limiter=limiter, on_event=events.append)
    await session.send(READ)
    waiting = asyncio.create_task(session.send(READ))
    await clock.advance(60.0)
    await waiting
    (waited,) = [event for event in events if event.name == "quota.waited"]
    assert (waited.seconds, waited.attempt) == (60.0, 1)
    areas = {record.name for record in caplog.records if "quota.waited" in record.getMessage()}
    assert areas == {"criteo_audiences.quota"}


async def test_events_of_a_batch_carry_its_labels(make_session: Any) -> None:
    """The events of an upload's batch say which upload, segment and batch it is."""
    events: list[Event] = []
    labels = {"upload_id": "u-1", "segment_id": "812345", "batch": 3}
    session = make_session(StaticToken("abc"), on_event=events.append)
    await session.send(Request(method="PATCH", path="/x", labels=labels))
    assert {(event.upload_id, event.segment_id, event.batch) for event in events} == {("u-1", "812345", 3)}
    assert str(events[0]) == ("request.started method=PATCH path=/x attempt=1 upload_id=u-1 segment_id=812345 batch=3")


@pytest.mark.parametrize(
    ("name", "area", "level"),
    [
        ("request.started", "criteo_audiences.session", logging.DEBUG),
        ("request.retried", "criteo_audiences.session", logging.INFO),
        ("request.completed", "criteo_audiences.session", logging.DEBUG),
        ("request.failed", "criteo_audiences.session", logging.WARNING),
    ],
)
async def test_events_are_logged(
    transport: Any, make_session: Any, finish: Any, caplog: pytest.LogCaptureFixture, name: str, area: str, level: int
) -> None:
    """Each event is one line of its area's log, at the level of its weight."""
    caplog.set_level(logging.DEBUG)
    session = make_session(StaticToken("abc"))
    transport.script.append(Response(status=503))
    await finish(session.send(READ))
    transport.always = Response(status=404)
    with pytest.raises(NotFoundError):
        await finish(session.send(READ))
    lines = [record for record in caplog.records if record.getMessage().startswith(f"{name} ")]
    assert lines
    assert {(record.name, record.levelno) for record in lines} == {(area, level)}
    assert all("path=/lists/{segment_id}/statistics" in record.getMessage() for record in lines)


async def test_seconds_are_logged_short(transport: Any, make_session: Any, finish: Any, caplog: Any) -> None:
    """A line of the log shows seconds to the millisecond."""
    caplog.set_level(logging.DEBUG, "criteo_audiences.session")
    transport.latency = 0.123456
    await finish(make_session(StaticToken("abc")).send(READ))
    completed = caplog.records[-1].getMessage()
    assert completed == (
        "request.completed method=GET path=/lists/{segment_id}/statistics attempt=1 status=200 seconds=0.123"
    )


async def test_observer_that_raises_breaks_nothing(
    make_session: Any, finish: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """An `on_event` that raises ends no call; its error is logged by its class, without its text."""

    def broken(_: Event) -> None:
        raise RuntimeError("planted-secret")

    assert await finish(make_session(StaticToken("abc"), on_event=broken).send(READ)) == {"data": {}}
    errors = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert errors == [
        "on_event raised RuntimeError at request.started",
        "on_event raised RuntimeError at request.completed",
    ]
    assert "planted-secret" not in caplog.text


def test_library_is_silent_by_default() -> None:
    """The library's root logger has a handler that prints nothing, and no level of its own."""
    root = logging.getLogger("criteo_audiences")
    assert any(isinstance(handler, logging.NullHandler) for handler in root.handlers)
    assert root.level == logging.NOTSET


class Shared(Diary):
    """A limiter of a user's own that says what it allows and what it takes."""

    window = (10, 60.0)
    share = 1.0


async def test_a_limiter_of_a_users_own_says_its_window(make_session: Any, transport: Any) -> None:
    """Estimates go by what it says; of one that says nothing there is no estimate."""
    for limiter, window in ((Shared(), (10, 60.0)), (Diary(), None)):
        transport.script.append(Response(status=200, body=b"{}"))
        meter = CallMeter()
        await make_session(StaticToken("abc"), limiter=limiter).send(Request(method="GET", path="/things", meter=meter))
        assert meter.window == window
