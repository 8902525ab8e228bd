"""How the server words its answers: as OpenAPI has it, or as ``guides`` does."""

from collections.abc import Callable
from typing import Any, Final, Literal

import attrs

from criteo_audiences.sandbox.services import Service

DialectName = Literal["openapi", "guides"]
Document = dict[str, Any]


@attrs.frozen
class Answer:
    """An answer before it becomes bytes; its body is ``None`` where there is none."""

    status: int
    body: Document | None


@attrs.frozen
class Occasion:
    """The call that is answered: one that found no endpoint has neither service nor name."""

    turn: int
    service: str = ""
    endpoint: str = ""
    segment_id: str = ""


@attrs.frozen
class Dialect:
    """Three pure functions between the server and its callers."""

    described: Callable[[Service], Service]
    """A service, with the numbers that this dialect has for it."""
    understood: Callable[[Document, Service, str], Document]
    """The body of a request to an endpoint of a service, in the words of OpenAPI."""
    worded: Callable[[Answer, Occasion], Answer]
    """An answer, in the words of this dialect."""


OPENAPI: Final = Dialect(
    described=lambda service: service,
    understood=lambda document, _service, _endpoint: document,
    worded=lambda answer, _occasion: answer,
)
