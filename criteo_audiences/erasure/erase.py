"""Carries an erasure out: looks for the lists, asks them, and takes people out of what is stored here."""

import datetime as dt
import os
import secrets
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

from anyio import to_thread
from attrs import frozen

from criteo_audiences.erasure.files import LocalFiles, forget, rejects_in
from criteo_audiences.erasure.lists import Place, found_lists, removed
from criteo_audiences.erasure.receipt import ErasureReceipt, ErasureState, ListErasure
from criteo_audiences.erasure.request import ErasureRequest, Fingerprint, Identifiers
from criteo_audiences.errors import ConfigurationError, JournalError
from criteo_audiences.journals import make_directory, state_directory
from criteo_audiences.journals.directory import JournalDirectory, keyed_digest
from criteo_audiences.mirrors import snapshot_directory
from criteo_audiences.models import IdentifierType
from criteo_audiences.validation import require_list
from criteo_audiences.windows import live_from

FilePath = str | os.PathLike[str]


@frozen(kw_only=True)
class Task:
    """What is to be erased where, as a caller says it; `CriteoClient.erase` explains each.

    Attributes:
        places: where to look for lists.
        host: of the API.
        identifiers: whom to erase.
        kind: their kind, where their form does not show it.
        region: where numbers without a country code are dialed.
        rejects: files of rejects, or directories of them, besides those that the user's state directory knows of.
        journals: directories of journals, besides the one in the user's state directory.
        snapshots: snapshots of mirrors or directories of them, besides the command line's own directory.
        dry_run: whether nothing is to be removed.
    """

    places: Sequence[Place]
    host: str
    identifiers: Identifiers
    kind: IdentifierType | str | None
    region: str | None
    rejects: Iterable[FilePath]
    journals: Iterable[FilePath]
    snapshots: Iterable[FilePath]
    dry_run: bool


async def erase(task: Task) -> ErasureReceipt:
    """Erases identifiers; see `CriteoClient.erase`."""
    began = dt.datetime.now(dt.UTC)
    fingerprint, is_kept = await to_thread.run_sync(_fingerprinting)
    request = ErasureRequest.of(task.identifiers, kind=task.kind, region=task.region, fingerprint=fingerprint)
    _check_gum(task.places, request)
    journals = tuple(dict.fromkeys(map(Path, require_list(task.journals, "journals"))))
    snapshots = tuple(dict.fromkeys(map(Path, require_list(task.snapshots, "snapshots"))))
    rejects = await to_thread.run_sync(rejects_in, require_list(task.rejects, "rejects"))
    searches = [await found_lists(place, request) for place in task.places]
    removals = [removal for _, found in searches for removal in found]
    outcomes = [each.planned for each in removals] if task.dry_run else await removed(removals)
    places = LocalFiles(
        rejects=rejects,
        journals=_with_own(state_directory(), journals),
        snapshots=_with_own(snapshot_directory(), snapshots),
        lists=_done(outcomes, task.host),
        dry_run=task.dry_run,
    )
    files = await to_thread.run_sync(partial(forget, request, places))
    return ErasureReceipt(
        identifiers=request.identifiers,
        key_is_kept=is_kept,
        host=task.host,
        services=tuple(outcome for outcome, _ in searches),
        lists=tuple(outcomes),
        files=files,
        began=began,
        ended=dt.datetime.now(dt.UTC),
        live_from=_live_from(outcomes),
        dry_run=task.dry_run,
    )


def _done(outcomes: Sequence[ListErasure], host: str) -> set[tuple[str, str, str]]:
    """Returns the lists that did all they were asked: what is stored about another one may still be needed."""
    asked = [((each.service, host.lower(), each.segment_id), each.state.is_right) for each in outcomes]
    return {place for place, _ in asked} - {place for place, is_right in asked if not is_right}


def _with_own(own: Path | None, places: Sequence[Path]) -> tuple[Path, ...]:
    return tuple(dict.fromkeys(places if own is None or not own.exists() else [own, *places]))


def _live_from(outcomes: Iterable[ListErasure]) -> dt.datetime | None:
    """Returns when the last of what was removed counts; `None` when nothing was."""
    answered = [each.answered_at for each in outcomes if each.answered_at and each.state is ErasureState.REMOVED]
    return live_from(max(answered)) if answered else None


def _check_gum(places: Iterable[Place], request: ErasureRequest) -> None:
    """Refuses GUM ids without what Marketing Solutions wants with them, before anything is sent.

    Raises:
        ConfigurationError: when it is missing, or given without a GUM id.
    """
    has_ids = IdentifierType.GUM in request.forms
    for place in places:
        if place.service == "marketing-solutions" and has_ids != (IdentifierType.GUM in place.extra):
            raise ConfigurationError("gum_caller_id goes with GUM ids of Marketing Solutions, which need it.")


def _fingerprinting() -> tuple[Fingerprint, bool]:
    """Returns what makes fingerprints, and whether their key is kept: in the ledger of the user's state directory.

    Where there is none, the key is made up and forgotten; the receipt then shows which entries are alike, nothing else.
    """
    key = _kept_key()
    chosen = secrets.token_bytes(32) if key is None else key

    def fingerprint(identifier: str) -> str:
        return keyed_digest(chosen, b"erased", identifier.encode("utf-8", "surrogatepass"), size=16).hex()

    return fingerprint, key is not None


def _kept_key() -> bytes | None:
    directory = state_directory()
    if directory is None:
        return None
    try:
        make_directory(directory)
        with JournalDirectory(directory) as ledger:
            return ledger.key()
    except (OSError, JournalError):
        return None
