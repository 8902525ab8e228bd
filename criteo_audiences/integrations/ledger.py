"""Lets workers share in Redis a ledger of acknowledged batches and a lease on a contact list.

With the ledger, a worker that repeats a part of an upload sends only what was not acknowledged, on whatever machine it
runs. With the lease, only one operation at a time works on a list.
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
"""Seconds without a further request to a Redis that did not answer, so that it does not delay every batch."""
_FIND: Final = "return redis.call('HGET', KEYS[1], cjson.decode(ARGV[1]).batch) or 'null'"
_NOTE: Final = """
local told = cjson.decode(ARGV[1])
redis.call('HSET', KEYS[1], told.batch, cjson.encode(told.answer))
redis.call('PEXPIRE', KEYS[1], told.keep)
return 'null'
"""


class RedisLedger:
    """Remembers in Redis which batches of a run were acknowledged; a `BatchLedger` for `upload_contact_list`.

    It stores counts, times and keyed digests, but no identifier and no name of a list. While Redis does not answer,
    uploads continue without the ledger, after one warning, since sending a batch twice does no harm.

    Use it as `async with RedisLedger(...) as ledger:`, or call `aclose()`. It may serve several event loops one after
    the other, like a client.

    Args:
        url: the URL of the server, as for `RedisQuota`.
        run: a name for work to be done once, such as `crm-2026-11-27`; batches of another run are sent again.
        keep: seconds for which a run is remembered after its last acknowledgement.
        source: the name of the URL in messages.

    Raises:
        ConfigurationError: naming the argument and its allowed values; never the URL.
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
            ConfigurationError: when Redis refuses the login or is too old, or another running event loop uses it.
        """
        answer = await self._asked(_FIND, {"batch": self._digest(digest)})
        return _acknowledged(answer)

    async def note(self, digest: bytes, acknowledged: Acknowledged) -> None:
        """See `BatchLedger.note`.

        Raises:
            ConfigurationError: as in `find`.
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
        """Makes the connection belong to the running event loop, and arranges for its close before the loop ends."""
        if self._process != os.getpid():  # the connection belongs to the parent process
            self._process = os.getpid()
            self._home = HomeLoop()
            self._server.forget()
        before = self._home.loop
        if self._home.has_moved():
            self._server.forget()
        if self._home.loop is not before:
            self._at_end = at_end_of_loop(self._server.close)

    def _digest(self, data: bytes) -> str:
        """Returns the digest that Redis stores instead of a value; it is keyed with the run's name."""
        return hashlib.blake2b(data, key=self._secret, digest_size=16).hexdigest()

    async def _asked(self, script: str, told: dict[str, object]) -> object:
        if time.monotonic() < self._rests_until:
            return None
        self._enter_loop()
        try:
            answer: object = await self._server.run(script, self._keys, told)
        except ValueError:  # the entry is not JSON, so it is not ours
            return None
        except RedisGoneError as error:
            self._rests_until = time.monotonic() + _REST
            if not self._has_warned:
                self._has_warned = True
                _LOG.warning("The ledger's Redis does not answer (%s): a retry may send batches again.", error)
            return None
        return answer


def _acknowledged(answer: object) -> Acknowledged | None:
    """Returns the content of an entry; `None` for an entry that is not ours, so that its batch is sent again."""
    match answer:
        case {"valid": int(valid), "invalid": int(invalid), "at": int(at) | float(at)} if min(valid, invalid, at) >= 0:
            return Acknowledged(valid=valid, invalid=invalid, at=at)
    return None


_LEASE: Final = 30.0
"""Seconds for which a lease is valid without renewal."""
_LANDING: Final = 60.0
"""Seconds after a lease in which a call in flight may still be applied; the inverse operation waits for them."""
_MARGIN: Final = 5.0
"""Seconds before the end of a lease at which its holder stops if it cannot renew the lease."""
_LOST: Final = (
    "The lease on the contact list was lost, since Redis did not answer or this worker was suspended; the upload was "
    "stopped. Run it again: what was sent already does no harm."
)
_LINGER: Final = 5.0
"""Seconds for which a write keeps the list after one of its tasks has ended, for its next task."""
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
    """Keeps other workers from a contact list while an operation on it runs, since add and remove do not commute.

    Args:
        url: the URL of the Redis server.
        source: the variable that contains the URL, for messages.
        host: the host of the API.
        service: the service, such as `retail-media`.
        segment_id: the contact list.
        operation: add or remove. If a worker vanishes, the same operation may begin when the worker's lease ends, and
            the other operation a timeout later.
        shared: whether workers with `shared` and the same operation may hold the list at the same time, as the tasks
            of a write do.

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
        """Waits until no other operation holds the list, and takes the lease.

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
            work: does the upload; its argument is a function that it must await before each call.

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
        """Renews the lease; to be awaited before each call.

        If the worker or its machine was suspended for longer than the lease, the lease is lost, because another worker
        may hold the list. While Redis does not answer, the lease stays valid until the end of its last renewal.

        Raises:
            ConnectError: when the lease is lost, or is about to end.
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
        with contextlib.suppress(ConnectError, ConfigurationError):  # the lease ends by itself
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
    """The result of an upload that has ended."""

    @property
    def unknown(self) -> int:
        """Identifiers in calls that may have been applied, or may still be."""


Ended = TypeVar("Ended", bound=_Upload)


async def _ended(upload: "asyncio.Task[Ended]", keeper: "asyncio.Task[None]") -> "Ended":
    """Waits for the upload, and stops it when its caller is canceled or its lease ends."""
    try:
        await asyncio.wait([upload, keeper], return_when=asyncio.FIRST_COMPLETED)
    finally:
        if not upload.done():
            await _stopped(upload)
    if upload.cancelled():
        raise _lost()
    return upload.result()


async def _stopped(task: "asyncio.Task[Any]") -> None:
    """Cancels a task and waits until it has ended, even if the caller is canceled again meanwhile."""
    task.cancel()
    while not task.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait([task])
    if not task.cancelled():
        task.exception()  # retrieved, or asyncio would log that it never was


def _lost() -> ConnectError:
    return ConnectError(_LOST, passing=False)
