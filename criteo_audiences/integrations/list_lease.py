"""A lease on a contact list, so that one operation at a time works on it, whatever worker runs it."""

import asyncio
import contextlib
import hashlib
import secrets
from typing import Final

from criteo_audiences.errors import ConfigurationError, ConnectError
from criteo_audiences.integrations.redis_server import RedisGoneError, RedisServer
from criteo_audiences.meter import steady

_LEASE: Final = 30.0
"""Seconds for which a lease holds without being renewed."""
_LANDING: Final = 60.0
"""Seconds after a lease in which a call that was under way may still land; the inverse operation waits for them."""
_MARGIN: Final = 5.0
"""Seconds before its end at which the holder of a lease that cannot be renewed stops."""
_LOST: Final = (
    "The lease on the contact list was lost, since Redis did not answer or this worker was suspended; the upload was "
    "stopped. Run the job again: what was sent already does no harm."
)
_SCRIPT: Final = """
local asked = cjson.decode(ARGV[1])
local t = redis.call('TIME')
local now = tonumber(t[1]) + tonumber(t[2]) / 1e6
local saved = redis.call('GET', KEYS[1])
local held = saved and cjson.decode(saved)
local is_mine = held and held.owner == asked.owner
if held and not is_mine then
  local wait = (held.operation == asked.operation and held.ends or held.landed) - now
  if wait > 0 then return cjson.encode({wait = wait}) end
end
if asked.leaving and not is_mine then return cjson.encode({wait = 0}) end
-- When calls of those who had the list before have landed: a worker that vanished may have left some under way.
local before = held and (is_mine and held.before or held.landed) or 0
local ends = now + (asked.leaving and 0 or asked.lease)
local landed = math.max(before, ends + asked.landing)
if landed <= now then
  redis.call('DEL', KEYS[1])
else
  held = {owner = asked.owner, operation = asked.operation, ends = ends, landed = landed, before = before}
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

    Raises:
        ConfigurationError: when the URL cannot be used.
    """

    def __init__(self, url: str, *, source: str, host: str, service: str, segment_id: str, operation: str) -> None:
        self._server = RedisServer(url, source=source)
        name = hashlib.sha256(f"{host}\n{service}\n{segment_id}".encode()).hexdigest()[:32]
        self._keys = [f"criteo:list:{{{name}}}"]
        self._asked = {"owner": secrets.token_hex(8), "operation": operation, "lease": _LEASE, "landing": _LANDING}

    async def take(self) -> None:
        """Waits until no other operation has the list.

        Raises:
            ConnectError: when Redis does not answer.
        """
        while wait := await self._ask():  # noqa: ASYNC110 - other processes set no event
            await asyncio.sleep(min(wait, 1.0))

    async def keep(self) -> None:
        """Renews the lease for as long as that is possible; returns when it is about to end.

        A worker that was suspended for longer does not renew it, nor one whose machine was: the list may be another's.
        """
        ends_at = steady() + _LEASE
        while True:
            await asyncio.sleep(1.0)
            asked_at = steady()
            if asked_at >= ends_at - _MARGIN:
                return
            try:
                if await self._ask():
                    return
            except ConnectError:
                continue
            ends_at = asked_at + _LEASE

    async def leave(self, *, may_land: bool) -> None:
        """Gives the list free.

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


def lost() -> ConnectError:
    """Returns the error of an upload that was stopped because its lease could not be kept."""
    return ConnectError(_LOST, passing=False)
