"""Events of a call, for a callback and the log; they hold no body, token or identifier."""

import logging
from collections.abc import Callable
from typing import Final, Literal

from attrs import asdict, field, frozen

EventName = Literal["request.started", "request.completed", "request.retried", "request.failed", "quota.waited"]


@frozen(kw_only=True)
class Event:
    """One step of a call.

    Attributes:
        name: what happened.
        method: the HTTP method.
        path: the path template, such as `/marketing-solutions/audience-segments/create`.
        attempt: 1 for the first request of the call.
        status: the HTTP status, once there is one.
        seconds: how long the step took (`quota.waited`: the wait; `request.retried`: the delay before the repeat).
        trace_id: Criteo's correlation id, where an answer had one.
        error: the class of the error that ended the attempt.
        upload_id: of an upload's batch: the upload.
        segment_id: of an upload's batch: the contact list.
        batch: of an upload's batch: its number, from 1.
    """

    name: EventName
    method: str
    path: str
    attempt: int = 1
    status: int | None = None
    seconds: float | None = field(default=None, repr=lambda seconds: f"{seconds:.3f}" if seconds else repr(seconds))
    trace_id: str | None = None
    error: str | None = None
    upload_id: str | None = None
    segment_id: str | None = None
    batch: int | None = None

    def __str__(self) -> str:
        shown = {key: value for key, value in asdict(self).items() if value is not None and key != "name"}
        return f"{self.name} " + " ".join(f"{key}={_short(value)}" for key, value in shown.items())


def _short(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)


_LEVELS: Final = {
    "request.started": logging.DEBUG,
    "request.completed": logging.DEBUG,
    "request.retried": logging.INFO,
    "request.failed": logging.WARNING,
    "quota.waited": logging.INFO,
}
_SESSION_LOG: Final = logging.getLogger("criteo_audiences.session")
_QUOTA_LOG: Final = logging.getLogger("criteo_audiences.quota")

logging.getLogger("criteo_audiences").addHandler(logging.NullHandler())

OnEvent = Callable[[Event], object]


def emit(event: Event, on_event: OnEvent | None) -> None:
    """Logs an event and hands it to the callback, whose own errors are logged and end no call."""
    log = _QUOTA_LOG if event.name == "quota.waited" else _SESSION_LOG
    level = _LEVELS[event.name]
    if log.isEnabledFor(level):
        log.log(level, "%s", event)
    if on_event is None:
        return
    try:
        on_event(event)
    except Exception as error:  # noqa: BLE001 - an observer must not break what it observes
        log.error("on_event raised %s at %s", type(error).__name__, event.name)  # noqa: TRY400 - might show secrets
