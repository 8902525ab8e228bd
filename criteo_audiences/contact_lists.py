"""What every service does with contact lists: amend, clear and upload to them, create them, check them first."""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from functools import partial
from types import MappingProxyType
from typing import Any, Final, Protocol, TypeVar

import anyio
import orjson
from anyio import to_thread
from attrs import evolve, frozen

from criteo_audiences.batches import Batch, single_batch
from criteo_audiences.errors import (
    ConfigurationError,
    InvalidRequestError,
    PartialFailureError,
    PermissionDeniedError,
    SegmentMismatchError,
    TransportError,
)
from criteo_audiences.journals.directory import Witness
from criteo_audiences.models import ContactListOperation, IdentifierType, Operation, Word
from criteo_audiences.results import BulkResult, Search
from criteo_audiences.session.endpoints import send_for_nothing, send_for_one
from criteo_audiences.session.protocol import Request
from criteo_audiences.session.session import Session
from criteo_audiences.uploads import (
    Amendment,
    Destination,
    HashedUpload,
    PlainUpload,
    Source,
    UploadOptions,
    UploadReport,
    UploadStream,
)
from criteo_audiences.uploads.lane import as_table
from criteo_audiences.uploads.options import Options, gum_caller_id_of
from criteo_audiences.uploads.pipeline import Look
from criteo_audiences.uploads.uploader import stream, upload
from criteo_audiences.validation import choose, require_known, require_text

__all__ = [
    "Calls",
    "ContactLists",
    "HashedUpload",
    "PlainUpload",
    "SegmentCheck",
    "Source",
    "UploadOptions",
    "UploadReport",
    "UploadStream",
    "Vocabulary",
    "amend_body",
    "ensure_contact_list",
]

_log = logging.getLogger("criteo_audiences.uploads")

_NAME_TAKEN: Final = "name-must-be-unique"
_CONTACT_LIST: Final = "ContactList"


class Segment(Protocol):
    """What the services' audience segments have in common."""

    @property
    def id(self) -> str | None:
        """Its id."""

    @property
    def name(self) -> str | None:
        """Its name."""

    @property
    def type(self) -> Word | None:
        """Its kind."""


S = TypeVar("S", bound=Segment)


@frozen
class Vocabulary:
    """The kinds of identifier that a service takes.

    Attributes:
        service: its name, for messages.
        words: its own word for each kind.
        wants_gum_caller: whether GUM ids need to say who asks.
    """

    service: str
    words: Mapping[IdentifierType, str]
    wants_gum_caller: bool = False

    def word(self, kind: IdentifierType) -> str:
        """Returns the service's word for a kind of identifier.

        Raises:
            ConfigurationError: when the service does not take it; naming those it takes.
        """
        if kind not in self.words:
            taken = ", ".join(word.value for word in self.words)
            raise ConfigurationError(f"{self.service} takes no identifier_type='{kind.value}'; it takes: {taken}.")
        return self.words[kind]

    def check(self, kind: IdentifierType, gum_caller_id: int | None) -> None:
        """Refuses what no call to the service could send.

        Raises:
            ConfigurationError: when the service does not take the kind, or the caller id does not go with it.
        """
        self.word(kind)
        needed = self.wants_gum_caller and kind is IdentifierType.GUM
        if needed and gum_caller_id is None:
            raise ConfigurationError("gum_caller_id goes with identifier_type='gum', and that type needs it.")
        if not needed and gum_caller_id is not None:
            where = "with identifier_type='gum' only" if self.wants_gum_caller else "with Marketing Solutions only"
            raise ConfigurationError(f"gum_caller_id goes {where}.")


@frozen
class SegmentCheck:
    """A look at a contact list before an upload to it: whether it is there, whose it is, and what it takes.

    Attributes:
        found: a search for the segment by its id.
        segment_id: the segment.
        owner_name: the field that names the owner, such as `advertiser_id`.
        owner_id: who it should be; `None` when the caller did not say.
        confirm: asks the list itself, when the search does not show it and no owner was named.
    """

    found: Search[Any]
    segment_id: str
    owner_name: str
    owner_id: str | None
    confirm: Callable[[], Awaitable[object]] | None = None

    def is_due(self, source: Source, settings: Options) -> bool:
        """Whether an upload makes it.

        An iterable's first batch finds out at once and calls are scarce, so its upload makes it only when asked to.
        """
        return self.owner_id is not None or settings.dry_run or as_table(source) is not None

    async def run(self, kinds: Sequence[IdentifierType]) -> None:
        """Searches for the segment once, and refuses one that the upload cannot use.

        An application that may write but not search skips the check, unless the caller named the owner. When the
        search does not show the segment, a second call decides, because the search may be out of date.

        Raises:
            SegmentMismatchError: when there is no such segment of that owner, it is no contact list, may not be
                written, or takes another kind of identifier.
            NotFoundError: when there is no such segment.
            CriteoError: when a call failed.
        """
        try:
            page = await self.found.page()
        except PermissionDeniedError:
            if self.owner_id is not None:
                raise
            _log.info("Segment %s was not looked at first: the application may not search.", self.segment_id)
            return
        segment = next((entry for entry in page.items if entry.id == self.segment_id), None)
        if segment is None and self.owner_id is None and self.confirm is not None:
            await self.confirm()
        if differences := list(self._differences(segment, kinds)):
            raise SegmentMismatchError(self.segment_id, differences)

    def _differences(self, segment: Any, kinds: Sequence[IdentifierType]) -> Iterator[str]:
        if self.owner_id is not None and (segment is None or getattr(segment, self.owner_name) != self.owner_id):
            yield f"is no segment of {self.owner_name}={self.owner_id}: check both ids"
        if segment is None:
            return
        if segment.type is not None and segment.type != _CONTACT_LIST:
            yield "is no contact list, so nothing can be uploaded to it"
        if getattr(segment.contact_list, "is_read_only", None):
            yield "is read-only: it was made outside Criteo's API"
        taken = getattr(segment.contact_list, "identifier_type", None)
        for kind in kinds:
            if taken is not None and taken.is_known and taken != kind:
                yield f"takes identifier_type='{taken.value}', not '{kind.value}'"


@frozen(kw_only=True)
class Calls:
    """How a service spells the calls that change its contact lists.

    Attributes:
        path: the path of a contact list, with `{segment_id}` in it.
        amend: the method of an amendment, and what its path adds.
        clear: the method of the call that clears a list, and what its path adds.
        entity_type: the type of an amendment's body.
        operations: the service's word for each operation.
    """

    path: str
    amend: tuple[str, str]
    clear: tuple[str, str]
    entity_type: str
    operations: Mapping[Operation, str] = MappingProxyType({Operation.ADD: "add", Operation.REMOVE: "remove"})

    def request(self, call: tuple[str, str], segment_id: str) -> Request:
        """Returns a call on a contact list.

        Raises:
            ConfigurationError: when the id is empty.
        """
        method, ending = call
        parameters = {"segment_id": require_text(segment_id, "segment_id")}
        return Request(method=method, path=self.path + ending, path_parameters=parameters)


@frozen
class ContactLists:
    """Changes the contact lists of one service: by one call, or by an upload.

    Attributes:
        session: makes the calls.
        vocabulary: the kinds of identifier that the service takes.
        calls: how the service spells its calls.
    """

    session: Session
    vocabulary: Vocabulary
    calls: Calls

    async def amend(
        self,
        segment_id: str,
        *,
        operation: Operation | str,
        identifiers: Sequence[str],
        identifier_type: IdentifierType | str,
        gum_caller_id: int | str | None = None,
    ) -> ContactListOperation:
        """See a service's `amend_contact_list`."""
        amendment = Amendment(
            segment_id=segment_id,
            operation=choose(Operation, operation, "operation"),
            identifier_type=choose(IdentifierType, identifier_type, "identifier_type"),
            batch=single_batch(identifiers),
            gum_caller_id=gum_caller_id_of(gum_caller_id),
        )
        self.vocabulary.check(amendment.identifier_type, amendment.gum_caller_id)
        async with _noted(self._destination(segment_id)):
            return await self._send(amendment)

    async def clear(self, segment_id: str) -> None:
        """See a service's `clear_contact_list`."""
        request = self.calls.request(self.calls.clear, segment_id)
        async with _noted(self._destination(segment_id)):
            await send_for_nothing(self.session, request)

    async def upload(
        self, segment_id: str, source: Source, check: SegmentCheck | None, options: UploadOptions
    ) -> UploadReport:
        """See a service's `upload_contact_list`."""
        destination = self._destination(segment_id)
        settings = _settings("upload_contact_list", self.vocabulary, options)
        async with _noted_unless_kept(destination, settings):
            return await upload(self._send, destination, source, settings, _look(check, source, settings))

    def stream(
        self, segment_id: str, source: Source, check: SegmentCheck | None, options: UploadOptions
    ) -> AbstractAsyncContextManager[UploadStream]:
        """See a service's `stream_contact_list`."""
        return self._streamed(self._destination(segment_id), source, check, options)

    @asynccontextmanager
    async def _streamed(
        self, destination: Destination, source: Source, check: SegmentCheck | None, options: UploadOptions
    ) -> AsyncIterator[UploadStream]:
        settings = _settings("stream_contact_list", self.vocabulary, options)
        look = _look(check, source, settings)
        async with (
            _noted_unless_kept(destination, settings),
            stream(self._send, destination, source, settings, look) as running,
        ):
            yield running

    async def _send(self, amendment: Amendment) -> ContactListOperation:
        """Makes an amend call; an upload's gives way to calls of their own, and is counted by its meter."""
        attributes: dict[str, Any] = {
            "operation": self.calls.operations[amendment.operation],
            "identifierType": self.vocabulary.word(amendment.identifier_type),
        }
        if amendment.gum_caller_id is not None:
            attributes["gumCallerId"] = amendment.gum_caller_id
        request = evolve(
            self.calls.request(self.calls.amend, amendment.segment_id),
            body=amend_body(self.calls.entity_type, attributes, amendment.batch),
            background=amendment.upload_id is not None,
            labels=amendment.labels(),
            meter=amendment.meter,
        )
        return await send_for_one(self.session, request, ContactListOperation)

    def _destination(self, segment_id: str) -> Destination:
        """Returns where an upload to a contact list goes.

        Raises:
            ConfigurationError: when the id is empty.
        """
        return Destination(
            service=self.vocabulary.service.lower().replace(" ", "-"),
            host=self.session.host,
            application=self.session.application,
            segment_id=require_text(segment_id, "segment_id"),
            window=getattr(self.session.limiter, "window", None),
        )


@asynccontextmanager
async def _noted(destination: Destination) -> AsyncIterator[None]:
    """Notes that something else than an upload with a journal changes a list, before it does and afterwards.

    Unfinished uploads of this user to the list are then not continued unasked. What cannot be noted is logged; where no
    upload with a journal is known, nothing is written.
    """
    operation = (destination.service, destination.host, destination.segment_id)
    await to_thread.run_sync(Witness().note_other, *operation)
    try:
        yield
    finally:  # an upload with a journal may have begun meanwhile
        with anyio.CancelScope(shield=True):
            await to_thread.run_sync(Witness().note_other, *operation)


def _noted_unless_kept(destination: Destination, settings: Options) -> AbstractAsyncContextManager[None]:
    """Notes an upload that keeps no journal and sends something."""
    return nullcontext() if settings.journal is not None or settings.dry_run else _noted(destination)


def _settings(method: str, vocabulary: Vocabulary, options: UploadOptions) -> Options:
    """Reads the keywords of a method; an unknown one is refused in the method's own name."""
    require_known(options, UploadOptions.__annotations__, method)
    settings = Options(**options)
    for kind in settings.kinds:
        vocabulary.check(kind, settings.gum_caller_id if kind is IdentifierType.GUM else None)
    return settings


def _look(check: SegmentCheck | None, source: Source, settings: Options) -> Look | None:
    """Returns what looks at the segment first, `None` when nothing does."""
    if check is None or not check.is_due(source, settings):
        return None
    return partial(check.run, settings.kinds)


async def ensure_contact_list(create: Callable[[], Awaitable[BulkResult[S]]], found: Search[S], name: str) -> S:
    """See a service's `ensure_contact_list`.

    Args:
        create: makes the create call for the one list.
        found: searches the segments of its owner.
        name: the list's name.
    """
    try:
        created = await _created(create)
    except InvalidRequestError as error:
        # Criteo's guide answers 200 with a problem; code written with Criteo meets this status with it, too.
        if _NAME_TAKEN not in error.codes:
            raise
        created = BulkResult(errors=error.problems)
    if created.items or not any(problem.code == _NAME_TAKEN for problem in (*created.errors, *created.warnings)):
        return created.one()
    async for segment in found:
        if segment.name == name:
            if segment.type is not None and segment.type != _CONTACT_LIST:
                raise ConfigurationError(f"The name belongs to segment {segment.id}, which is no contact list.")
            return segment
    raise PartialFailureError(
        (*created.errors, *created.warnings), what="The name is taken, but no segment of it was found"
    )


async def _created(create: Callable[[], Awaitable[BulkResult[S]]]) -> BulkResult[S]:
    """Creates; once more when the answer was lost, since a list made then shows as a name that is taken."""
    try:
        return await create()
    except TransportError:
        return await create()


def amend_body(entity_type: str, attributes: Mapping[str, Any], batch: Batch) -> tuple[bytes, ...]:
    """Wraps a batch into the body of an amend call, in pieces."""
    opening = orjson.dumps({"data": {"type": entity_type, "attributes": attributes}})
    return (opening.removesuffix(b"}}}") + b',"identifiers":[', *batch.pieces, b"]}}}")
