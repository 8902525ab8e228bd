"""What comes over a connection, handed to aiohttp's parser for a moment at a time, so that no answer holds the loop."""

import asyncio
import time
from functools import partial
from typing import Any, Final

import aiohttp
from aiohttp.client_proto import ResponseHandler

# Seconds for which a connection may be parsed before others have their turn, and bytes between two looks at the clock.
# A kernel's buffer of usual data takes a tenth of that; full of chunks of one byte, a hundred times as long.
_TURN: Final = 0.001
_PIECE: Final = 2 * 1024


class Connector(aiohttp.TCPConnector):
    """Connects as aiohttp does, but for how it takes in what it receives."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._factory = partial(Receiver, loop=self._loop)  # type: ignore[assignment]  # it is a kind of what is wanted


class Receiver(ResponseHandler):
    """A connection's end here, which gives the parser a little at a time, and nothing while a body's reader has enough.

    What is left is held until the next turn, and the transport does not read meanwhile. aiohttp may ask for that after
    each chunk; the transport is told once a turn.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._held = b""
        self._next_turn: asyncio.Handle | None = None
        self._has_enough = False
        self._is_reading = True

    def data_received(self, data: bytes) -> None:
        """Takes what has come; nothing at all means that aiohttp goes on with what it has."""
        if not data:
            super().data_received(data)
            return
        self._held += data
        if self._next_turn is None:
            self._take_turn()

    @property
    def should_close(self) -> bool:
        """Whether it can serve no other request; what is held would be taken for the answer."""
        return bool(self._held) or super().should_close

    def connection_lost(self, exc: BaseException | None) -> None:
        """Is called once; what came before is taken in first."""
        if self._next_turn is not None:
            self._next_turn.cancel()
        while self._held:
            self._feed()
        super().connection_lost(exc)

    def _pause_transport_reading(self) -> None:
        self._has_enough = True
        self._plan_turn()

    def _resume_transport_reading(self) -> None:
        self._has_enough = False
        self._plan_turn()

    def _plan_turn(self) -> None:
        if self._next_turn is None:
            self._next_turn = self._loop.call_soon(self._take_turn)

    def _take_turn(self) -> None:
        self._next_turn = None
        ends_by = time.perf_counter() + _TURN
        while self._held and not self._has_enough:
            self._feed()
            if time.perf_counter() > ends_by:
                break
        if self._held and not self._has_enough:
            self._plan_turn()
        self._read_on(not (self._held or self._has_enough))

    def _feed(self) -> None:
        piece, self._held = self._held[:_PIECE], self._held[_PIECE:]
        if self.transport is None:  # it was closed
            self._held = b""
        else:
            super().data_received(piece)

    def _read_on(self, wanted: bool) -> None:  # noqa: FBT001 - whether it may
        if self.transport is None or wanted is self._is_reading:
            return
        self._is_reading = wanted
        if wanted:
            self.transport.resume_reading()
        else:
            self.transport.pause_reading()
