"""Ctrl-C and SIGTERM: the first lets a command finish what is in flight, the second stops it at once."""

import asyncio
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any, Final

_ENDING: Final = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """The signals that ask a command to end.

    Args:
        told: is called at the first signal.

    Attributes:
        first: the first signal that came, `None` as long as none did.
    """

    def __init__(self, told: Callable[[], None]) -> None:
        self.first: signal.Signals | None = None
        self._told = told

    async def heeded_by(self, command: Coroutine[Any, Any, None]) -> None:
        """Runs the command; the first signal cancels it, the second all that still runs, a third ends the process.

        A signal that whoever started the process had it ignore stays ignored.
        """
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        if sys.platform != "win32" and task is not None:
            for number in _ENDING:
                if signal.getsignal(number) is not signal.SIG_IGN:
                    loop.add_signal_handler(number, self._stop, task, number)
        await command

    def _stop(self, task: "asyncio.Task[Any]", number: signal.Signals) -> None:
        if self.first is None:
            self.first = number
            self._told()
            task.cancel()
            return
        loop = task.get_loop()
        for each in _ENDING:
            loop.remove_signal_handler(each)
        for running in asyncio.all_tasks(loop):
            running.cancel()
