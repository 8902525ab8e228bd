"""Caches the token, and lets one refresh serve all tasks that wait for it."""

import math
from typing import Final

from criteo_audiences.errors import CriteoError, RateLimitExceeded, ServerError, TransportError
from criteo_audiences.session.auth import AccessToken, Grant, TokenSource
from criteo_audiences.session.clock import Clock
from criteo_audiences.session.loops import LoopLock

_MARGIN: Final = 60.0
_MARGIN_SHARE: Final = 0.1
_RENEW_AGAIN_AFTER: Final = 5.0


class TokenCache:
    """Holds the token in use: renewed before its end, never used after it, one refresh for all waiting tasks.

    A token of 900 s is renewed from 60 s before its end (a shorter one from a tenth of its life), counted from the
    moment it was asked for, so that network time never lengthens its life. A renewal that fails for a passing reason
    is tried again some seconds later, while the token at hand is still good.
    """

    def __init__(self, source: TokenSource, grant: Grant, clock: Clock) -> None:
        self._source = source
        self._grant = grant
        self._clock = clock
        self._held: AccessToken | None = None
        self._renew_at = 0.0
        self._ends_at = 0.0
        self._lock = LoopLock()
        self._refreshes = 0
        self._failure: CriteoError | None = None

    async def get(self) -> str:
        """Returns a token that is good now.

        Raises:
            CriteoError: when none can be had; all tasks that waited for the same refresh get the same error.
        """
        return self._usable() or await self._refresh(None)

    async def replace(self, refused: str) -> str | None:
        """Returns another token than the refused one, or `None` when the source has no other."""
        usable = self._usable()
        if usable is not None and usable != refused:
            return usable
        renewed = await self._refresh(refused)
        return renewed if renewed != refused else None

    def _usable(self) -> str | None:
        return self._held.value if self._held is not None and self._clock.now() < self._renew_at else None

    async def _refresh(self, refused: str | None) -> str:
        """Gets a new token, unless another task has just got one, or has just failed to, while this one waited."""
        seen = self._refreshes
        async with self._lock.held():
            if self._refreshes != seen:
                if self._failure is not None:
                    raise _again(self._failure)
                usable = self._usable()
                if usable is not None and usable != refused:
                    return usable
            return await self._renew(refused)

    async def _renew(self, refused: str | None) -> str:
        asked_at = self._clock.now()
        try:
            token = await self._source.token(self._grant)
        except CriteoError as error:
            self._refreshes += 1
            if self._held is not None and self._outlives(self._held, error, refused):
                return self._held.value
            self._failure = _again(error)  # without the traceback, and with it whatever the first caller holds
            self._held = None
            raise
        self._refreshes += 1
        self._failure = None
        lifetime = math.inf if token.lifetime is None else token.lifetime
        self._held = token
        self._ends_at = asked_at + lifetime
        self._renew_at = self._ends_at - min(_MARGIN, lifetime * _MARGIN_SHARE)
        return token.value

    def _outlives(self, held: AccessToken, error: CriteoError, refused: str | None) -> bool:
        """Whether the token at hand is still good after a renewal failed; then it is used some seconds longer."""
        passing = isinstance(error, (TransportError, ServerError, RateLimitExceeded))
        now = self._clock.now()
        if not passing or held.value == refused or now >= self._ends_at:
            return False
        self._failure = None
        self._renew_at = min(now + _RENEW_AGAIN_AFTER, self._ends_at)
        return True


def _again(error: CriteoError) -> CriteoError:
    """Copies an error, so that each task that waited raises one with a traceback of its own."""
    copy = type(error).__new__(type(error))
    copy.args = error.args
    copy.__dict__.update(error.__dict__)
    return copy
