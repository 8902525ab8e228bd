"""Faults on demand: what a test wants to go wrong with the next calls."""

from collections.abc import Mapping

import attrs

_ANSWER_STATUSES = range(200, 600)


@attrs.frozen
class Fault:
    """What happens to a call instead of, or besides, its normal handling."""

    status: int | None = None
    delay: float = 0.0
    drop_connection: bool = False
    lose_reply: bool = False
    code: str | None = None
    headers: Mapping[str, str] = attrs.field(factory=dict)
    rate_limit_headers: bool = True
    body: bytes | None = None
    on: str = ""

    @property
    def replaces_answer(self) -> bool:
        """Whether the call is answered without being handled."""
        return self.status is not None or self.body is not None

    @property
    def does_something(self) -> bool:
        """Whether a call would notice."""
        return self.replaces_answer or self.drop_connection or self.lose_reply or self.delay > 0 or bool(self.headers)

    def concerns(self, path: str, *, is_token_call: bool) -> bool:
        """Returns whether a call is meant: a token call only when it is named."""
        return self.on in path and (bool(self.on) or not is_token_call)


@attrs.define
class _Pending:
    fault: Fault
    times: int


class FaultQueue:
    """Faults in the order they were asked for, each for so many calls."""

    def __init__(self) -> None:
        self._pending: list[_Pending] = []

    def add(self, fault: Fault, *, times: int) -> None:
        """Put a fault behind those that are waiting."""
        if not fault.does_something:
            raise ValueError("a fault needs a status, a body, headers, a delay, drop_connection or lose_reply")
        if fault.status is not None and fault.status not in _ANSWER_STATUSES:
            raise ValueError("status must be an HTTP status from 200 to 599")
        if times < 1:
            raise ValueError("times must be at least 1")
        self._pending.append(_Pending(fault, times))

    def take(self, path: str, *, is_token_call: bool) -> Fault | None:
        """Returns the first fault that concerns a call, and counts it as used once."""
        for pending in self._pending:
            if pending.fault.concerns(path, is_token_call=is_token_call):
                pending.times -= 1
                self._pending = [each for each in self._pending if each.times]
                return pending.fault
        return None
