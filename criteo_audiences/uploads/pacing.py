"""How much is prepared at once on the caller's event loop, and when others get their turn."""

import asyncio
import time
from typing import Any, Final

from criteo_audiences.identifiers import Preparation

SLICE: Final = 256
"""Values read at once, at most, and prepared at once where the rule does not ask for fewer."""

_TURN: Final = 0.0003
"""Seconds of work after which the event loop gets its turn; a timer of the caller can come three turns late."""

_FEWEST: Final = 8
"""Values prepared at once however long they take."""


class Pace:
    """Prepares values in slices of about half a millisecond.

    Args:
        preparation: what prepares them.

    Attributes:
        step: how many to prepare at once.
    """

    def __init__(self, preparation: Preparation) -> None:
        self._preparation = preparation
        self._most = min(SLICE, preparation.rule.slice_size)
        self.step = self._most
        self.begin_turn()

    def begin_turn(self) -> None:
        """Counts the time from here on."""
        self._turn_began = time.perf_counter()

    def prepared(self, values: list[Any]) -> list[str]:
        """Prepares some values and decides how many it may be the next time: odd ones take ten times as long."""
        began = time.perf_counter()
        prepared = self._preparation.prepare(values)
        took = time.perf_counter() - began
        if took > 2 * _TURN:
            self.step = max(_FEWEST, self.step // 2)
        elif took < _TURN:
            self.step = min(self.step * 2, self._most)
        return prepared

    async def rest(self) -> None:
        """Lets the event loop have its turn when it is due."""
        if time.perf_counter() - self._turn_began > _TURN:
            await asyncio.sleep(0)
            self.begin_turn()
