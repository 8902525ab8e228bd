"""Turns Criteo's announcements that an API version or a field will end into Python warnings, one for each."""

import contextlib
import logging
import warnings
from typing import Any, Final

from criteo_audiences.models import ProblemType
from criteo_audiences.session.codec import read_problems
from criteo_audiences.session.protocol import Response, read_date

_GONE: Final = 410
_LOG: Final = logging.getLogger("criteo_audiences.session")


class DeprecationWatch:
    """Reads every answer and warns once of each version or field that will end.

    Criteo announces it by `Deprecation` and `Sunset` headers (RFC 9745, RFC 8594), by `warnings[]` of type
    `deprecation` inside an answer, and after the end by 410.

    Args:
        api_version: the version that warnings name.
    """

    def __init__(self, api_version: str) -> None:
        self._api_version = api_version
        self._warned: set[str] = set()

    def look_at_response(self, response: Response) -> None:
        """Warns of a version that will end, or has ended."""
        if response.status == _GONE:
            self._warn("gone", "has ended")
        announced = response.headers.get("deprecation", "").strip().lower()
        if announced and announced not in {"false", "?0"}:
            sunset = read_date(response.headers.get("sunset", ""))
            self._warn("version", f"is deprecated and ends on {sunset:%Y-%m-%d}" if sunset else "is deprecated")

    def look_at_document(self, document: Any) -> None:
        """Warns of what an answer's own warnings say will end."""
        entries = document.get("warnings") if isinstance(document, dict) else None
        for problem in read_problems(entries, lenient=True) if entries else ():
            if problem.type is ProblemType.DEPRECATION:
                self._warn(problem.code or "deprecation", f"announces a deprecation ({problem})")

    def _warn(self, key: str, what: str) -> None:
        if key in self._warned:
            return
        self._warned.add(key)
        message = f"Criteo's API version {self._api_version} {what}; choose a newer api_version."
        _LOG.warning("%s", message)
        # A filter that turns warnings into errors must not lose the answer of a call that was made.
        with contextlib.suppress(DeprecationWarning):
            warnings.warn(message, DeprecationWarning, stacklevel=2)
