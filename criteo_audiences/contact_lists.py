"""Operations on contact lists for all services: amend, clear, upload, replace and mirror, with checks before them."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from functools import partial
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Any, Final, Literal, NoReturn
from weakref import WeakKeyDictionary

import anyio
import orjson
from anyio import to_thread
from attrs import evolve, frozen

from criteo_audiences.batches import Batch, single_batch
from criteo_audiences.errors import ConfigurationError, CriteoError
from criteo_audiences.journals.directory import Witness
from criteo_audiences.meter import CallMeter
from criteo_audiences.mirrors import MirrorOptions, MirrorReport, MirrorSettings
from criteo_audiences.models import ContactListOperation, IdentifierType, Operation
from criteo_audiences.segment_match import SegmentCheck
from criteo_audiences.session.endpoints import send_for_nothing, send_for_one
from criteo_audiences.session.protocol import Request
from criteo_audiences.session.quota import quota_wait
from criteo_audiences.session.session import Session
from criteo_audiences.tables.table import is_table
from criteo_audiences.uploads import (
    Amend,
    Amendment,
    Destination,
    HashedUpload,
    Lookalike,
    NotASource,
    PlainUpload,
    Source,
    UploadOptions,
    UploadReport,
    UploadStream,
)
from criteo_audiences.uploads.lane import refuse_lookalikes
from criteo_audiences.uploads.options import Options, gum_caller_id_of
from criteo_audiences.uploads.pipeline import Look
from criteo_audiences.uploads.report import what_is_left
from criteo_audiences.uploads.slots import Slots
from criteo_audiences.uploads.uploader import stream, upload
from criteo_audiences.validation import choose, require_known, require_text

__all__ = [
    "Calls",
    "ContactLists",
    "HashedUpload",
    "Lookalike",
    "MirrorOptions",
    "MirrorReport",
    "NotASource",
    "PlainUpload",
    "SegmentCheck",
    "Source",
    "UploadOptions",
    "UploadReport",
    "UploadStream",
    "Vocabulary",
    "amend_body",
]


@frozen
class Vocabulary:
    """The kinds of identifier that a service takes.

    Attributes:
        service: its name, for messages.
        words: the service's word for each kind.
        wants_gum_caller: whether GUM ids need a caller id.
        elsewhere: the other service that takes a kind, for kinds that this one does not take.
    """

    service: str
    words: Mapping[IdentifierType, str]
    wants_gum_caller: bool = False
    elsewhere: Mapping[IdentifierType, str] = MappingProxyType({})

    def word(self, kind: IdentifierType) -> str:
        """Returns the service's word for a kind of identifier.

        Raises:
            ConfigurationError: when the service does not take it; names the kinds that it takes.
        """
        if kind not in self.words:
            taken = ", ".join(word.value for word in self.words)
            hint = f" {self.elsewhere[kind]} takes it." if kind in self.elsewhere else ""
            raise ConfigurationError(
                f"{self.service} takes no identifier_type='{kind.value}'; it takes: {taken}.{hint}"
            )
        return self.words[kind]

    def check(self, kind: IdentifierType, gum_caller_id: int | None) -> None:
        """Refuses arguments that no call to the service can send.

        Raises:
            ConfigurationError: when the service does not take the kind, or the caller id does not match the kind.
        """
        self.word(kind)
        needed = self.wants_gum_caller and kind is IdentifierType.GUM
        if needed and gum_caller_id is None:
            raise ConfigurationError("gum_caller_id goes with identifier_type='gum', and that type needs it.")
        if not needed and gum_caller_id is not None:
            where = "with identifier_type='gum' only" if self.wants_gum_caller else "with Marketing Solutions only"
            raise ConfigurationError(f"gum_caller_id goes {where}.")


@frozen(kw_only=True)
class Calls:
    """How a service spells the calls that change its contact lists.

    Attributes:
        path: the path of a contact list, with `{segment_id}` in it.
        amend: the HTTP method of an amendment, and the suffix of its path.
        clear: the HTTP method of the call that clears a list, and the suffix of its path.
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
    """Changes the contact lists of one service, by a single call or by an upload.

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
        operation: Operation | Literal["add", "remove"],
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
            look = _look(check, source, settings)
            return await upload(
                self._send, destination, source, settings, look, self._quota_wait, _slots_of(self.session)
            )

    async def replace(
        self, segment_id: str, source: Source, check: SegmentCheck | None, options: UploadOptions
    ) -> UploadReport:
        """See a service's `replace_contact_list`."""
        destination = self._destination(segment_id)
        settings = _settings("replace_contact_list", self.vocabulary, options)
        kept = next((name for name in ("journal", "ledger") if getattr(settings, name) is not None), None)
        if kept is not None or settings.operation is not Operation.ADD:
            name = kept or "operation"
            raise ConfigurationError(f"{name} does not go with replace_contact_list, which begins with an empty list.")
        clearing = _Clearing(self.session, self.calls.request(self.calls.clear, segment_id), self._send)
        async with nullcontext() if settings.dry_run else _noted(destination):
            look, slots = _look(check, source, settings), _slots_of(self.session)
            try:
                report = await upload(clearing.amend, destination, source, settings, look, self._quota_wait, slots)
            except BaseException as error:  # a cancellation as well
                if clearing.cleared is not False:
                    error.add_note(what_is_left(clearing.cleared))
                raise
        return evolve(report, cleared=clearing.cleared)

    async def mirror(
        self, segment_id: str, source: Source, check: SegmentCheck | None, options: MirrorOptions
    ) -> MirrorReport:
        """See a service's `mirror_contact_list`."""
        from criteo_audiences.mirrors.mirror import mirror  # noqa: PLC0415 - an upload needs no engine

        destination = self._destination(segment_id)
        require_known(options, MirrorOptions.__annotations__, "mirror_contact_list")
        settings = MirrorSettings.of(options)
        if not is_table(source):
            refuse_lookalikes(source, "a source")
        self.vocabulary.check(settings.options.kind, settings.options.gum_caller_id)
        look = None if check is None else partial(check.run, settings.options.kinds)
        return await mirror(self._send, destination, source, settings, look, self._quota_wait, _slots_of(self.session))

    def stream(
        self, segment_id: str, source: Source, check: SegmentCheck | None, options: UploadOptions
    ) -> AbstractAsyncContextManager[UploadStream]:
        """See a service's `stream_contact_list`."""
        return _Block(self._streamed(self._destination(segment_id), source, check, options))

    @asynccontextmanager
    async def _streamed(
        self, destination: Destination, source: Source, check: SegmentCheck | None, options: UploadOptions
    ) -> AsyncIterator[UploadStream]:
        settings = _settings("stream_contact_list", self.vocabulary, options)
        look = _look(check, source, settings)
        async with (
            _noted_unless_kept(destination, settings),
            stream(
                self._send, destination, source, settings, look, self._quota_wait, _slots_of(self.session)
            ) as running,
        ):
            yield running

    async def _send(self, amendment: Amendment) -> ContactListOperation:
        """Makes an amend call. A call of an upload lets single calls go first, and the upload's meter counts it."""
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
            before=amendment.before,
        )
        return await send_for_one(self.session, request, ContactListOperation)

    def _quota_wait(self, calls: int) -> float | None:
        return quota_wait(self.session.limiter, calls)

    def _destination(self, segment_id: str) -> Destination:
        """Returns the destination of an upload to a contact list.

        Raises:
            ConfigurationError: when the id is empty.
        """
        return Destination(
            service=self.vocabulary.service.lower().replace(" ", "-"),
            host=self.session.host,
            application=self.session.application,
            segment_id=require_text(segment_id, "segment_id"),
            window=getattr(self.session.limiter, "window", None),
            on_event=self.session.on_event,
        )


class _Clearing:
    """Makes amend calls, and clears the list once before the first of them.

    Args:
        session: makes the call that clears the list.
        request: the call that clears the list.
        amend: makes the amend calls.
    """

    def __init__(self, session: Session, request: Request, amend: Amend) -> None:
        self._session = session
        self._meter = CallMeter()
        self._request = evolve(request, meter=self._meter)
        self._amend = amend
        self._turns = anyio.Lock()
        self._is_done = False

    @property
    def cleared(self) -> bool | None:
        """Whether the list was cleared; `None` when that is not known."""
        return self._is_done or (None if self._meter.may_be_applied else False)

    async def amend(self, amendment: Amendment) -> ContactListOperation:
        """Clears the list if this is the first call; if clearing fails, the upload ends."""
        async with self._turns:
            if not self._is_done:
                try:
                    await send_for_nothing(self._session, self._request)
                except CriteoError as error:
                    error.ends_upload = True
                    raise
                self._is_done = True
        return await self._amend(amendment)


_SLOTS: "Final[WeakKeyDictionary[Session, Slots]]" = WeakKeyDictionary()
"""The slots of each client, which the uploads of all its services share."""


class _Block(AbstractAsyncContextManager[UploadStream]):
    """The `async with` block of an upload that yields its results; explains its use if it is used in another way."""

    def __init__(self, block: AbstractAsyncContextManager[UploadStream]) -> None:
        self._block = block

    async def __aenter__(self) -> UploadStream:
        return await self._block.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return await self._block.__aexit__(kind, error, trace)

    if not TYPE_CHECKING:  # hidden from type checkers, so that they report such use

        def _refuse(self, *_: object) -> NoReturn:
            raise TypeError(
                "A stream is entered with `async with ms.stream_contact_list(...) as results:`, and then read with "
                "`async for batch in results:`."
            )

        __enter__ = __exit__ = __iter__ = __aiter__ = __await__ = _refuse


def _slots_of(session: Session) -> Slots:
    return _SLOTS.setdefault(session, Slots())


@asynccontextmanager
async def _noted(destination: Destination) -> AsyncIterator[None]:
    """Records, before and after an operation without a journal, that it changes a list.

    This user's unfinished uploads to the list are then not resumed automatically. A failure to record is logged. If no
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
    """Records an upload, unless it keeps a journal or is a dry run."""
    return nullcontext() if settings.journal is not None or settings.dry_run else _noted(destination)


def _settings(method: str, vocabulary: Vocabulary, options: UploadOptions) -> Options:
    """Reads the keywords of a method; the error for an unknown keyword names the method."""
    require_known(options, UploadOptions.__annotations__, method)
    settings = Options(**options)
    for kind in settings.kinds:
        vocabulary.check(kind, settings.gum_caller_id if kind is IdentifierType.GUM else None)
    return settings


def _look(check: SegmentCheck | None, source: Source, settings: Options) -> Look | None:
    """Returns the function that checks the segment before the upload, `None` for no check.

    The first batch of an iterable reveals a wrong segment at once, and calls are scarce. So the segment is checked only
    for a table, for a dry run, or when the caller names the owner.
    """
    if check is None or not (check.owner or settings.dry_run or is_table(source)):
        return None
    return partial(check.run, settings.kinds)


def amend_body(entity_type: str, attributes: Mapping[str, Any], batch: Batch) -> tuple[bytes | memoryview, ...]:
    """Wraps a batch into the body of an amend call, in pieces."""
    opening = orjson.dumps({"data": {"type": entity_type, "attributes": attributes}})
    return (opening.removesuffix(b"}}}") + b',"identifiers":[', *batch.pieces, b"]}}}")
