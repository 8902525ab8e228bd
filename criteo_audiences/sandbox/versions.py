"""Announce the end of an API version in every answer, and refuse calls once it has ended.

By the versioning policy of Criteo's guide: ``Deprecation`` and ``Sunset`` headers, an entry among the warnings, 410.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Final

import attrs

from criteo_audiences.sandbox.problems import ProblemError, Violation

STABLE: Final = "[0-9]{4}-[0-9]{2}"
# "preview" is the old name of "experimental" and still answers.
EXPERIMENTAL: Final = "experimental|preview"
ANY: Final = f"{STABLE}|{EXPERIMENTAL}"


@attrs.frozen
class Notice:
    """What every answer under a deprecated version says in addition."""

    headers: Mapping[str, str]
    warning: Violation


class Versions:
    """Which versions are deprecated, and which are gone; all others are current."""

    def __init__(self) -> None:
        self._notices: dict[str, Notice] = {}
        self._retired: set[str] = set()

    def deprecate(self, version: str, sunset: datetime | None) -> None:
        """Announce the end of a version.

        Raises:
            ValueError: No path can have that version, or the moment has no time zone.
        """
        _check(version)
        headers = {"Deprecation": "true"}
        if sunset is not None:
            if sunset.tzinfo is None:
                raise ValueError("sunset must have a time zone")
            headers["Sunset"] = format_datetime(sunset.astimezone(UTC), usegmt=True)
        detail = f"Version {version} of the API is deprecated."
        self._notices[version] = Notice(headers, Violation("endpoint-deprecated", detail, type="deprecation"))

    def retire(self, version: str) -> None:
        """Retire a version.

        Raises:
            ValueError: No path can have that version.
        """
        _check(version)
        self._notices.pop(version, None)
        self._retired.add(version)

    def notice(self, path: str) -> Notice | None:
        """Returns what the answer to a call adds; ``None`` when its version is not deprecated."""
        return self._notices.get(_version(path))

    def check(self, path: str) -> None:
        """Refuse a call under a version that is gone.

        Raises:
            ProblemError: 410.
        """
        if _version(path) in self._retired:
            raise ProblemError(410, "This version of the API is no longer supported.")


def _version(path: str) -> str:
    return path.split("/")[1]


def _check(version: str) -> None:
    if not re.fullmatch(ANY, version):
        raise ValueError('a version is "YYYY-MM", "experimental" or "preview"')
