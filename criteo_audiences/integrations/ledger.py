"""A ledger in Redis: whoever repeats a part of an upload, on whatever machine, sends only what was not acknowledged."""

import hashlib
import logging
import time
from types import TracebackType
from typing import Any, Final, Self

from criteo_audiences.errors import ConfigurationError
from criteo_audiences.integrations.redis_server import RedisGoneError, RedisServer
from criteo_audiences.journals.acknowledged import Acknowledged
from criteo_audiences.loops import HomeLoop, at_end_of_loop
from criteo_audiences.validation import require_range

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
        self._at_end: object = None
        self._rests_until = float("-inf")
        self._has_warned = False

    async def find(self, digest: bytes) -> Acknowledged | None:
        """See `BatchLedger.find`.

        Raises:
            ConfigurationError: when Redis refuses the login or is too old, or another event loop uses it as well.
        """
        answer = await self._asked(_FIND, {"batch": self._digest(digest)})
        return None if answer is None else Acknowledged(**answer)

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
        before = self._home.loop
        if self._home.has_moved():
            self._server.forget()
        if self._home.loop is not before:
            self._at_end = at_end_of_loop(self._server.close)

    def _digest(self, data: bytes) -> str:
        """Returns what stands for something in Redis; only who knows the run's name can compare it."""
        return hashlib.blake2b(data, key=self._secret, digest_size=16).hexdigest()

    async def _asked(self, script: str, told: dict[str, object]) -> dict[str, Any] | None:
        if time.monotonic() < self._rests_until:
            return None
        self._enter_loop()
        try:
            answer: dict[str, Any] | None = await self._server.run(script, self._keys, told)
        except RedisGoneError as error:
            self._rests_until = time.monotonic() + _REST
            if not self._has_warned:
                self._has_warned = True
                _LOG.warning("The ledger's Redis does not answer (%s): a retry may send batches again.", error)
            return None
        return answer
