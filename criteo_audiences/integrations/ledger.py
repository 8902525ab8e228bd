"""What workers share in Redis about a contact list: a ledger of what was acknowledged, and a lease.

With the ledger, a worker that repeats a part of an upload sends only what was not acknowledged, on whatever machine it
runs. With the lease, one operation at a time works on a list.
"""

import asyncio
import contextlib
import hashlib
import logging
import math
import os
import secrets
import time
from collections.abc import Awaitable, Callable, Coroutine
from types import TracebackType
from typing import Any, Final, Protocol, Self, TypeVar

from criteo_audiences.errors import ConfigurationError, ConnectError
from criteo_audiences.integrations.redis_server import RedisGoneError, RedisServer
from criteo_audiences.journals.rows import Acknowledged
from criteo_audiences.loops import HomeLoop, at_end_of_loop
from criteo_audiences.meter import steady
from criteo_audiences.validation import require_range

__all__ = ["RedisLedger"]

_LOG: Final = logging.getLogger("criteo_audiences.uploads")
_DAY: Final = 86_400.0
_LONGEST: Final = 30 * _DAY
_REST: Final = 5.0
"""Seconds for which a Redis that did not answer is left alone, so that it does not hold up every batch."""
_FIND: Final = "return redis.call('HGET', KEYS[1], cjson.decode(ARGV[1]).batch) or 'null'"
_NOTE: Final = """
local told = cjson.decode(ARGV[1])
redis.call('HSET', KEYS[1], told.batch, cjson.encode(told.answer))
redis.call('PEXPIRE', KEYS[1], told.keep)
return 'null'
"""


class RedisLedger:
    """Remembers in Redis which batches of a run were acknowledged; a `BatchLedger` for `upload_contact_list`.

    It holds counts, moments and keyed digests: no identifier, and no name of a list. While Redis is gone, batches are
    sent without it, after one warning: a batch that is sent twice does no harm.

    Use it as `async with RedisLedger(...) as ledger:`, or call `aclose()`. It may serve several event loops one after
    the other, as a client may.

    Args:
        url: of the server, as for `RedisQuota`.
        run: names what is to be done once, such as `crm-2026-11-27`: batches of another run are sent again.
        keep: seconds after its last acknowledgement for which a run is remembered.
        source: what to call the URL in messages.

    Raises:
        ConfigurationError: naming the argument and what it may be; never the URL.
    """

    def __init__(self, url: str, *, run: str, keep: float = _DAY, source: str = "url") -> None:
        if not isinstance(run, str) or not run:
            raise ConfigurationError("run must be a text that is not empty; it names what is to be done once.")
        require_range(keep, "keep", least=1, most=_LONGEST)
        self._server = RedisServer(url, source=source)
        self._secret = hashlib.sha256(run.encode()).digest()
        self._keys = [f"criteo:ledger:{{{self._digest(b'run')}}}"]
        self._keep = keep
        self._home = HomeLoop()
        self._process = os.getpid()
        self._at_end: object = None
        self._rests_until = float("-inf")
        self._has_warned = False

    async def find(self, digest: bytes) -> Acknowledged | None:
        """See `BatchLedger.find`.

        Raises:
            ConfigurationError: when Redis refuses the login or is too old, or another event loop uses it as well.
        """
        answer = await self._asked(_FIND, {"batch": self._digest(digest)})
        return _acknowledged(answer)

    async def note(self, digest: bytes, acknowledged: Acknowledged) -> None:
        """See `BatchLedger.note`.

        Raises:
            ConfigurationError: as `find`.
        """
        answer = {"valid": acknowledged.valid, "invalid": acknowledged.invalid, "at": acknowledged.at}
        await self._asked(_NOTE, {"batch": self._digest(digest), "answer": answer, "keep": round(self._keep * 1000)})

    async def aclose(self) -> None:
        """Closes the connection."""
        await self._server.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def _enter_loop(self) -> None:
        """Lets the connection be one of the running event loop, and be closed before that ends."""
        if self._process != os.getpid():  # the connection is that of the process it was forked from
            self._process = os.getpid()
            self._home = HomeLoop()
            self._server.forget()
        before = self._home.loop
        if self._home.has_moved():
            self._server.forget()
        if self._home.loop is not before:
            self._at_end = at_end_of_loop(self._server.close)

    def _digest(self, data: bytes) -> str:
        """Returns the digest that Redis holds in place of a value; comparing it takes the run's name."""
        return hashlib.blake2b(data, key=self._secret, digest_size=16).hexdigest()

    async def _asked(self, script: str, told: dict[str, object]) -> object:
        if time.monotonic() < self._rests_until:
            return None
        self._enter_loop()
        try:
            answer: object = await self._server.run(script, self._keys, told)
        except ValueError:  # what is written there is no JSON, so it is not ours
            return None
        except RedisGoneError as error:
            self._rests_until = time.monotonic() + _REST
            if not self._has_warned:
                self._has_warned = True
                _LOG.warning("The ledger's Redis does not answer (%s): a retry may send batches again.", error)
            return None
        return answer


def _acknowledged(answer: object) -> Acknowledged | None:
    """Returns what an entry says; `None` for one that no release has written, so that its batch is sent again."""
    match answer:
        case {"valid": int(valid), "invalid": int(invalid), "at": int(at) | float(at)} if min(valid, invalid, at) >= 0:
            return Acknowledged(valid=valid, invalid=invalid, at=at)
    return None


_LEASE: Final = 30.0
"""Seconds for which a lease holds without being renewed."""
_LANDING: Final = 60.0
"""Seconds after a lease in which a call that was under way may still land; the inverse operation waits for them."""
_MARGIN: Final = 5.0
"""Seconds before its end at which the holder of a lease that cannot be renewed stops."""
_LOST: Final = (
    "The lease on the contact list was lost, since Redis did not answer or this worker was suspended; the upload was "
    "stopped. Run it again: what was sent already does no harm."
)
_LINGER: Final = 5.0
"""Seconds for which the next task of a write finds the list still held after another one has ended."""
_SCRIPT: Final = """
local asked = cjson.decode(ARGV[1])
local t = redis.call('TIME')
local now = tonumber(t[1]) + tonumber(t[2]) / 1e6
local saved = redis.call('GET', KEYS[1])
local held = saved and cjson.decode(saved) or {before = 0, holders = {}}
local is_ours = held.group == asked.group
-- Until when the list is held, and when all calls have landed, also those that a worker which vanished left under way.
local ends, landed = 0, held.before
for _, holder in pairs(held.holders) do
  ends, landed = math.max(ends, holder.ends), math.max(landed, holder.landed)
end
if not is_ours then
  local wait = (held.operation == asked.operation and ends or landed) - now
  if wait > 0 then return cjson.encode({wait = wait}) end
  held = {group = asked.group, operation = asked.operation, before = landed, holders = {}}
end
if asked.leaving and not held.holders[asked.owner] then return cjson.encode({wait = 0}) end
local mine = now + (asked.leaving and asked.linger or asked.lease)
held.holders[asked.owner] = {ends = mine, landed = mine + asked.landing}
landed = held.before
for name, holder in pairs(held.holders) do
  landed = math.max(landed, holder.landed)
  if holder.landed <= now then held.holders[name] = nil end
end
if landed <= now then
  redis.call('DEL', KEYS[1])
else
  redis.call('SET', KEYS[1], cjson.encode(held), 'PX', math.ceil((landed - now) * 1000))
end
return cjson.encode({wait = 0})
"""


class ListLease:
    """Keeps other workers from a contact list while an operation on it runs: add and remove do not commute.

    Args:
        url: of the Redis server.
        source: the variable that holds it, for messages.
        host: of the API.
        service: the service, as a word.
        segment_id: the contact list.
        operation: add or remove. After a worker that vanished, the same operation may begin once its lease is over,
            and the other one a time-out later.
        shared: whether others with `shared` and the same operation hold the list at the same time, as the tasks of a
            write do.

    Raises:
        ConfigurationError: when the URL cannot be used.
    """

    def __init__(
        self,
        url: str,
        *,
        source: str,
        host: str,
        service: str,
        segment_id: str,
        operation: str,
        shared: bool = False,
    ) -> None:
        self._server = RedisServer(url, source=source)
        name = hashlib.sha256(f"{host}\n{service}\n{segment_id}".encode()).hexdigest()[:32]
        self._keys = [f"criteo:list:{{{name}}}"]
        owner = secrets.token_hex(8)
        self._asked = {
            "owner": owner,
            "group": f"shared {operation}" if shared else owner,
            "operation": operation,
            "lease": _LEASE,
            "landing": _LANDING,
            "linger": _LINGER if shared else 0,
        }
        self._was_taken = False
        self._ends_at = -math.inf

    async def take(self) -> None:
        """Waits until no other operation has the list.

        Raises:
            ConnectError: when Redis does not answer.
        """
        asked_at = steady()
        while wait := await self._ask():
            await asyncio.sleep(min(wait, 1.0))
            asked_at = steady()
        self._was_taken, self._ends_at = True, asked_at + _LEASE

    async def run(self, work: "Callable[[Callable[[], Awaitable[None]]], Coroutine[Any, Any, Ended]]") -> "Ended":
        """Waits for the list, does the work and releases the list. If the lease ends, the work is canceled.

        Args:
            work: uploads; it is given what it has to await before each call.

        Raises:
            ConnectError: when Redis does not answer, or the lease was lost meanwhile.
        """
        done: Ended | None = None
        try:
            await self.take()
            keeper = asyncio.ensure_future(self.keep())
            try:
                done = await _ended(asyncio.ensure_future(work(self.check)), keeper)
            finally:
                await _stopped(keeper)
        finally:
            await self.leave(may_land=self._was_taken and (done is None or done.unknown > 0))
        return done

    async def check(self) -> None:
        """Renews the lease, before a call.

        A worker that was suspended for longer than its lease does not renew it, nor one whose machine was: the list may
        be another's. While Redis does not answer, the lease holds for as long as it was last renewed for.

        Raises:
            ConnectError: when the lease is lost, or about to end.
        """
        asked_at = steady()
        if asked_at >= self._ends_at - _MARGIN:
            raise _lost()
        try:
            waits = await self._ask()
        except ConnectError:
            return
        if waits:
            self._ends_at = -math.inf
            raise _lost()
        self._ends_at = max(self._ends_at, asked_at + _LEASE)

    async def keep(self) -> None:
        """Renews the lease for as long as that is possible; returns when it is about to end."""
        with contextlib.suppress(ConnectError):
            while True:
                await asyncio.sleep(1.0)
                await self.check()

    async def leave(self, *, may_land: bool) -> None:
        """Releases the list.

        Args:
            may_land: whether a call may still be applied, so that the inverse operation has to wait for it.
        """
        with contextlib.suppress(ConnectError, ConfigurationError):  # it ends by itself
            await self._ask(leaving=True, landing=_LANDING if may_land else 0)
        await self._server.close()

    async def _ask(self, **told: bool | float) -> float:
        try:
            answer = await self._server.run(_SCRIPT, self._keys, self._asked | told)
        except RedisGoneError as error:
            kind = str(error)
        else:
            return float(answer["wait"])
        raise ConnectError(f"The Redis that keeps the leases on contact lists does not answer ({kind}).", passing=False)


class _Upload(Protocol):
    """What is known of an upload that has ended."""

    @property
    def unknown(self) -> int:
        """Identifiers in calls that may have been applied, and may yet be."""


Ended = TypeVar("Ended", bound=_Upload)


async def _ended(upload: "asyncio.Task[Ended]", keeper: "asyncio.Task[None]") -> "Ended":
    """Waits for the upload, and stops it when its caller is cancelled or its lease ends."""
    try:
        await asyncio.wait([upload, keeper], return_when=asyncio.FIRST_COMPLETED)
    finally:
        if not upload.done():
            await _stopped(upload)
    if upload.cancelled():
        raise _lost()
    return upload.result()


async def _stopped(task: "asyncio.Task[Any]") -> None:
    """Cancels a task and waits until it has ended, even if the caller is cancelled again meanwhile."""
    task.cancel()
    while not task.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait([task])
    if not task.cancelled():
        task.exception()  # retrieved, or asyncio would log that it never was


def _lost() -> ConnectError:
    return ConnectError(_LOST, passing=False)
