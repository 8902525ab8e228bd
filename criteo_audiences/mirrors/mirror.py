"""Mirrors a source to a contact list: comparison, guard, check of the segment, removals, additions."""

import math
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from typing import Any, Final

import anyio
from anyio import to_thread
from attrs import define, evolve, field

from criteo_audiences.errors import ConfigurationError
from criteo_audiences.mirrors import MirrorReport
from criteo_audiences.mirrors.facts import Facts, Intent, MirroredList, changes_of, note_of
from criteo_audiences.mirrors.lanes import ChangeLane, Changes, ComparedValues
from criteo_audiences.mirrors.options import Baseline, MirrorSettings, require_baseline, require_harmless
from criteo_audiences.mirrors.snapshot import Snapshot, journal_path, opened
from criteo_audiences.models import Operation
from criteo_audiences.tables.engine import comparison
from criteo_audiences.tables.engine.comparison import Difference
from criteo_audiences.tables.table import DEFAULT_MEMORY_LIMIT, Selection, as_table, default_threads
from criteo_audiences.uploads import Amend, Destination, UploadReport
from criteo_audiences.uploads.lane import Lane
from criteo_audiences.uploads.options import Options
from criteo_audiences.uploads.slots import Slots
from criteo_audiences.uploads.table_lane import TableLane
from criteo_audiences.uploads.uploader import rejects_of, upload_lane
from criteo_audiences.windows import NEXT_WINDOW, QuotaWait, WindowCheck

_SENDING: Final = (
    "identifier_type",
    "hash",
    "gum_caller_id",
    "max_concurrency",
    "max_in_flight_bytes",
    "batch_size",
    "max_body_bytes",
    "max_invalid",
    "drain_timeout",
    "on_progress",
    "memory_limit",
)
"""The keywords that apply to the two uploads of the changes."""

_LEAST: Final = 0.001


async def mirror(
    amend: Amend,
    destination: Destination,
    source: object,
    settings: MirrorSettings,
    look: Callable[[], Awaitable[None]] | None,
    quota_wait: QuotaWait,
    slots: Slots,
) -> MirrorReport:
    """Makes a list equal to a source; see a service's `mirror_contact_list`.

    Args:
        amend: makes the calls.
        destination: the contact list.
        source: the content that the list is to have.
        settings: the caller's choices.
        look: checks the contact list, and raises if the mirror cannot be meant for it.
        quota_wait: returns how long a number of calls must wait for the quota.
        slots: the client's slots, which its uploads share.
    """
    options = settings.options
    selection = options.selections[0]
    snapshot = opened(
        settings.snapshot,
        _mirrored_list(destination, selection),
        settings.journals,
        memory_limit=options.memory_limit or DEFAULT_MEMORY_LIMIT,
        threads=options.threads or default_threads(),
        keep=not options.dry_run,
    )
    with ExitStack() as stack:
        try:
            mirrored = _Mirror(
                amend=amend,
                destination=destination,
                settings=settings,
                quota_wait=quota_wait,
                slots=slots,
                selection=selection,
                snapshot=await to_thread.run_sync(stack.enter_context, snapshot),
                ends_at=anyio.current_time() + (options.seconds_left() or math.inf),
            )
            return await mirrored.run(source, look)
        finally:
            with anyio.CancelScope(shield=True):
                await to_thread.run_sync(stack.close)


def _mirrored_list(destination: Destination, selection: Selection) -> MirroredList:
    return MirroredList(
        service=destination.service,
        host=destination.host,
        segment_id=destination.segment_id,
        identifier_type=selection.kind.value,
        hash=None if selection.algorithm is None else selection.algorithm.value,
    )


@define(kw_only=True)
class _Mirror:
    """A mirror under way.

    Attributes:
        amend: makes the calls.
        destination: the contact list.
        settings: the caller's choices.
        quota_wait: returns how long a number of calls must wait for the quota.
        slots: the client's slots.
        selection: the kind of identifier and how it is sent.
        snapshot: the open snapshot of the list.
        ends_at: the time after which nothing more may be sent, on the event loop's clock.
        facts: the facts about the snapshot, or about the first one that is to be written.
        intent: the facts about the changes that the comparison will find.
        difference: the result of the comparison; `None` before it.
    """

    amend: Amend
    destination: Destination
    settings: MirrorSettings
    quota_wait: QuotaWait
    slots: Slots
    selection: Selection
    snapshot: Snapshot
    ends_at: float
    facts: Facts = field(init=False)
    intent: Intent = field(init=False)
    difference: Difference | None = None

    async def run(self, source: object, look: Callable[[], Awaitable[None]] | None) -> MirrorReport:
        """Mirrors the source; writes nothing and changes no list before every check has passed."""
        settings, snapshot = self.settings, self.snapshot
        is_first = snapshot.facts is None
        is_known = bool(await to_thread.run_sync(snapshot.registers.snapshots))
        require_baseline(settings.snapshot, settings.baseline, exists=not is_first, is_known=is_known)
        known = snapshot.facts
        self.facts = await to_thread.run_sync(snapshot.first, settings.baseline or "") if known is None else known
        self.intent = snapshot.intent(self.facts)
        read = await self._read(source)
        difference = self.difference
        if difference is None:  # the deadline has passed
            return self._report(Difference(added=0, removed=0, unchanged=0), read)
        require_harmless(
            difference,
            read,
            held=0 if is_first else self.facts.identifiers,
            max_removals=settings.max_removals,
            allow_empty=settings.options.allow_empty,
        )
        self._require_in_time(difference)
        changes, dry_run = difference.added + difference.removed, settings.options.dry_run
        if look is not None and (changes or dry_run or is_first):
            await look()
        if dry_run:
            return self._report(difference, read)
        if is_first:
            with anyio.CancelScope(shield=True):
                await to_thread.run_sync(self._write_first)
        return await self._change(difference, read) if changes else self._report(difference, read)

    def _require_in_time(self, difference: Difference) -> None:
        """Warns if the quota delays the changes beyond Criteo's next computation; refuses them if it is their deadline.

        Raises:
            WindowMissedError: when the computation is the deadline and would be missed.
        """
        options = self.settings.options
        calls = sum(math.ceil(count / options.batch_size) for count in (difference.removed, difference.added))
        WindowCheck(self.quota_wait, is_deadline=options.deadline == NEXT_WINDOW).make(calls)

    def compare(self, engine: Any, selection: Selection) -> int:
        """Compares the prepared rows with the snapshot, and stores the changes; runs in the reading thread."""
        found = comparison.compare(engine, selection, self.snapshot.relation(engine))
        if self._assumes:
            rows, count = comparison.all_wanted(engine, selection)
            found = evolve(found, added=0, unchanged=found.added + found.unchanged)
            self.facts = self.facts.holding(count)
            note = self.facts.to_note()
        else:
            rows, note = comparison.changes(), self.intent.to_note()
        if not self.settings.options.dry_run and (self._assumes or found.added or found.removed):
            comparison.store(engine, rows, self.snapshot.target("found"), note_of(note))
        self.difference = found
        return found.repeated

    @property
    def _assumes(self) -> bool:
        """Whether the caller has said that the list already equals the source."""
        return self.settings.baseline is Baseline.ASSUME_CURRENT

    def _write_first(self) -> None:
        """Writes the first snapshot: with the content that the caller has said the list has, or empty."""
        if self._assumes:
            self.snapshot.replace(self.snapshot.target("found"), self.facts)
        else:
            self.snapshot.write_empty(self.facts)
        self.snapshot.settle(self.facts)

    async def _change(self, difference: Difference, read: UploadReport) -> MirrorReport:
        """Sends the changes, and then applies the acknowledged ones to the snapshot, even after an error."""
        snapshot = self.snapshot
        await to_thread.run_sync(snapshot.begin, snapshot.target("found"), self.intent)
        try:
            removals = await self._send(Operation.REMOVE, difference.removed)
            if removals.failures and not removals.valid:  # additions would fail as well
                additions = UploadReport(read=difference.added, pending=difference.added)
            else:
                additions = await self._send(Operation.ADD, difference.added)
        finally:
            with anyio.CancelScope(shield=True):
                await to_thread.run_sync(snapshot.carry_on)
        return self._report(difference, read, removals, additions)

    async def _read(self, source: object) -> UploadReport:
        """Reads the source and compares it; makes no call."""
        keywords = {**self.settings.upload, "dry_run": True, "dedupe": True}
        if self.settings.options.deadline == NEXT_WINDOW:  # a deadline for the changes, not for the whole source
            del keywords["deadline"]
        options = Options(**keywords)
        table = as_table(source, options.selections[0].columns, hive_partitioning=options.hive_partitioning)
        places = self.snapshot.places
        rejects = rejects_of(options)
        lane: Lane
        if table is not None:
            lane = TableLane(table, options, rejects, compare=self.compare, places=places)
        else:
            _require_no_table(options)
            judged = any(policy.subject == "duplicates" for policy in options.fail_on)
            in_clear = {"hash": None} if self.selection.algorithm is not None else {}
            plain = Options(**{**keywords, **in_clear, "dedupe": judged})
            lane = ComparedValues(source, plain, rejects, selection=self.selection, compare=self.compare, places=places)
        return await upload_lane(self.amend, self.destination, lane, options, None, rejects, source)

    async def _send(self, operation: Operation, count: int) -> UploadReport:
        """Sends the additions or the removals."""
        if not count:
            return UploadReport(allow_empty=True)
        chosen = {name: value for name, value in self.settings.upload.items() if name in _SENDING}
        if self.ends_at < math.inf:
            chosen["deadline"] = max(_LEAST, self.ends_at - anyio.current_time())
        path = journal_path(self.snapshot.path, self.snapshot.journals, operation)
        options = Options(**chosen, operation=operation, journal=path, resume=False, allow_empty=True)
        changes = Changes(
            path=changes_of(self.snapshot.path),
            removes=operation is Operation.REMOVE,
            kind=self.selection.kind,
            algorithm=self.selection.algorithm,
            batch_size=options.batch_size,
            max_body_bytes=options.max_body_bytes,
            memory_limit=options.memory_limit or DEFAULT_MEMORY_LIMIT,
        )
        return await upload_lane(
            self.amend,
            self.destination,
            ChangeLane(changes, count),
            options,
            quota_wait=self.quota_wait,
            slots=self.slots,
        )

    def _report(
        self,
        difference: Difference,
        read: UploadReport,
        removals: UploadReport | None = None,
        additions: UploadReport | None = None,
    ) -> MirrorReport:
        size = self.settings.options.batch_size
        facts = self.snapshot.facts
        return MirrorReport(
            added=difference.added,
            removed=difference.removed,
            unchanged=difference.unchanged,
            source=read,
            removals=removals or UploadReport(allow_empty=True),
            additions=additions or UploadReport(allow_empty=True),
            uncertain=0 if facts is None else facts.uncertain,
            notes=(*read.notes, *self.snapshot.notes),
            dry_run=self.settings.options.dry_run,
            planned_calls=math.ceil(difference.removed / size) + math.ceil(difference.added / size),
        )


def _require_no_table(options: Options) -> None:
    """Refuses options that are for tables only.

    Raises:
        ConfigurationError: when such an option is set; names the option.
    """
    for option in ("column", "region_column", "where", "skip_rows", "encoding"):
        if getattr(options, option) is not None:
            raise ConfigurationError(f"{option} is about the columns of a table; an iterable has none.")
    if options.hive_partitioning:
        raise ConfigurationError("hive_partitioning is about Parquet files; an iterable has no directories.")
