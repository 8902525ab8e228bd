"""Erasure: removes people from every contact list that could hold them, and from what this library has stored.

`CriteoClient.erase` is the way in.
"""

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Any, Final

from attrs import frozen

from criteo_audiences.erasure.request import ErasedIdentifier
from criteo_audiences.errors import CriteoError, ErasureFailedError
from criteo_audiences.models import IdentifierType, printable_trace_id

__all__ = [
    "ErasedIdentifier",
    "ErasureReceipt",
    "ErasureState",
    "FileErasure",
    "ListErasure",
    "ServiceErasure",
]


_FORMAT: Final = 1


class ErasureState(StrEnum):
    """How the erasure ended for a service, a list or a file."""

    SEARCHED = "searched"
    """The service's lists were looked for."""
    REMOVED = "removed"
    """Criteo has removed the identifiers, or the file holds none of them any more."""
    PLANNED = "planned"
    """A dry run would ask for it."""
    NOTHING = "nothing"
    """The file holds no identifiers."""
    NOT_PERMITTED = "not permitted"
    """The application may not look for the service's lists, and the caller did not name the service."""
    NOT_OFFERED = "not offered"
    """This API version has no way to look for the service's lists, and the caller did not name the service."""
    READ_ONLY = "read-only"
    """The list was made outside Criteo's API, which cannot change it."""
    UNREPORTED = "unreported"
    """Criteo's answer does not account for what it was asked."""
    UNKNOWN = "unknown"
    """Criteo may or may not have removed the identifiers."""
    FAILED = "failed"
    """Certainly not done."""
    NOT_ASKED = "not asked"
    """Left out, because the login had been refused by then."""
    IN_USE = "in use"
    """The file is being written; it holds no identifier."""

    @property
    def is_right(self) -> bool:
        """Whether nothing remains to be done."""
        return self in _RIGHT


_RIGHT: Final = frozenset(
    {
        ErasureState.SEARCHED,
        ErasureState.REMOVED,
        ErasureState.PLANNED,
        ErasureState.NOTHING,
        ErasureState.NOT_PERMITTED,
        ErasureState.NOT_OFFERED,
        ErasureState.IN_USE,
    }
)


@frozen(kw_only=True)
class ServiceErasure:
    """Where lists were looked for.

    Attributes:
        service: such as `retail-media`.
        owner_id: whose lists; `None` for all that the application may see.
        state: whether they were found.
        lists: contact lists found.
        error: why they were not.
    """

    service: str
    owner_id: str | None
    state: ErasureState
    lists: int = 0
    error: CriteoError | None = None

    def to_dict(self) -> dict[str, Any]:
        """Returns JSON-safe values."""
        found = {"service": self.service, "owner_id": self.owner_id, "state": self.state.value, "lists": self.lists}
        return {**found, **_described(self.error)}


@frozen(kw_only=True)
class ListErasure:
    """What was asked of one contact list, about one kind of identifier, and what was answered.

    Attributes:
        service: such as `retail-media`.
        owner_id: whose list it is, as far as Criteo said.
        segment_id: the list.
        kind: of the identifiers.
        forms: identifiers that the list was asked to remove, each form counted.
        state: what came of it.
        valid: how many of them Criteo took; whether the list held them Criteo does not say.
        invalid: how many of them Criteo did not recognize, which no list can hold then.
        answered_at: when the answer came, in UTC.
        error: why it failed.
    """

    service: str
    owner_id: str | None
    segment_id: str
    kind: IdentifierType
    forms: int
    state: ErasureState
    valid: int | None = None
    invalid: int | None = None
    answered_at: dt.datetime | None = None
    error: CriteoError | None = None

    def to_dict(self) -> dict[str, Any]:
        """Returns JSON-safe values."""
        return {
            "service": self.service,
            "owner_id": self.owner_id,
            "segment_id": self.segment_id,
            "kind": str(self.kind.value),
            "forms": self.forms,
            "state": self.state.value,
            "valid": self.valid,
            "invalid": self.invalid,
            "answered_at": _moment(self.answered_at),
            **_described(self.error),
        }


@frozen(kw_only=True)
class FileErasure:
    """What was done with one of our files.

    Attributes:
        kind: `rejects`, `journal`, `snapshot`, or `temporary` for what a killed upload left.
        path: of the file.
        state: what came of it.
        erased: values taken out of it; of a journal, the digests of batches that it remembered.
        remark: what else to know, a sentence.
    """

    kind: str
    path: str
    state: ErasureState
    erased: int = 0
    remark: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Returns JSON-safe values."""
        return {
            "kind": self.kind,
            "path": self.path,
            "state": self.state.value,
            "erased": self.erased,
            "remark": self.remark,
        }


@frozen(kw_only=True)
class ErasureReceipt:
    """What was asked of which list and file, and what was answered. It holds no identifier, and is meant to be kept.

    Attributes:
        identifiers: what was to be erased, as keyed fingerprints.
        key_is_kept: whether the key of the fingerprints is in the user's state directory, so that another receipt of
            the same identifiers shows the same ones; otherwise it was made up and forgotten.
        host: of the API.
        services: where lists were looked for.
        lists: what was asked of each list.
        files: what was done with each file.
        began: when it began, in UTC.
        ended: when it ended, in UTC.
        live_from: when campaigns no longer use what was removed, about; `None` when nothing was.
        dry_run: whether nothing was to be removed.
    """

    identifiers: tuple[ErasedIdentifier, ...]
    key_is_kept: bool
    host: str
    services: tuple[ServiceErasure, ...]
    lists: tuple[ListErasure, ...] = ()
    files: tuple[FileErasure, ...] = ()
    began: dt.datetime
    ended: dt.datetime
    live_from: dt.datetime | None = None
    dry_run: bool = False

    @property
    def _parts(self) -> Sequence[ServiceErasure | ListErasure | FileErasure]:
        return (*self.services, *self.lists, *self.files)

    @property
    def ok(self) -> bool:
        """Whether the identifiers are gone: some service was searched, and every list and file did as it was asked.

        A service that the application may not search is no failure, unless the caller named it.
        """
        searched = any(each.state is ErasureState.SEARCHED for each in self.services)
        return searched and all(each.state.is_right for each in self._parts)

    @property
    def contact_lists(self) -> int:
        """Contact lists that were asked, or would be."""
        return len({(each.service, each.segment_id) for each in self.lists})

    @property
    def error(self) -> CriteoError | None:
        """The first failure, of a service or else of a list; `None` when there is none."""
        asked: Sequence[ServiceErasure | ListErasure] = (*self.services, *self.lists)
        return next((each.error for each in asked if each.error and not each.state.is_right), None)

    def raise_for_failures(self) -> None:
        """Raises when the receipt is not `.ok`.

        Raises:
            ErasureFailedError: with counts and this receipt.
        """
        if not self.ok:
            raise ErasureFailedError(self.explain(), receipt=self)

    def explain(self) -> str:
        """Says in a sentence or two what is not as it should be; empty when everything is."""
        if self.ok:
            return ""
        faults = [
            *_counted(self.services, "service", "services"),
            *_counted(self.lists, "request to a list", "requests to lists"),
            *_counted(self.files, "file", "files"),
        ]
        if not any(each.state is ErasureState.SEARCHED for each in self.services):
            faults.append("no service could be searched")
        first = f" The first failure: {' '.join(str(self.error).split())}" if self.error else ""
        return f"The erasure is not complete: {'; '.join(faults)}. Running it again is safe.{first}"

    def to_dict(self) -> dict[str, Any]:
        """Returns JSON-safe values, without an identifier."""
        return {
            "format": _FORMAT,
            "ok": self.ok,
            "dry_run": self.dry_run,
            "began": _moment(self.began),
            "ended": _moment(self.ended),
            "host": self.host,
            "identifiers": [each.to_dict() for each in self.identifiers],
            "key_is_kept": self.key_is_kept,
            "contact_lists": self.contact_lists,
            "services": [each.to_dict() for each in self.services],
            "lists": [each.to_dict() for each in self.lists],
            "files": [each.to_dict() for each in self.files],
            "live_from": _moment(self.live_from),
        }


def _counted(parts: Iterable[ServiceErasure | ListErasure | FileErasure], one: str, many: str) -> list[str]:
    counts = Counter(part.state for part in parts if not part.state.is_right)
    return [f"{count:,} {one if count == 1 else many} {state.value}" for state, count in counts.items()]


def _described(error: CriteoError | None) -> dict[str, Any]:
    """Describes an error: its class, status, codes and trace id, never a text of Criteo's."""
    return {
        "error": type(error).__name__ if error else None,
        "status": getattr(error, "status", None),
        "codes": [str(problem) for problem in getattr(error, "problems", ())],
        "trace_id": printable_trace_id(getattr(error, "trace_id", None)),
    }


def _moment(moment: dt.datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
