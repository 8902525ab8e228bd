"""Erasure: removes people from every contact list that could contain them, and from what this library has stored.

`CriteoClient.erase` is the entry point.
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
    """The outcome of the erasure for a service, a list or a file."""

    SEARCHED = "searched"
    """The service was searched for contact lists."""
    REMOVED = "removed"
    """Criteo has removed the identifiers, or the file no longer contains any of them."""
    PLANNED = "planned"
    """Without `dry_run`, it would be done."""
    NOTHING = "nothing"
    """The file contains no identifiers."""
    NOT_PERMITTED = "not permitted"
    """The application may not search the service for lists, and the caller did not name the service."""
    NOT_OFFERED = "not offered"
    """This API version cannot search the service for lists, and the caller did not name the service."""
    READ_ONLY = "read-only"
    """The list was made outside Criteo's API, which cannot change it."""
    UNREPORTED = "unreported"
    """Criteo's answer does not account for all identifiers."""
    UNKNOWN = "unknown"
    """Criteo may or may not have removed the identifiers."""
    FAILED = "failed"
    """It was certainly not done."""
    NOT_ASKED = "not asked"
    """The list was left out, because the credentials had been refused by then."""
    IN_USE = "in use"
    """The file is being written; it contains no identifier."""

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
    """The search of a service for contact lists.

    Attributes:
        service: the service's name, such as `retail-media`.
        owner_id: the owner of the lists; `None` for all lists that the application may see.
        state: the outcome of the search.
        lists: number of contact lists found.
        error: why the search failed.
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
    """A call to remove identifiers of one kind from one contact list, and its answer.

    Attributes:
        service: the service's name, such as `retail-media`.
        owner_id: the owner of the list, if Criteo names it.
        segment_id: the list.
        kind: the kind of the identifiers.
        forms: number of identifiers to remove; each form counts.
        state: the outcome.
        valid: how many of them Criteo accepted; it does not say whether the list contained them.
        invalid: how many of them Criteo did not recognize; no list can contain these.
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
    """The erasure in one of our files.

    Attributes:
        kind: `rejects`, `journal`, `snapshot`, or `temporary` for files of a killed upload.
        path: the path of the file.
        state: the outcome.
        erased: number of values removed from it; for a journal, the number of digests of batches.
        remark: a further remark.
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
    """The receipt of an erasure, for every service, list and file. It contains no identifier, and is meant to be kept.

    Attributes:
        identifiers: the identifiers to erase, as keyed fingerprints.
        key_is_kept: whether the key of the fingerprints is stored in the user's state directory, so that receipts for
            the same identifiers show the same fingerprints; if not, the key was used for this receipt only.
        host: the host of the API.
        services: the searches of services for lists.
        lists: the calls to lists.
        files: the erasure in files.
        began: when it began, in UTC.
        ended: when it ended, in UTC.
        live_from: about when campaigns no longer use the removed identifiers; `None` if none was removed.
        dry_run: whether it was a dry run, which removes nothing.
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
        """Whether the identifiers are gone: some service was searched, and no list and no file failed.

        A service that the application may not search is no failure, unless the caller named it.
        """
        searched = any(each.state is ErasureState.SEARCHED for each in self.services)
        return searched and all(each.state.is_right for each in self._parts)

    @property
    def contact_lists(self) -> int:
        """Number of contact lists that were called, or would be."""
        return len({(each.service, each.segment_id) for each in self.lists})

    @property
    def error(self) -> CriteoError | None:
        """The first failure of a service, otherwise of a list; `None` if there is none."""
        asked: Sequence[ServiceErasure | ListErasure] = (*self.services, *self.lists)
        return next((each.error for each in asked if each.error and not each.state.is_right), None)

    def raise_for_failures(self) -> None:
        """Raises when the receipt is not `.ok`.

        Raises:
            ErasureFailedError: when it is not; contains counts and this receipt.
        """
        if not self.ok:
            raise ErasureFailedError(self.explain(), receipt=self)

    def explain(self) -> str:
        """Returns a sentence or two on why the receipt is not `.ok`; an empty text if it is."""
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
    """Returns an error's class, status, codes and trace id, never text from Criteo."""
    return {
        "error": type(error).__name__ if error else None,
        "status": getattr(error, "status", None),
        "codes": [str(problem) for problem in getattr(error, "problems", ())],
        "trace_id": printable_trace_id(getattr(error, "trace_id", None)),
    }


def _moment(moment: dt.datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
