"""Clients of one application in one process that do not know of each other's calls."""

import gc
import logging
import warnings
from collections.abc import Callable
from typing import Any

import pytest

from criteo_audiences.session import (
    AccessToken,
    ClientCredentials,
    LocalRateLimiter,
    Quota,
    Request,
    Session,
    StaticToken,
    auth,
)
from criteo_audiences.session import session as session_module

READ = Request(method="GET", path="/things")
MakeSession = Callable[..., Session]


class Vault:
    """A token source of somebody's own."""

    async def token(self, grant: Any) -> AccessToken:  # noqa: ARG002 - it needs no call
        """See `TokenSource.token`."""
        return AccessToken(value="from-the-vault")


class Shown(Vault):
    """A token source of somebody's own that says what Criteo counts its calls by."""

    def __init__(self, quota_key: str) -> None:
        self.quota_key = quota_key


class Everywhere:
    """A limiter that shares its count with other processes."""

    async def acquire(self, *, background: bool = False, longest: float | None = None) -> float:  # noqa: ARG002
        """See `RateLimiter.acquire`."""
        return 0.0

    def settle(self, *_: Any, **__: Any) -> None:
        """See `RateLimiter.settle`."""


@pytest.fixture
def make(transport: Any, clock: Any) -> MakeSession:
    """Makes sessions of one application at Criteo, unless told otherwise."""

    def make(credentials: Any = None, *, base_url: str = "https://api.criteo.com", **options: Any) -> Session:
        credentials = credentials or ClientCredentials(client_id="the-id", client_secret="the-secret")
        return Session(credentials, transport, base_url=base_url, api_version="2026-07", clock=clock, **options)

    return make


async def told(*sessions: Session) -> list[str]:
    """Makes a call of each session; returns the warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for session in sessions:
            await session.send(READ)
    assert all(each.category is UserWarning for each in caught)
    return [str(each.message) for each in caught]


async def test_two_limiters_of_one_application_are_told_once(make: MakeSession, caplog: Any) -> None:
    """The second client's first call warns, in Python and in the log, and no later call or client does."""
    caplog.set_level(logging.WARNING, "criteo_audiences.quota")
    one, two, three = make(), make(), make()
    assert await told(one, one) == []
    (message,) = await told(two)
    assert message.endswith("or give them one rate_limiter, or a Quota(share=...) each whose sum is at most 1.")
    assert [record.getMessage() for record in caplog.records] == [message]
    assert await told(one, two, three) == []


async def test_warning_comes_before_anything_is_sent(make: MakeSession, transport: Any) -> None:
    """A filter that turns warnings into errors stops the call before it takes a place or is sent."""
    one, two = make(), make()
    await one.send(READ)
    with pytest.raises(UserWarning, match="Two clients of one Criteo application"):
        await two.send(READ)
    assert len(transport.api_calls) == 1


async def test_token_calls_use_no_quota_and_warn_of_nothing(make: MakeSession) -> None:
    """Getting a token is no use of the quota."""
    one, two = make(), make()
    await one.send(READ)
    await two.authenticate()


@pytest.mark.parametrize(
    ("one", "two", "same"),
    [
        (StaticToken("abc"), StaticToken("abc"), True),
        (StaticToken("abc"), StaticToken("abd"), False),
        (StaticToken("the-id"), None, False),
        (ClientCredentials(client_id="the-id", client_secret="renewed"), None, True),
        (ClientCredentials(client_id="another", client_secret="the-secret"), None, False),
        (Vault(), Vault(), False),
        (Shown("an-id"), Shown("an-id"), True),
        (Shown("an-id"), Shown("another"), False),
        (Shown("the-id"), None, True),
        (Shown(""), Vault(), False),
    ],
)
async def test_application_is_known_by_its_credentials(make: MakeSession, one: Any, two: Any, *, same: bool) -> None:
    """The same client id or static token is the same application, and so is what a source of any class says it is."""
    sessions = make(one), make(two)
    assert bool(await told(*sessions)) is same


def test_a_token_does_not_show_in_what_it_is_known_by() -> None:
    """The key of a token's quota is a digest; who logs it gives no token away."""
    assert "planted-token" not in StaticToken("planted-token").quota_key


async def test_a_source_used_twice_is_one_application(make: MakeSession) -> None:
    """Of a token source that does not show its application, the object itself tells."""
    vault = Vault()
    sessions = make(vault), make(vault)
    assert len(await told(*sessions)) == 1


async def test_each_server_has_a_quota_of_its_own(make: MakeSession) -> None:
    """Clients of different servers share nothing; the spelling of a host does not matter."""
    sessions = make(), make(base_url="http://127.0.0.1:8080"), make(base_url="http://127.0.0.1:8081")
    assert await told(*sessions) == []
    again = make(base_url="https://API.criteo.com")
    assert len(await told(again)) == 1


@pytest.mark.parametrize(
    ("shares", "warned"),
    [((0.5, 0.5), False), ((0.3, 0.3, 0.4), False), ((0.5, 0.501), True), ((0.5, 0.5, 0.001), True)],
)
async def test_shares_that_fit_into_one_window_are_fine(
    make: MakeSession, clock: Any, shares: tuple[float, ...], *, warned: bool
) -> None:
    """Limiters whose shares add up to at most 1 cannot exceed the quota together."""
    sessions = [make(limiter=LocalRateLimiter(Quota(share=share), clock=clock)) for share in shares]
    assert bool(await told(*sessions)) is warned


async def test_a_shared_limiter_is_no_reason_to_warn(make: MakeSession, clock: Any) -> None:
    """Clients that were given the same limiter know of each other's calls."""
    limiter = LocalRateLimiter(clock=clock)
    sessions = make(limiter=limiter), make(limiter=limiter), make(limiter=limiter)
    assert await told(*sessions) == []


async def test_limiters_of_ones_own_may_share_elsewhere(make: MakeSession, clock: Any) -> None:
    """Two of another make are taken to share; beside them there is no room for a whole window of ours."""
    sessions = [make(limiter=Everywhere()), make(limiter=Everywhere())]
    assert await told(*sessions) == []
    sessions.append(make(limiter=LocalRateLimiter(Quota(share=0.9), clock=clock)))
    assert await told(*sessions) == []
    beside = make()
    assert len(await told(beside)) == 1


async def test_clients_one_after_the_other_are_fine(make: MakeSession) -> None:
    """A client that was closed, or that nobody holds any more, is not in use."""
    closed = make()
    assert await told(closed) == []
    await closed.aclose()
    dropped = make()
    assert await told(dropped) == []
    del dropped
    last = make()
    assert await told(last) == []


async def test_registry_keeps_no_session_and_no_secret(make: MakeSession) -> None:
    """What it remembers is a digest under a key of this process; closed and collected sessions leave nothing."""
    registry = session_module.APPLICATIONS
    one, two = make(), make(StaticToken("planted-token"))
    await told(one, two)
    kept = repr(vars(registry)).encode() + b"".join(registry._in_use)
    assert not any(secret in kept for secret in (b"the-id", b"the-secret", b"planted-token"))
    assert auth.Applications()._digest(one._credentials, "x") != registry._digest(one._credentials, "x")
    await one.aclose()
    assert len(registry._in_use) == 1
    del two
    gc.collect()
    registry.leave(one)
    assert not registry._in_use


async def test_a_limiter_of_a_users_own_that_takes_the_whole_window_is_counted(make: MakeSession) -> None:
    """Two that each say they take all of it exceed the quota together, as two of ours do."""

    class All(Everywhere):
        share = 1.0

    assert len(await told(make(limiter=All()), make(limiter=All()))) == 1
