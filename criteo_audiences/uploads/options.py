"""The options of an upload, checked; among them which kinds of identifier it reads, by which rule, and how hashed."""

import datetime as dt
import inspect
import os
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import attrs
from attrs import field, frozen

from criteo_audiences.batches import DEFAULT_MAX_BODY_BYTES, MAX_BATCH_SIZE, least_size
from criteo_audiences.errors import ConfigurationError
from criteo_audiences.identifiers import Rule, require_numbering_plans, require_region, rule_for
from criteo_audiences.identifiers.preparation import is_missing
from criteo_audiences.journals import state_directory
from criteo_audiences.journals.rows import BatchLedger
from criteo_audiences.models import UNSET, HashAlgorithm, IdentifierType, Operation, Unset
from criteo_audiences.tables import Table
from criteo_audiences.tables.files.paths import ends_as_directory, written_path
from criteo_audiences.tables.table import Selection
from criteo_audiences.uploads.lane import refuse_lookalikes
from criteo_audiences.uploads.policies import Policy, policies_of
from criteo_audiences.uploads.slots import MOST
from criteo_audiences.uploads.summary import Progress
from criteo_audiences.validation import (
    choose,
    encoding_of,
    memory_limit_of,
    no_text,
    require_plain_function,
    require_range,
    require_text,
    require_unicode,
    skip_rows_of,
    threads_of,
)
from criteo_audiences.windows import NEXT_WINDOW, next_window

Columns = str | Sequence[str]


def chosen_selections(
    kind: IdentifierType | str | None,
    column: Columns | None,
    columns: Mapping[IdentifierType | str, Columns] | None,
    algorithm: HashAlgorithm | str | Unset | None,
    region: str | None,
    region_column: str | None = None,
    *,
    keep_trunk_zero: bool = False,
) -> tuple[Selection, ...]:
    """Returns what an upload reads, one entry a kind.

    Raises:
        ConfigurationError: naming the option and what it may be.
    """
    wanted = list(_wanted(kind, column, columns))
    kinds = [kind for kind, _ in wanted]
    given = {"region": region, "region_column": region_column, "keep_trunk_zero": keep_trunk_zero or None}
    options = [option for option, value in given.items() if value is not None]
    if options and IdentifierType.PHONE_NUMBER not in kinds:
        raise ConfigurationError(f"{options[0]} goes with identifier_type='phone_number', not with '{kinds[0].value}'.")
    if region_column is not None:
        require_region_column_fits(kinds)
    rules = {kind: _rule(kind, region, keep_trunk_zero=keep_trunk_zero) for kind in kinds}
    if not isinstance(algorithm, Unset | None) and not any(rule.algorithms for rule in rules.values()):
        _algorithm(kinds[0], rules[kinds[0]], algorithm)
    return tuple(
        Selection(
            kind=kind,
            rule=rules[kind],
            algorithm=_hash_of(kind, rules[kind], algorithm),
            columns=names,
            region_column=region_column if kind is IdentifierType.PHONE_NUMBER else None,
        )
        for kind, names in wanted
    )


def require_region_column_fits(kinds: Iterable[IdentifierType]) -> None:
    """Refuses a column of countries where there are no phone numbers, or their numbering plans are not installed.

    Raises:
        ConfigurationError: when it cannot be used.
    """
    found = list(kinds)
    if IdentifierType.PHONE_NUMBER not in found:
        raise ConfigurationError(
            f"region_column goes with identifier_type='phone_number', not with '{found[0].value}'."
        )
    require_numbering_plans()


def _wanted(
    kind: IdentifierType | str | None, column: Columns | None, columns: Mapping[IdentifierType | str, Columns] | None
) -> Iterator[tuple[IdentifierType, tuple[str, ...]]]:
    if columns is None:
        one = IdentifierType.EMAIL if kind is None else choose(IdentifierType, kind, "identifier_type")
        yield one, () if column is None else _names(column, "column")
        return
    if kind is not None or column is not None:
        raise ConfigurationError("columns says which kinds there are and where: leave out identifier_type and column.")
    if not isinstance(columns, Mapping) or not columns:
        raise ConfigurationError("columns must map at least one kind of identifier to its column or columns.")
    for key, names in columns.items():
        yield choose(IdentifierType, key, "columns"), _names(names, "columns")


def _names(columns: Columns, option: str) -> tuple[str, ...]:
    names = (columns,) if isinstance(columns, str) else tuple(columns) if isinstance(columns, Sequence) else ()
    if not names or not all(isinstance(name, str) and name.strip() for name in names):
        raise ConfigurationError(f"{option} must name a column, or list the names of several.")
    return names


def _rule(kind: IdentifierType, region: str | None, *, keep_trunk_zero: bool) -> Rule:
    if kind is not IdentifierType.PHONE_NUMBER:
        return rule_for(kind)
    return rule_for(kind, region=None if region is None else require_region(region), keep_trunk_zero=keep_trunk_zero)


def _hash_of(kind: IdentifierType, rule: Rule, algorithm: HashAlgorithm | str | Unset | None) -> HashAlgorithm | None:
    """Returns how a kind is hashed; one that Criteo takes as it is needs no choice, and ignores that of the others."""
    if algorithm is None or not rule.algorithms:
        return None
    if isinstance(algorithm, Unset):
        raise ConfigurationError(f"hash must be chosen: {_words(rule)}, or None to send normalized values in clear.")
    return _algorithm(kind, rule, algorithm)


def _algorithm(kind: IdentifierType, rule: Rule, algorithm: HashAlgorithm | str) -> HashAlgorithm:
    chosen = choose(HashAlgorithm, algorithm, "hash")
    if chosen in rule.algorithms:
        return chosen
    taken = f"must be {_words(rule)} or None" if rule.algorithms else "must be left out: Criteo takes them as they are"
    raise ConfigurationError(f"hash of identifier_type='{kind.value}' {taken}, not '{chosen.value}'.")


def _words(rule: Rule) -> str:
    return ", ".join(f"'{word.value}'" for word in HashAlgorithm if word in rule.algorithms)


_LEAST_BODY: Final = 200_000
DEFAULT_MAX_IN_FLIGHT_BYTES: Final = 128_000_000
"""Some 37 full batches of SHA-256 digests."""

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
        if not isinstance(opt_out, str) and not is_missing(opt_out):
            raise TypeError(f"suppress, entry {position:,}: {no_text(opt_out)}")
    return tuple("" if is_missing(opt_out) else opt_out for opt_out in listed)


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


@frozen
class JournalPlace:
    """Where an upload keeps its journal.

    Attributes:
        path: a file; or a directory, in which each upload has a file of its own.
        is_directory: whether it must be a directory, which is made when the upload begins.
    """

    path: Path
    is_directory: bool


def _journal_place(value: object) -> JournalPlace | None:
    """Returns where the journal is; a path that ends with a slash, and the state directory, are directories.

    Raises:
        ConfigurationError: when it is no path, or the directory cannot be made because a file has its name.
    """
    if (path := _path_of(value, "journal")) is None:
        return None
    is_directory = path.is_dir() or ends_as_directory(value) or path == state_directory()
    if is_directory and path.exists() and not path.is_dir():
        raise ConfigurationError("journal names a directory that cannot be made: File exists.")
    return JournalPlace(path, is_directory)


def _ledger_field(_options: object, _field: "attrs.Attribute[Any]", value: object) -> None:
    if value is not None and not all(callable(getattr(value, name, None)) for name in ("find", "note")):
        raise ConfigurationError(
            f"ledger must have find() and note(), as RedisLedger has, not be {type(value).__name__}."
        )


def _operation(value: Operation | str) -> Operation:
    return choose(Operation, value, "operation")


def _policies_of(value: object) -> tuple[Policy, ...]:
    return () if value is None or value == () else policies_of(value)


@frozen(kw_only=True)
class Options:
    """The checked keywords of one upload, with their defaults; `UploadOptions` explains each of them.

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
    max_concurrency: int | None = None
    max_in_flight_bytes: int | None = None
    batch_size: int = MAX_BATCH_SIZE
    max_body_bytes: int = DEFAULT_MAX_BODY_BYTES
    threads: int | None = field(default=None, converter=threads_of)
    memory_limit: str | None = field(default=None, converter=memory_limit_of)
    flush_after: float | None = None
    max_rejected: float = 0.5
    max_invalid: float = 0.5
    fail_on: tuple[Policy, ...] = field(default=(), converter=_policies_of)
    allow_empty: bool = False
    deadline: float | dt.datetime | str | None = None
    drain_timeout: float = 0.0
    dry_run: bool = False
    on_progress: Callable[[Progress], object] | None = field(default=None, repr=False)
    before_call: Callable[[], Awaitable[None]] | None = field(default=None, repr=False)
    journal: JournalPlace | None = field(default=None, converter=_journal_place)
    resume: bool | None = None
    ledger: BatchLedger | None = field(default=None, validator=_ledger_field, repr=False)
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
        require_range(self.max_body_bytes, "max_body_bytes", least=_LEAST_BODY)
        self._check_in_flight()
        for name in ("max_rejected", "max_invalid"):
            require_range(getattr(self, name), name, least=0, most=1, hint="It is a share: 0.05 is 5 %.")
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
        if self.ledger is not None and self.journal is not None:
            raise ConfigurationError(
                "Give journal or ledger, not both: each remembers which batches were acknowledged."
            )
        if self.resume is not None and self.journal is None:
            raise ConfigurationError("resume goes with journal, which names the file.")

    @property
    def most_bytes_in_flight(self) -> int:
        """Bytes of identifiers that may be in flight: never fewer than one batch has."""
        return self.max_in_flight_bytes or max(DEFAULT_MAX_IN_FLIGHT_BYTES, self.max_body_bytes)

    def _check_in_flight(self) -> None:
        """Refuses bounds of what is in flight that let nothing through, or of which one makes the other useless."""
        if self.max_concurrency is not None:
            require_range(self.max_concurrency, "max_concurrency", least=1, most=MOST)
        if self.max_in_flight_bytes is None:
            return
        hint = "A batch alone may have max_body_bytes."
        require_range(self.max_in_flight_bytes, "max_in_flight_bytes", least=self.max_body_bytes, hint=hint)
        least = least_size(self.algorithm) * self.batch_size
        if self.max_concurrency is not None and self.max_concurrency * least > self.max_in_flight_bytes:
            raise ConfigurationError(
                f"max_concurrency={self.max_concurrency} and max_in_flight_bytes={self.max_in_flight_bytes:,} "
                f"contradict each other: so many full batches have {self.max_concurrency * least:,} bytes; drop one."
            )

    def _check_types(self) -> None:
        for name in ("batch_size", "max_concurrency", "max_body_bytes", "max_in_flight_bytes"):
            if not isinstance(getattr(self, name), int | None):
                raise ConfigurationError(f"{name} must be a whole number, not {type(getattr(self, name)).__name__}.")
        for name in _SWITCHES:  # "no" would count as true
            value = getattr(self, name)
            if not isinstance(value, bool) and (value is not None or name not in {"dedupe", "resume"}):
                raise ConfigurationError(f"{name} must be True or False, not {type(value).__name__}.")
        if self.on_progress is not None:
            require_plain_function(self.on_progress, "on_progress", "a Progress, as show does of `with bar() as show:`")
        if self.before_call is not None and not inspect.iscoroutinefunction(self.before_call):
            raise ConfigurationError("before_call must be an async function without arguments.")

    def seconds_left(self) -> float | None:
        """Returns the seconds until the deadline, for an upload that begins now; `None` without one."""
        if isinstance(self.deadline, str | dt.datetime):
            now = dt.datetime.now(dt.UTC)
            end = next_window(now) if isinstance(self.deadline, str) else self.deadline
            return max(0.0, (end - now).total_seconds())
        return self.deadline


def _check_deadline(deadline: object) -> None:
    """Refuses a deadline that has passed, or whose moment is ambiguous."""
    if deadline == NEXT_WINDOW:
        return
    if isinstance(deadline, dt.datetime):
        if deadline.utcoffset() is None:
            raise ConfigurationError("deadline must have a time zone: give an aware datetime, or seconds.")
        if deadline <= dt.datetime.now(dt.UTC):
            raise ConfigurationError("deadline has passed already; give a later one.")
    elif deadline is not None:
        if isinstance(deadline, bool) or not isinstance(deadline, (int, float)):
            kind = type(deadline).__name__.replace("str", "another str")
            raise ConfigurationError(f"deadline must be seconds, an aware datetime or '{NEXT_WINDOW}', not {kind}.")
        require_range(deadline, "deadline", least=0.001, most=_LONGEST)
