"""The connection to a Redis server, and the calls that a worker reports to others which share its quota.

This module keeps the URL and the one connection, and words errors so that no message contains a secret.
"""

import asyncio
import hashlib
import itertools
import math
import re
import secrets
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import orjson
from attrs import define, field

from criteo_audiences.errors import ConfigurationError, CriteoError
from criteo_audiences.loops import completed
from criteo_audiences.models import RateLimit
from criteo_audiences.session.quota import Refusals, seconds_to_reset

_PATIENCE: Final = 1.0
"""Seconds for a connection and for an answer, unless the URL says otherwise (`?socket_timeout=5`)."""
_MOMENT: Final = 1.0
"""Seconds that a running exchange gets to end when its caller is canceled."""
_OLDEST: Final = (5, 0)
"""Since Redis 5, a script may write after it has read the time (https://redis.io/docs/latest/commands/time/)."""
_SENTINEL: Final = "+sentinel"
_SCHEMES: Final = ("redis", "rediss", "unix", f"redis{_SENTINEL}", f"rediss{_SENTINEL}")


class RedisGoneError(CriteoError):
    """Redis does not answer, or refuses; the message contains only the class of the client library's error."""


class RedisServer:
    """Runs scripts on a server, through one connection that it opens when needed.

    Args:
        url: `redis://`, `rediss://` (TLS) or `unix://` as redis-py reads them, password and options included; or
            `redis+sentinel://host:26379,host:26379/service/0` with the options `sentinel_username` and
            `sentinel_password`.
        source: the argument or the variable that contains the URL, for messages.

    Raises:
        ConfigurationError: when the extra is not installed, or the URL cannot be read; it never shows the URL.
    """

    def __init__(self, url: str, *, source: str = "url") -> None:
        self._url = url
        self._source = source
        self._redis: Any = None  # its types differ from release to release
        self._was_reached = False
        self._opened()

    async def run(self, script: str, keys: list[str], report: Mapping[str, Any]) -> Any:
        """Runs a script with one JSON argument, and returns its JSON result.

        Raises:
            RedisGoneError: when no answer came; whether the script ran is then not known.
            ConfigurationError: when the first contact shows a wrong password, or a server that is too old.
        """
        return orjson.loads(
            await self._answered(lambda redis: self._evaluate(redis, script, keys, orjson.dumps(report)))
        )

    async def reach(self) -> None:
        """Opens the connection and checks that the server answers.

        Raises:
            RedisGoneError: when the server does not answer.
            ConfigurationError: as in `run`.
        """
        await self._answered(lambda redis: redis.ping())

    async def _answered(self, command: Callable[[Any], Awaitable[Any]]) -> Any:
        from redis.exceptions import RedisError  # noqa: PLC0415 - needs the extra

        async def exchange() -> Any:
            return await command(await self._connected())

        try:
            # In a separate task: before Python 3.12, the library's `asyncio.wait_for` can swallow a cancellation.
            return await completed(exchange(), patience=_MOMENT)
        except (RedisError, OSError, TimeoutError) as error:
            failure = self._in_words(error)
        await self.close()
        raise failure  # outside the `except` block: the text of the library's exception may contain the URL

    async def _evaluate(self, redis: Any, script: str, keys: list[str], argument: bytes) -> Any:
        from redis.exceptions import NoScriptError  # noqa: PLC0415 - needs the extra

        digest = hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest()
        try:
            return await redis.evalsha(digest, len(keys), *keys, argument)
        except NoScriptError:
            return await redis.eval(script, len(keys), *keys, argument)

    async def close(self) -> None:
        """Closes the connection; `run` would open another."""
        redis, self._redis = self._redis, None
        if redis is not None:
            sentinel = getattr(redis.connection_pool, "sentinel_manager", None)
            try:
                async with asyncio.timeout(_MOMENT):
                    await redis.aclose()
                    for each in sentinel.sentinels if sentinel is not None else ():
                        await each.aclose()
            except (Exception, TimeoutError):  # noqa: BLE001, S110 - it is of no use any more
                pass

    def forget(self) -> None:
        """Drops a connection of another event loop or process; only that one could close it."""
        self._redis = None

    async def _connected(self) -> Any:
        if self._redis is None:
            self._redis = self._opened()
            info = await self._redis.info("server")
            version = str(info.get("redis_version", ""))
            numbers = tuple(int(part) for part in re.findall(r"[0-9]+", version)[:2])
            if numbers < _OLDEST:
                await self.close()
                wanted = ".".join(map(str, _OLDEST))
                raise ConfigurationError(
                    f"The Redis server of {self._source} has version {version}; use {wanted} or newer."
                )
            self._was_reached = True
        return self._redis

    def _in_words(self, error: Exception) -> Exception:
        from redis.exceptions import AuthenticationError, AuthorizationError, NoPermissionError  # noqa: PLC0415

        refusals = (AuthenticationError, AuthorizationError, NoPermissionError)
        says_no = isinstance(error, refusals) or str(error).startswith(("NOAUTH", "WRONGPASS", "NOPERM"))
        if says_no and not self._was_reached:
            return ConfigurationError(
                f"Redis refuses the login of {self._source} ({type(error).__name__}); check user, password and rights."
            )
        return RedisGoneError(type(error).__name__)

    def _opened(self) -> Any:
        try:
            from redis.asyncio import Redis  # noqa: PLC0415 - needs the extra
            from redis.asyncio.retry import Retry  # noqa: PLC0415
            from redis.backoff import NoBackoff  # noqa: PLC0415
        except ImportError:
            raise ConfigurationError(
                "Redis needs a package that is not installed; run: pip install 'criteo-audiences[redis]'."
            ) from None
        options: dict[str, Any] = {
            "socket_timeout": _PATIENCE,
            "socket_connect_timeout": _PATIENCE,
            "retry": Retry(NoBackoff(), 1),  # one retry, for a connection that broke while idle
        }
        scheme = self._url.partition("://")[0] if isinstance(self._url, str) else ""
        if scheme not in _SCHEMES:
            raise ConfigurationError(
                f"{self._source} must be the URL of a Redis server: {', '.join(f'{each}://' for each in _SCHEMES)}."
            )
        try:
            from_url: Any = self._of_sentinel if scheme.endswith(_SENTINEL) else Redis.from_url
            redis = from_url(self._url, **options)
            redis.connection_pool.make_connection()  # not opened yet; an unknown option raises here
        except (ValueError, TypeError):
            pass
        else:
            return redis
        raise ConfigurationError(f"{self._source} cannot be read as the URL of a Redis server; check port and options.")

    @staticmethod
    def _of_sentinel(url: str, **options: Any) -> Any:
        """Reads `redis+sentinel://user:password@host:port,host:port/service/0?option=...`."""
        from redis.asyncio.connection import parse_url  # noqa: PLC0415
        from redis.asyncio.sentinel import Sentinel  # noqa: PLC0415

        parts = urlsplit(url)
        login, _, hosts = parts.netloc.rpartition("@")
        service, _, database = parts.path.strip("/").partition("/")
        query = dict(parse_qsl(parts.query))
        of_sentinels = {
            name: query.pop(f"sentinel_{name}") for name in ("username", "password") if f"sentinel_{name}" in query
        }
        scheme = parts.scheme.removesuffix(_SENTINEL)
        plain = urlunsplit(
            (scheme, f"{login}@localhost" if login else "localhost", f"/{database}", urlencode(query), "")
        )
        known: dict[str, Any] = {**options, **parse_url(plain)}
        for name in ("host", "port", "connection_class"):
            known.pop(name, None)
        if scheme == "rediss":
            known["ssl"] = True
        sentinels = [
            (host.rpartition(":")[0] or host, int(host.rpartition(":")[2] or 26379)) for host in hosts.split(",")
        ]
        if not service or not all(name for name, _ in sentinels):
            raise ValueError
        timeouts = {name: known[name] for name in ("socket_timeout", "socket_connect_timeout")}
        finder: Any = Sentinel
        return finder(sentinels, sentinel_kwargs={**timeouts, **of_sentinels}, **known).master_for(service)


def script_text(name: str) -> str:
    """Returns a script of this package."""
    return (Path(__file__).parent / name).read_text("utf-8")


_DRIFT: Final = 1 / 2000
"""How much the rate of a clock may be off: NTP slews a clock by at most 500 parts in a million."""


@define
class OwnCalls:
    """The calls of this worker that count in the quota's window.

    A call holds its slot from its admission until one period after its answer, and at least until one period and
    `slack` after it was sent. By then Criteo no longer counts the call, even if this worker gave up waiting for an
    answer.

    Attributes:
        period: length of the window, seconds.
        slack: the longest time from sending a request until Criteo counts it, seconds.
        name: a random name, by which Redis distinguishes this worker from others.
        flying: calls that were admitted and have not ended.
    """

    period: float
    slack: float
    name: str = field(factory=lambda: secrets.token_hex(8))
    flying: int = 0
    _admitted_at: float = -math.inf
    _frees: dict[str, float] = field(factory=dict)
    _unsaid: list[str] = field(factory=list)
    _answers: list[tuple[float, float, RateLimit | None, float]] = field(factory=list)
    _numbers: "itertools.count[int]" = field(factory=itertools.count)

    @property
    def hold(self) -> float:
        """Most seconds for which a call holds its slot after it has ended."""
        return self.period * (1 + _DRIFT) + self.slack

    def begin(self, now: float) -> None:
        """Records that a call was admitted."""
        self.flying += 1
        self._admitted_at = now

    def withdraw(self) -> None:
        """Gives up the slot of a call that was admitted but not sent."""
        self.flying = max(0, self.flying - 1)

    def end(self, now: float, announced: RateLimit | None, pause: float, sent_at: float | None) -> None:
        """Records that a call has ended; without `sent_at`, assumes it was sent when the last call was admitted."""
        self.flying = max(0, self.flying - 1)
        sent = min(now, self._admitted_at if sent_at is None else sent_at)
        self._note(max(now, sent + self.slack) + self.period * (1 + _DRIFT))
        if announced is not None or pause > 0 or sent_at is not None:
            self._answers.append((now, sent, announced, pause))

    def abandon(self, now: float) -> None:
        """Counts all calls in flight as ended, because their answers will not be reported."""
        for _ in range(self.flying):
            self._note(now + self.hold)
        self.flying = 0

    def note_pause(self, now: float, pause: float) -> None:
        """Records a wait that the server announced while Redis could not be reached."""
        if pause > 0:
            self._answers.append((now, now, None, pause))

    def _note(self, free_at: float) -> None:
        number = f"{self.name}:{next(self._numbers)}"
        self._frees[number] = free_at
        self._unsaid.append(number)

    def held(self, now: float) -> int:
        """Returns the number of slots that this worker's calls hold."""
        self._frees = {number: free_at for number, free_at in self._frees.items() if free_at > now}
        return self.flying + len(self._frees)

    def next_free(self) -> float:
        """Returns when the next slot of an ended call becomes free."""
        return min(self._frees.values(), default=math.inf)

    def report(self, now: float, *, everything: bool) -> dict[str, Any]:
        """Returns what the other workers must know, with times relative to `now`.

        Args:
            now: the time on the clock that the other methods use.
            everything: whether to report all calls that hold a slot, for a server that has lost them.
        """
        self.held(now)
        ended = list(self._frees) if everything else [number for number in self._unsaid if number in self._frees]
        return {
            "worker": self.name,
            "flying": self.flying,
            "hold": self.hold,
            "ended": [(number, self._frees[number] - now) for number in ended],
            "answers": [
                _said(now - at, now - sent, limit, pause, self.period) for at, sent, limit, pause in self._answers
            ],
        }

    def news(self) -> "_News":
        """Returns how much of a report made now is new; pass it to `forget` once the others have received it."""
        return _News(len(self._unsaid), len(self._answers))

    def forget(self, news: "_News") -> None:
        """Drops news that the others have received."""
        del self._unsaid[: news.ended]
        del self._answers[: news.answers]


@define
class _News:
    ended: int
    answers: int


def _said(age: float, sent_age: float, announced: RateLimit | None, pause: float, period: float) -> dict[str, Any]:
    said: dict[str, Any] = {"sent": sent_age}
    if announced is not None:
        said["limit"] = announced.limit or None
        said["remaining"] = announced.remaining
        said["reset"] = seconds_to_reset(announced, period, is_refusal=pause > 0) - age
    if pause > 0:
        said["pause"] = max(0.0, pause - age)
    return {name: value for name, value in said.items() if value is not None}


@define
class LocalShare:
    """Limits the calls of a worker while Redis does not answer.

    A worker has its part of the limit. During the first period it may have less: calls that other workers made before
    still count, so the worker has only the slots of its own calls and its part of the slots that were free.

    Attributes:
        allowed: slots for this worker's calls.
        at_first: slots until `since_then`.
        since_then: when calls made before the loss of Redis have left the window.
        until: when the shared window opens again; infinite while that is unknown.
        paused_until: when a wait that the server announced is over.
        refusals: consecutive 429s.
    """

    allowed: int
    at_first: int
    since_then: float
    until: float = math.inf
    paused_until: float = 0.0
    refusals: Refusals = field(factory=Refusals)

    def note(self, now: float, pause: float, sent_at: float | None) -> None:
        """Records the answer to a call."""
        if pause > 0:
            self.refusals.note(now if sent_at is None else sent_at, now)
            self.paused_until = max(self.paused_until, now + pause)
        elif sent_at is not None:
            self.refusals.clear()

    def free(self, calls: OwnCalls, now: float) -> int:
        """Returns how many calls this worker may make at this moment."""
        if now < self.paused_until or now >= self.until:
            return 0
        allowed = self.allowed if now >= self.since_then else min(self.allowed, self.at_first)
        free = allowed - calls.held(now)
        return min(free, 1 - calls.flying) if self.refusals.are_many else free

    def next_change(self, calls: OwnCalls, now: float) -> float:
        """Returns when a slot may become free without an answer; infinite when only an answer can free one."""
        if now < self.paused_until:
            return self.paused_until
        later = [self.since_then] if now < self.since_then else []
        return min([calls.next_free(), self.until, *later])
