"""Marketing Solutions: one coroutine an endpoint (OpenAPI 2026-07)."""

import sys
from collections.abc import Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, Unpack

import orjson

from criteo_audiences.batches import MAX_BATCH_SIZE, Batch, Batcher
from criteo_audiences.contact_lists import stream_contact_list, upload_contact_list
from criteo_audiences.errors import ConfigurationError
from criteo_audiences.marketing_solutions.models import AudienceSegment, AudienceSegmentCreate
from criteo_audiences.models import ContactListOperation, ContactListStatistics, IdentifierType, Operation
from criteo_audiences.results import BulkResult
from criteo_audiences.session.codec import read_bulk, read_nothing, read_one, unstructure
from criteo_audiences.session.protocol import Request, json_request
from criteo_audiences.session.session import Session
from criteo_audiences.uploads import Amendment, Source, UploadOptions, UploadReport, UploadStream
from criteo_audiences.validation import choose, require_text

_SEGMENTS: Final = "/marketing-solutions/audience-segments"
_CONTACT_LIST: Final = f"{_SEGMENTS}/{{segment_id}}/contact-list"

_WIRE_TYPES: Final = {
    IdentifierType.EMAIL: "email",
    IdentifierType.MADID: "madid",
    IdentifierType.IDENTITY_LINK: "identityLink",
    IdentifierType.GUM: "gum",
    IdentifierType.PHONE_NUMBER: "phoneNumber",
}


class MarketingSolutions:
    """Criteo's Marketing Solutions; reached as `client.marketing_solutions`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def create_audience_segments(self, segments: Iterable[AudienceSegmentCreate]) -> BulkResult[AudienceSegment]:
        """Creates audience segments; never repeated after a lost answer, because names are unique.

        Args:
            segments: what to create.

        Returns:
            The segments created, and a problem for each that was not, with its position.

        Raises:
            ConfigurationError: when there is nothing to create.
            CriteoError: when the call as a whole failed.
        """
        entities = [{"type": "AudienceSegment", "attributes": unstructure(segment)} for segment in segments]
        if not entities:
            raise ConfigurationError("segments must hold at least one AudienceSegmentCreate; found none.")
        request = json_request("POST", f"{_SEGMENTS}/create", {"data": entities}, repeatable=False)
        return read_bulk(await self._session.send(request), AudienceSegment)

    async def amend_contact_list(
        self,
        segment_id: str,
        *,
        operation: Operation | str,
        identifiers: Sequence[str],
        identifier_type: IdentifierType | str = IdentifierType.EMAIL,
        gum_caller_id: int | None = None,
    ) -> ContactListOperation:
        """Adds identifiers to a contact list, or removes them, in one call; sends them as they are given.

        Args:
            segment_id: the contact list.
            operation: `"add"` or `"remove"`.
            identifiers: at most 50,000, normalized, and hashed if they are to be.
            identifier_type: their kind.
            gum_caller_id: needed for `gum`, from Criteo's account team.

        Returns:
            Criteo's receipt with its counts of valid and invalid identifiers.

        Raises:
            ConfigurationError: when an argument cannot be sent; nothing was.
            CriteoError: when the call failed.
        """
        checked = _checked(identifiers)
        kind = choose(IdentifierType, identifier_type, "identifier_type")
        (batch,) = Batcher(size=len(checked), max_bytes=sys.maxsize).feed(checked)
        request = _amend(segment_id, choose(Operation, operation, "operation"), kind, batch, gum_caller_id)
        return read_one(await self._session.send(request), ContactListOperation)

    async def clear_contact_list(self, segment_id: str) -> None:
        """Removes every identifier from a contact list; the segment stays.

        Args:
            segment_id: the contact list.

        Raises:
            CriteoError: when the call failed.
        """
        request = Request(method="DELETE", path=_CONTACT_LIST, path_parameters=_path(segment_id))
        read_nothing(await self._session.send(request))

    async def get_contact_list_statistics(self, segment_id: str) -> ContactListStatistics:
        """Returns how many identifiers a contact list holds and how many Criteo matched.

        Args:
            segment_id: the contact list.

        Raises:
            CriteoError: when the call failed.
        """
        request = Request(method="GET", path=f"{_CONTACT_LIST}/statistics", path_parameters=_path(segment_id))
        return read_one(await self._session.send(request), ContactListStatistics)

    async def upload_contact_list(
        self, segment_id: str, source: Source, **options: Unpack[UploadOptions]
    ) -> UploadReport:
        """Uploads identifiers of any number to a contact list: normalized, hashed as chosen, in concurrent batches.

        Args:
            segment_id: the contact list.
            source: an iterable or async iterable of `str`, a `Table`, or the path of a file.
            **options: `hash` must be chosen for e-mails; see `criteo_audiences.uploads.UploadOptions` for all.

        Returns:
            A report in which every row is accounted for; a batch that failed is in `.failures`.

        Raises:
            ConfigurationError: when an option is missing or wrong; nothing was sent.
            AuthenticationError: when the credentials are refused.
            TypeError: when the source, or a row of it, is no text.
            Exception: what the source raises, as it is.
        """
        return await upload_contact_list(self._amend_batch, segment_id, source, **options)

    def stream_contact_list(
        self, segment_id: str, source: Source, **options: Unpack[UploadOptions]
    ) -> AbstractAsyncContextManager[UploadStream]:
        """Uploads like `upload_contact_list` and hands out a `BatchResult` as each batch comes back.

        Use it as `async with ms.stream_contact_list(...) as results:` and iterate over `results`; leaving the block
        early cancels what still runs. `results.report` is complete once the block is left.

        Args:
            segment_id: the contact list.
            source: an iterable or async iterable of `str`, a `Table`, or the path of a file.
            **options: as for `upload_contact_list`.
        """
        return stream_contact_list(self._amend_batch, segment_id, source, **options)

    async def _amend_batch(self, amendment: Amendment) -> ContactListOperation:
        labels = {
            "upload_id": amendment.upload_id,
            "segment_id": amendment.segment_id,
            "batch": amendment.batch.number,
        }
        request = _amend(
            amendment.segment_id,
            amendment.operation,
            amendment.identifier_type,
            amendment.batch,
            None,
            background=True,
            labels=labels,
            meter=amendment.meter,
        )
        return read_one(await self._session.send(request), ContactListOperation)


def _amend(
    segment_id: str,
    operation: Operation,
    kind: IdentifierType,
    batch: Batch,
    gum_caller_id: int | None,
    **options: Any,
) -> Request:
    """Wraps a batch into the amend call."""
    if kind not in _WIRE_TYPES:
        taken = ", ".join(word.value for word in _WIRE_TYPES)
        raise ConfigurationError(f"Marketing Solutions takes no identifier_type='{kind.value}'; it takes: {taken}.")
    if (kind is IdentifierType.GUM) != (gum_caller_id is not None):
        raise ConfigurationError("gum_caller_id goes with identifier_type='gum', and that type needs it.")
    attributes: dict[str, Any] = {"operation": operation.value, "identifierType": _WIRE_TYPES[kind]}
    if gum_caller_id is not None:
        attributes["gumCallerId"] = gum_caller_id
    opening = orjson.dumps({"data": {"type": "ContactlistAmendment", "attributes": attributes}})
    before = opening.removesuffix(b"}}}") + b',"identifiers":['
    body = (before, *batch.pieces, b"]}}}")
    return Request(method="PATCH", path=_CONTACT_LIST, path_parameters=_path(segment_id), body=body, **options)


def _path(segment_id: str) -> dict[str, str]:
    return {"segment_id": require_text(segment_id, "segment_id")}


def _checked(identifiers: Sequence[str]) -> list[str]:
    """Returns the identifiers of a single call, or says why they are none; never shows one."""
    if isinstance(identifiers, (str, bytes)):
        raise TypeError(f"identifiers must be a list of str, not a single {type(identifiers).__name__}")
    checked = list(identifiers)
    if not checked:
        raise ConfigurationError("identifiers must hold at least one identifier; found none.")
    if len(checked) > MAX_BATCH_SIZE:
        raise ConfigurationError(
            f"A call takes at most {MAX_BATCH_SIZE:,} identifiers, not {len(checked):,}; "
            "upload_contact_list splits any number into batches."
        )
    for position, identifier in enumerate(checked):
        if not isinstance(identifier, str):
            raise TypeError(f"identifier {position + 1:,}: expected a str, found {type(identifier).__name__}")
    return checked
