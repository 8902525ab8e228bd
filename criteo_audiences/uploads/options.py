"""What a caller may choose about an upload, checked before anything is read or sent."""

import datetime as dt
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, TypedDict

from attrs import field, frozen

from criteo_audiences.batches import DEFAULT_MAX_BODY_BYTES, MAX_BATCH_SIZE
from criteo_audiences.errors import ConfigurationError
from criteo_audiences.models import UNSET, HashAlgorithm, IdentifierType, Operation, Unset
from criteo_audiences.tables import Table
from criteo_audiences.tables.delimiting import skip_rows_of
from criteo_audiences.tables.encoding import encoding_of
from criteo_audiences.tables.engine import DEFAULT_MEMORY_LIMIT, check_memory_limit
from criteo_audiences.tables.given_paths import ends_as_directory, written_path
from criteo_audiences.tables.plan import Selection
from criteo_audiences.tables.table import FilePath
from criteo_audiences.uploads.choices import Columns, chosen_selections
from criteo_audiences.uploads.policies import Policy, policies_of
from criteo_audiences.uploads.progress import Progress
from criteo_audiences.uploads.sources import ArrowStream, refuse_lookalikes
from criteo_audiences.validation import choose, require_plain_function, require_range, require_text, require_unicode

_LEAST_BODY: Final = 200_000
_MOST_IN_FLIGHT: Final = 100
_MOST_THREADS: Final = 256
_SWITCHES: Final = (
    "dry_run",
    "dedupe",
    "resume",
    "rejects_plain",
    "keep_trunk_zero",
    "hive_partitioning",
    "suppress_strict",
    "allow_empty",
)
_LONGEST: Final = 7 * 86_400
_LARGEST_CALLER_ID: Final = 2**31 - 1  # OpenAPI has an integer of 32 bits


def gum_caller_id_of(value: object) -> int | None:
    """Returns a GUM caller id, which Criteo wants as a number and others write as text (`"329739"`).

    Raises:
        ConfigurationError: when it is neither.
    """
    if value is None:
        return None
    number = int(value) if isinstance(value, str) and value.isascii() and value.isdigit() else value
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number <= _LARGEST_CALLER_ID:
        raise ConfigurationError("gum_caller_id must be the whole number that Criteo's account team gave you.")
    return number


def opt_outs_of(value: object) -> Table | tuple[str, ...] | None:
    """Returns opt-outs as a table, or as the values an iterable holds.

    Raises:
        ConfigurationError: when they are an iterator that yields nothing.
        TypeError: when they are neither; shows none.
    """
    if value is None or isinstance(value, Table):
        return value
    if isinstance(value, os.PathLike):
        return Table.from_file(value)
    if hasattr(value, "__arrow_c_stream__"):  # to iterate over a data frame is to get its columns' names
        return Table.from_arrow(value)
    refuse_lookalikes(value, "suppress")
    if not isinstance(value, Iterable):
        raise TypeError(f"suppress must be a file, a table or an iterable of str, not {type(value).__name__}")
    listed = tuple(value)
    if not listed and isinstance(value, Iterator):
        raise ConfigurationError(
            "suppress is an iterator that yields nothing, as one does that was used up before; pass a list instead, "
            "which may be empty."
        )
    for position, opt_out in enumerate(listed, start=1):
        if not isinstance(opt_out, str):
            raise TypeError(f"suppress, entry {position:,}: expected a str, found {type(opt_out).__name__}")
    return listed


def _path_of(value: object, option: str) -> Path | None:
    """Returns the path of a file to write.

    Raises:
        ConfigurationError: when it is none.
    """
    if value is None:
        return None
    path = os.fspath(value) if isinstance(value, os.PathLike) else value
    return written_path(require_text(path, option), option)


def _rejects_path(value: object) -> Path | None:
    path = _path_of(value, "rejects")
    if path is not None and (ends_as_directory(value) or path.is_dir()):
        raise ConfigurationError("rejects must name a new file, not a directory; add the file's name.")
    return path


def _journal_path(value: object) -> Path | None:
    """Returns the journal's path; one that ends with a slash is a directory, made if need be.

    Raises:
        ConfigurationError: when it is none, or the directory cannot be made.
    """
    path = _path_of(value, "journal")
    if path is not None and ends_as_directory(value):
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise ConfigurationError(f"journal names a directory that cannot be made: {reason}.") from None
    return path


def _operation(value: Operation | str) -> Operation:
    return choose(Operation, value, "operation")


class UploadOptions(TypedDict, total=False):
    """The keywords of `upload_contact_list` and `stream_contact_list`; `Settings` says what each means."""

    identifier_type: IdentifierType | str | None
    hash: HashAlgorithm | str | None
    region: str | None
    region_column: str | None
    keep_trunk_zero: bool
    gum_caller_id: int | str | None
    column: Columns | None
    columns: Mapping[IdentifierType | str, Columns] | None
    where: str | None
    hive_partitioning: bool
    skip_rows: int | None
    encoding: str | None
    suppress: Iterable[str] | os.PathLike[str] | Table | ArrowStream | None
    suppress_strict: bool
    operation: Operation | str
    dedupe: bool | None
    max_concurrency: int
    batch_size: int
    max_body_bytes: int
    threads: int | None
    memory_limit: str
    flush_after: float | None
    max_rejected: float
    max_invalid: float
    fail_on: str | Sequence[str]
    allow_empty: bool
    deadline: float | dt.datetime | None
    drain_timeout: float
    dry_run: bool
    on_progress: Callable[[Progress], object] | None
    journal: FilePath | None
    resume: bool | None
    rejects: FilePath | None
    rejects_plain: bool


@frozen(kw_only=True)
class Settings:
    """The choices of one upload.

    Attributes:
        identifier_type: the kind of identifier; e-mail when left out. Marketing Solutions takes phone numbers of
            advertisers in India only.
        hash: `"sha256"`, `"md5"`, `"sha256_of_md5"`, or `None` to send normalized values in clear. It must be chosen
            for e-mails and phone numbers: clear text matches best, a hash shows nobody an address on the way. Phone
            numbers have SHA-256 only; other kinds are never hashed.
        region: where phone numbers without a country code are dialed, such as `"IN"` or `"India"`; needs the extra
            `phone`. Without it such numbers are rejected.
        region_column: the column of a table that holds the country of each row's phone number, as a code or a name
            (docs/identifiers.md). `region` is used where the cell is empty; a country that is not understood rejects
            the row's national number.
        keep_trunk_zero: keep the zero of phone numbers such as `+91 (0)98123 45678`, as the line in Criteo's
            guide does; E.164 has none (docs/identifiers.md).
        gum_caller_id: goes with GUM ids in Marketing Solutions, from Criteo's account team.
        column: the column of a table, or several of them whose values are all of one kind.
        columns: columns by kind, for several kinds in one pass; goes instead of `identifier_type` and `column`.
        where: a condition in SQL on a table's columns; rows it does not hold for are not read.
        hive_partitioning: read directories named `column=value` as columns of text of the Parquet files below them,
            which a column of the files may not be named like; otherwise such a name is only a name.
        skip_rows: lines of text files to leave out before the header, such as a report's title.
        encoding: the codec of text files, such as `"cp1251"`, where their bytes do not tell.
        suppress: opt-outs, a file, a table or an iterable of values in clear or hashed, which are not sent whatever
            form they are written in; with several kinds, those of the first.
        suppress_strict: refuse to start, before any call, when an opt-out is no valid identifier (blank ones are passed
            over), or when a file or table holds no opt-out at all. `False` goes on without them: the report has
            `opt_outs` and `unusable_opt_outs`.
        operation: `"add"` or `"remove"`.
        dedupe: send each identifier once. `None`: on for tables, which are then read to their end before the first
            call, off for iterables, where it costs some 16 bytes of memory an identifier.
        max_concurrency: batches in flight at the same time.
        batch_size: identifiers a batch, at most 50,000 (Criteo's bound).
        max_body_bytes: bytes of identifiers a batch.
        threads: threads that read and prepare a table; `None` leaves one core to the event loop.
        memory_limit: memory that preparing a table may take, such as `"512MB"`; beyond it, it goes to disk.
        flush_after: seconds after which an incomplete batch goes out, for a source that trickles; `None` waits for
            a full one or the source's end.
        max_rejected: share of the rows read that may be rejected before the report is not `.ok`, 0 to 1.
        max_invalid: share of the identifiers sent that Criteo may refuse, 0 to 1; a first full batch beyond it also
            stops the upload, because the rest would fare the same.
        fail_on: further limits, of which the strictest wins: `"rejected>1%"`, `"invalid>100"`, `"sent<1000"`; several
            with commas or in a list. A bare word allows none: `"any"` is `"any>0"`. Upper limits are on `rejected` (or
            `rejected.no_at_sign` for a reason), `duplicates` and `suppressed`, whose shares are of the rows read;
            `invalid` and `unreported`, of the identifiers sent; `unusable_opt_outs`, of the opt-outs; `any` for all
            that was read and did not arrive; `failed` and `unknown`, which always fail. Lower limits are on `read` and
            `sent` (in a dry run: what would be sent). They judge the report and stop nothing.
        allow_empty: whether an upload that sends nothing, because nothing was read or no row was left, is `.ok`.
        deadline: when to end, complete or not: seconds from the moment reading begins, or an aware `datetime`. Then
            no batch starts any more, one that waits for the quota is given up, those in flight get `drain_timeout`,
            and the report has the rest as pending.
        drain_timeout: seconds that batches in flight get to finish when the upload is canceled or its deadline passes.
        dry_run: read, prepare and count, but send nothing.
        on_progress: is called with a `Progress` after every batch and at least some times a second; a plain function,
            since it is not awaited.
        journal: a file, made when there is none, that remembers which batches were acknowledged, so that the same
            upload, started again after it was cut short, sends the others only; it holds no identifier. A directory
            has one for each upload. What is kept beside it, and for how long: docs/journal.md.
        resume: `None` continues an unfinished upload of the last 24 hours unless something else has operated on the
            list since, and starts anew otherwise; `True` continues in any case; `False` never does.
        rejects: a new CSV file, for its owner's eyes only, of where each rejected value stands and why it was rejected.
            A table is then read to its end before the first call.
        rejects_plain: write the rejected values themselves into it, too.

    Raises:
        ConfigurationError: naming the option and what it may be.
    """

    identifier_type: IdentifierType | str | None = None
    hash: HashAlgorithm | str | Unset | None = UNSET
    region: str | None = None
    region_column: str | None = None
    keep_trunk_zero: bool = False
    gum_caller_id: int | None = field(default=None, converter=gum_caller_id_of)
    column: Columns | None = None
    columns: Mapping[IdentifierType | str, Columns] | None = None
    where: str | None = field(default=None, repr=False)  # it may hold an identifier
    hive_partitioning: bool = False
    skip_rows: int | None = field(default=None, converter=skip_rows_of)
    encoding: str | None = field(default=None, converter=encoding_of)
    suppress: Table | Sequence[str] | None = field(default=None, repr=False, converter=opt_outs_of)
    suppress_strict: bool = True
    operation: Operation = field(default=Operation.ADD, converter=_operation)
    dedupe: bool | None = None
    max_concurrency: int = 4
    batch_size: int = MAX_BATCH_SIZE
    max_body_bytes: int = DEFAULT_MAX_BODY_BYTES
    threads: int | None = None
    memory_limit: str = field(default=DEFAULT_MEMORY_LIMIT, converter=check_memory_limit)
    flush_after: float | None = None
    max_rejected: float = 0.5
    max_invalid: float = 0.5
    fail_on: tuple[Policy, ...] = field(default=(), converter=policies_of)
    allow_empty: bool = False
    deadline: float | dt.datetime | None = None
    drain_timeout: float = 0.0
    dry_run: bool = False
    on_progress: Callable[[Progress], object] | None = field(default=None, repr=False)
    journal: Path | None = field(default=None, converter=_journal_path)
    resume: bool | None = None
    rejects: Path | None = field(default=None, converter=_rejects_path)
    rejects_plain: bool = False
    selections: tuple[Selection, ...] = field(init=False, repr=False)

    @selections.default
    def _chosen_selections(self) -> tuple[Selection, ...]:
        return chosen_selections(
            self.identifier_type,
            self.column,
            self.columns,
            self.hash,
            self.region,
            self.region_column,
            keep_trunk_zero=self.keep_trunk_zero,
        )

    @property
    def kinds(self) -> list[IdentifierType]:
        """The kinds of identifier."""
        return [selection.kind for selection in self.selections]

    @property
    def kind(self) -> IdentifierType:
        """The kind of identifier, or the first of several."""
        return self.selections[0].kind

    @property
    def algorithm(self) -> HashAlgorithm | None:
        """How it is hashed."""
        return self.selections[0].algorithm

    def __attrs_post_init__(self) -> None:
        self._check_types()
        hint = "Criteo takes at most 50,000 identifiers a call; an upload makes as many calls as it needs."
        require_range(self.batch_size, "batch_size", least=1, most=MAX_BATCH_SIZE, hint=hint)
        require_range(self.max_concurrency, "max_concurrency", least=1, most=_MOST_IN_FLIGHT)
        require_range(self.max_body_bytes, "max_body_bytes", least=_LEAST_BODY)
        require_range(1 if self.threads is None else self.threads, "threads", least=1, most=_MOST_THREADS)
        require_range(self.max_rejected, "max_rejected", least=0, most=1)
        require_range(self.max_invalid, "max_invalid", least=0, most=1)
        _check_deadline(self.deadline)
        require_range(self.drain_timeout, "drain_timeout", least=0, most=3_600)
        if self.flush_after is not None:
            require_range(self.flush_after, "flush_after", least=0.001, most=86_400)
        if self.where is not None:
            require_unicode(require_text(self.where, "where"), "where")
        if self.gum_caller_id is not None and IdentifierType.GUM not in self.kinds:
            raise ConfigurationError("gum_caller_id goes with identifier_type='gum' only.")
        if self.rejects_plain and self.rejects is None:
            raise ConfigurationError("rejects_plain goes with rejects, which names the file.")
        if self.resume is not None and self.journal is None:
            raise ConfigurationError("resume goes with journal, which names the file.")

    def _check_types(self) -> None:
        for name in ("batch_size", "max_concurrency", "max_body_bytes", "threads"):
            if not isinstance(getattr(self, name), int | None):
                raise ConfigurationError(f"{name} must be a whole number, not {type(getattr(self, name)).__name__}.")
        for name in _SWITCHES:  # "no" would count as true
            value = getattr(self, name)
            if not isinstance(value, bool) and (value is not None or name not in {"dedupe", "resume"}):
                raise ConfigurationError(f"{name} must be True or False, not {type(value).__name__}.")
        if self.on_progress is not None:
            require_plain_function(self.on_progress, "on_progress", "a Progress")

    def seconds_left(self) -> float | None:
        """Returns the seconds until the deadline, for an upload that begins now; `None` without one."""
        if isinstance(self.deadline, dt.datetime):
            return max(0.0, (self.deadline - dt.datetime.now(dt.UTC)).total_seconds())
        return self.deadline


def _check_deadline(deadline: object) -> None:
    """Refuses a deadline that has passed, or that nobody can tell the moment of."""
    if isinstance(deadline, dt.datetime):
        if deadline.utcoffset() is None:
            raise ConfigurationError("deadline must have a time zone: give an aware datetime, or seconds.")
        if deadline <= dt.datetime.now(dt.UTC):
            raise ConfigurationError("deadline has passed already; give a moment that lies ahead.")
    elif deadline is not None:
        if isinstance(deadline, bool) or not isinstance(deadline, (int, float)):
            kind = type(deadline).__name__
            raise ConfigurationError(f"deadline must be seconds or an aware datetime, not {kind}.")
        require_range(deadline, "deadline", least=0.001, most=_LONGEST)
