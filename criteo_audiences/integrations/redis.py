"""A quota that workers on any number of machines share through Redis."""

import asyncio
import logging
import os
from collections import deque
from typing import Final, Self

from attrs import define

from criteo_audiences.errors import ConfigurationError, ConnectError, QuotaWaitError
from criteo_audiences.integrations.redis_server import LocalShare, OwnCalls, RedisGoneError, RedisServer, script_text
from criteo_audiences.loops import MOVED, Clock, HomeLoop, SystemClock, Timer
from criteo_audiences.models import RateLimit
from criteo_audiences.session.quota import Quota
from criteo_audiences.validation import require_range

__all__ = ["RedisQuota"]

_LOG: Final = logging.getLogger("criteo_audiences.quota")
_HEARTBEAT: Final = 1.0
"""Seconds between two exchanges with Redis (turns) of a worker that has calls in flight or waiting."""
_LEASE: Final = 5.0
"""Seconds without a turn after which a worker is considered dead, and its calls in flight count as ended."""
_LONGEST_LINGER: Final = 0.05
"""Seconds for which the end of a call may wait to be reported together with others; at most a hundredth of a window."""
_LONGEST_RETRY: Final = 0.5
_LONGEST_STOP: Final = 0.2
_SLACK: Final = 0.5
_GONE: Final = "The shared quota's Redis does not answer ({}); no call is made without it. Try again when it is back."
_CLOSED: Final = "The shared quota was closed while a call waited for it."
_MOST_SLACK: Final = 60.0


@define(eq=False)
class _Waiter:
    background: bool
    since: float
    granted: "asyncio.Future[None]"
    longest: float | None = None
    is_new: bool = True


class RedisQuota:
    """A rate limiter that workers share across processes and machines; a `RateLimiter`.

    It may spend a full window at once, but Criteo never sees more calls than the limit in any window, fixed or sliding:
    a call holds its slot until one period after its answer. Only the clock of Redis counts. A 429 that one worker gets,
    and the limit that Criteo announces, apply to all workers. Single calls take precedence over batches, even between
    workers, which take turns.

    While Redis does not answer, each worker continues with its part of the limit, `calls * share / workers`, after one
    warning. If Redis is back but has lost the calls, the workers write theirs back and wait for one period.

    Use it as `async with RedisQuota(...) as quota:`, or call `aclose()`. It may be passed to several clients.

    Args:
        url: the server's URL: `redis://`, `rediss://` (TLS), `unix://`, or `redis+sentinel://host:26379,.../service/0`.
        key: a name for the shared quota: one for each application, or for each consented account; not a secret.
        calls: calls per window, corrected by what the server announces.
        period: length of the window, seconds.
        share: how much of the window all workers of this key may use together, above 0 and up to 1.
        slack: the longest time from sending a request until Criteo counts it, seconds.
        required: raise `ConnectError` while Redis does not answer, instead of continuing with a part of the limit.
        source: the name of the URL in messages.
        clock: the source of time for durations.

    Raises:
        ConfigurationError: naming the argument and its allowed values; never the URL.
    """

    def __init__(
        self,
        url: str,
        *,
        key: str,
        calls: int = 250,
        period: float = 60.0,
        share: float = 1.0,
        slack: float = _SLACK,
        required: bool = False,
        source: str = "url",
        clock: Clock | None = None,
    ) -> None:
        if not isinstance(key, str) or not key or any(mark in key for mark in "{}"):
            raise ConfigurationError("key must be a text that is not empty and has no braces; it names the quota.")
        require_range(slack, "slack", least=0, most=_MOST_SLACK)
        self._quota = Quota(calls, period=period, share=share)
        self._server = RedisServer(url, source=source)
        self._script = script_text("quota.lua")
        self._keys = [f"criteo:quota:{{{key}}}:{part}" for part in ("state", "log", "workers")]
        self._slack = float(slack)
        self._required = required
        self._clock = clock or SystemClock()
        self._linger = min(_LONGEST_LINGER, period / 100)
        self._retry_after = min(_LONGEST_RETRY, period / 50)
        self._limit = calls
        self._home = HomeLoop()
        self._process = os.getpid()
        self._begin_anew()

    def _begin_anew(self) -> None:
        """Resets all state that belongs to one process."""
        self._calls = OwnCalls(self._quota.period, self._slack)
        self._singles: deque[_Waiter] = deque()
        self._batches: deque[_Waiter] = deque()
        self._epoch = ""
        self._heard_at = float("-inf")
        self._workers = 1
        self._free = 0
        self._waits = {False: 0.0, True: 0.0}
        self._writes_back = False
        self._local: LocalShare | None = None
        self._worker: asyncio.Task[None] | None = None
        self._reconnection: asyncio.Task[None] | None = None
        self._woken = asyncio.Event()
        self._lingering: Timer | None = None

    @property
    def quota(self) -> Quota:
        """The quota that it started with."""
        return self._quota

    @property
    def share(self) -> None:
        """`None`: all limiters with the same key share one count."""
        return

    @property
    def window(self) -> tuple[int, float]:
        """Calls that all workers together may make, and in how many seconds, as far as is known now."""
        return max(1, int(self._limit * self._quota.share)), self._quota.period

    def seconds_until(self, calls: int) -> None:
        """Returns `None`, so that `window` decides: only Redis knows how much of it other workers have used."""

    async def acquire(self, *, background: bool = False, longest: float | None = None) -> float:
        """See `RateLimiter.acquire`.

        Raises:
            QuotaWaitError: when the wait would be longer than `longest`.
            ConnectError: while Redis does not answer, with `required=True`.
            ConfigurationError: when Redis refuses the login or is too old.
        """
        self._enter()
        now = self._clock.now()
        waiter = _Waiter(background, now, asyncio.get_running_loop().create_future(), longest)
        (self._batches if background else self._singles).append(waiter)
        self._woken.set()
        patience = None if longest is None else self._clock.call_later(longest, lambda: self._refuse(waiter, longest))
        try:
            await waiter.granted
        except asyncio.CancelledError:
            self._withdraw(waiter)
            raise
        finally:
            if patience is not None:
                patience.cancel()
        return self._clock.now() - now

    def settle(self, announced: RateLimit | None = None, *, pause: float = 0.0, sent_at: float | None = None) -> None:
        """See `RateLimiter.settle`; a separate task reports the end of the call to the other workers."""
        now = self._clock.now()
        self._calls.end(now, announced, pause, sent_at)
        if announced is not None and announced.limit:
            self._limit = announced.limit
        if self._local is not None:
            self._local.note(now, pause, sent_at)
        self._wake(at_once=pause > 0)

    async def aclose(self) -> None:
        """Reports the ended calls to the other workers, leaves them, and closes the connection."""
        worker, self._worker = self._worker, None
        if worker is not None and worker.get_loop() is asyncio.get_running_loop():
            self._fail_all(ConfigurationError(_CLOSED))
            worker.cancel()
            await asyncio.wait([worker])

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def _enter(self) -> None:
        """Makes sure that this worker takes turns in this process and event loop."""
        if self._process != os.getpid():  # the calls of the parent process belong to that process
            self._process = os.getpid()
            self._home = HomeLoop()
            self._server.forget()
            self._begin_anew()
        if self._home.has_moved():
            self._move()
        if self._worker is None or self._worker.done():
            self._worker = asyncio.get_running_loop().create_task(self._take_turns(), name="criteo-audiences-quota")

    def _move(self) -> None:
        """Drops the waiters of the former event loop; calls made there still count, as if they ended now."""
        self._calls.abandon(self._clock.now())
        for waiter in (*self._singles, *self._batches):
            if not (waiter.granted.done() or waiter.granted.get_loop().is_closed()):
                waiter.granted.set_exception(ConfigurationError(MOVED))
        self._singles.clear()
        self._batches.clear()
        self._woken = asyncio.Event()
        self._lingering = self._worker = self._reconnection = None
        self._server.forget()

    def _wake(self, *, at_once: bool = False) -> None:
        """Triggers the next turn, now or a little later, together with other calls that will have ended by then."""
        if at_once:
            self._woken.set()
        elif self._lingering is None:
            try:
                self._lingering = self._clock.call_later(self._linger, self._end_linger)
            except RuntimeError:  # no event loop runs: the next turn reports it
                return

    def _end_linger(self) -> None:
        self._lingering = None
        self._woken.set()

    async def _take_turns(self) -> None:
        """Takes turns while the event loop runs; deregisters this worker at the end."""
        try:
            while True:
                wait = await self._turn()
                timer = None if wait is None else self._clock.call_later(wait, self._woken.set)
                await self._woken.wait()
                self._woken.clear()
                if timer is not None:
                    timer.cancel()
        except Exception as error:
            self._fail_all(error)  # a bug here must not leave a caller waiting
            raise
        finally:
            await self._leave()

    async def _leave(self) -> None:
        if self._lingering is not None:
            self._lingering.cancel()
            self._lingering = None
        if self._reconnection is not None:
            self._reconnection.cancel()
            self._reconnection = None
        elif self._epoch and self._local is None:
            try:
                async with asyncio.timeout(1):
                    await self._talk(leaving=True)
            except (RedisGoneError, ConfigurationError, TimeoutError):
                pass  # this worker's calls end with its lease
        await self._server.close()

    async def _turn(self) -> float | None:
        """Admits the waiters that may go, and returns the seconds until the next turn at the latest."""
        try:
            wait = None if self._reconnection else await self._talk()
            if self._local is None:
                return wait
        except ConfigurationError as error:
            self._fail_all(error)
            return None
        except RedisGoneError as error:
            self._writes_back = True
            if self._required:
                self._fail_all(ConnectError(_GONE.format(error), passing=False))
                return self._retry_after if self._calls.flying else None
            self._go_on_alone(error)
        return self._turn_alone()

    async def _talk(self, *, leaving: bool = False) -> float | None:
        """Takes a turn through Redis: reports this worker's calls, and gets slots for its waiters."""
        asked_at = self._clock.now()
        is_remembered = asked_at - self._heard_at < self._calls.hold + _LEASE
        wrote_back, news = self._writes_back, self._calls.news()
        report = self._calls.report(asked_at, everything=wrote_back)
        report |= {
            "epoch": self._epoch if is_remembered else "",
            "calls": self._quota.calls,
            "share": self._quota.share,
            "lease": _LEASE,
            "singles": 0 if leaving or self._local else len(self._singles),
            "batches": 0 if leaving or self._local else len(self._batches),
            "leaving": leaving,
        }
        answer = await self._server.run(self._script, self._keys, report)
        now = self._clock.now()
        self._calls.forget(news)
        has_forgotten = is_remembered and answer["epoch"] != self._epoch
        self._writes_back = has_forgotten and not wrote_back
        self._wait_for_window(asked_at + float(answer["opens"]), is_closed=answer["opens"] > 0, is_known=has_forgotten)
        self._heard_at, self._epoch = now, answer["epoch"]
        self._limit, self._workers, self._free = int(answer["limit"]), int(answer["workers"]), int(answer["free"])
        self._waits = {False: float(answer["single_wait"]), True: float(answer["batch_wait"])}
        if self._writes_back or self._local or now - asked_at > _LEASE / 2:
            # By now this worker may count as dead, and its new slots as free; the next report says what is in flight.
            return 0.0
        surplus = self._admit(self._singles, int(answer["singles"]))
        surplus += self._admit(self._batches, int(answer["batches"]))
        self._judge(self._singles)
        self._judge(self._batches)
        if not self._singles and not self._batches:
            return 0.0 if surplus else _HEARTBEAT if self._calls.held(now) else None
        return 0.0 if surplus else min(float(answer.get("due", 0.0)), _HEARTBEAT)

    def _go_on_alone(self, error: RedisGoneError) -> None:
        """Begins to use this worker's part of the limit, and tries to reach Redis meanwhile."""
        self._local = self._local_share()
        _LOG.warning(
            "The shared quota's Redis does not answer (%s): until it is back, this worker makes %d calls in %g s, a "
            "part of the limit for each of the %d workers seen last.",
            error,
            self._local.allowed,
            self._quota.period,
            self._workers,
        )
        self._reconnection = asyncio.get_running_loop().create_task(
            self._look_for_redis(), name="criteo-audiences-redis"
        )

    def _local_share(self) -> LocalShare:
        now, allowed = self._clock.now(), max(1, self.window[0] // self._workers)
        knows_free = now - self._heard_at < self._calls.hold
        return LocalShare(
            allowed=allowed,
            at_first=self._calls.held(now) + self._free // self._workers if knows_free else allowed,
            since_then=now + self._calls.hold,
        )

    def _wait_for_window(self, opens_at: float, *, is_closed: bool, is_known: bool) -> None:
        """Continues with this worker's part of the limit until Redis, having lost all calls, opens its window again.

        The worker stops a moment earlier, so that the others know its last calls when the window opens.
        """
        if not is_closed:
            self._local = None
        elif self._local is not None or is_known:
            self._local = self._local or self._local_share()
            self._local.until = opens_at - min(_LONGEST_STOP, self._quota.period / 20)

    async def _look_for_redis(self) -> None:
        while True:
            await self._clock.sleep(self._retry_after)
            try:
                await self._server.reach()
            except (RedisGoneError, ConfigurationError):
                continue
            break
        now = self._clock.now()
        if self._local is not None:
            self._calls.note_pause(now, self._local.paused_until - now)
        self._reconnection = None
        _LOG.info("The shared quota's Redis is back.")
        self._woken.set()

    def _turn_alone(self) -> float | None:
        """Takes a turn without Redis, within this worker's part of the limit."""
        now = self._clock.now()
        if self._reconnection:
            self._calls.forget(self._calls.news())  # all calls are written back when Redis returns
        if self._local is None:
            return 0.0
        for queue in (self._singles, self._batches):
            while queue and self._local.free(self._calls, now) > 0:
                self._admit(queue, 1)
        change = self._local.next_change(self._calls, now) - now
        return min(change if change > 0 else self._retry_after, _HEARTBEAT)

    def _admit(self, queue: deque[_Waiter], places: int) -> int:
        """Admits as many waiters as there are slots, the longest waiting first; returns the number of slots left."""
        while places and queue:
            waiter = queue.popleft()
            if not waiter.granted.done():
                self._calls.begin(self._clock.now())
                waiter.granted.set_result(None)
                places -= 1
        return places

    def _judge(self, queue: deque[_Waiter]) -> None:
        """Refuses the newest waiter if its predicted wait is too long; older waiters never wait longer than it."""
        if not queue or not queue[-1].is_new:
            return
        waiter = queue[-1]
        if waiter.longest is not None and self._waits[waiter.background] > waiter.longest:
            self._refuse(waiter, waiter.longest)
            return
        for each in queue:
            each.is_new = False

    def _refuse(self, waiter: _Waiter, longest: float) -> None:
        """Ends a wait that is longer than its caller allows."""
        if waiter.granted.done():
            return
        self._leave_queue(waiter)
        wait = self._clock.now() - waiter.since + self._waits[waiter.background]
        waiter.granted.set_exception(QuotaWaitError(max(wait, longest), longest))
        self._woken.set()

    def _withdraw(self, waiter: _Waiter) -> None:
        """Takes a canceled waiter out of the queue; gives back a slot that it was granted meanwhile."""
        if self._leave_queue(waiter):
            self._wake()
        elif not waiter.granted.cancelled() and waiter.granted.exception() is None:
            self._calls.withdraw()
            self._wake(at_once=True)

    def _leave_queue(self, waiter: _Waiter) -> bool:
        queue = self._batches if waiter.background else self._singles
        is_in_it = waiter in queue
        if is_in_it:
            queue.remove(waiter)
        return is_in_it

    def _fail_all(self, error: Exception) -> None:
        for queue in (self._singles, self._batches):
            while queue:
                waiter = queue.popleft()
                if not waiter.granted.done():
                    waiter.granted.set_exception(type(error)(*error.args))
