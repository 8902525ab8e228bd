"""What a caller may choose about an upload, checked before anything is read or sent."""

import datetime as dt
from collections.abc import Callable
from typing import Final, TypedDict

from attrs import field, frozen

from criteo_audiences.batches import DEFAULT_MAX_BODY_BYTES, MAX_BATCH_SIZE
from criteo_audiences.errors import ConfigurationError
from criteo_audiences.identifiers import Rule, require_region, rule_for
from criteo_audiences.models import UNSET, HashAlgorithm, IdentifierType, Operation, Unset
from criteo_audiences.uploads.report import Progress
from criteo_audiences.validation import choose, require_range

_LEAST_BODY: Final = 200_000
_MOST_IN_FLIGHT: Final = 100
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


def _operation(value: Operation | str) -> Operation:
    return choose(Operation, value, "operation")


class UploadOptions(TypedDict, total=False):
    """The keywords of `upload_contact_list` and `stream_contact_list`; `Settings` says what each means."""

    identifier_type: IdentifierType | str | None
    hash: HashAlgorithm | str | None
    region: str | None
    gum_caller_id: int | str | None
    column: str | None
    operation: Operation | str
    dedupe: bool | None
    max_concurrency: int
    batch_size: int
    max_body_bytes: int
    flush_after: float | None
    max_rejected: float
    max_invalid: float
    deadline: float | dt.datetime | None
    drain_timeout: float
    dry_run: bool
    on_progress: Callable[[Progress], object] | None


@frozen(kw_only=True)
class Settings:
    """The choices of one upload.

    Attributes:
        identifier_type: the kind of identifier; e-mail when left out.
        hash: `"sha256"`, `"md5"`, `"sha256_of_md5"`, or `None` to send normalized values in clear. It must be chosen
            for e-mails and phone numbers: clear text matches best, a hash shows nobody an address on the way. Phone
            numbers have SHA-256 only; other kinds are never hashed.
        region: where phone numbers without a country code are dialed, such as `"FR"`; needs the extra `phone`.
            Without it such numbers are rejected.
        gum_caller_id: goes with GUM ids in Marketing Solutions, from Criteo's account team.
        column: the column of a file.
        operation: `"add"` or `"remove"`.
        dedupe: send each identifier once. `None`: on for files, off for iterables, where it costs some 16 bytes of
            memory an identifier.
        max_concurrency: batches in flight at the same time.
        batch_size: identifiers a batch, at most 50,000 (Criteo's bound).
        max_body_bytes: bytes of identifiers a batch.
        flush_after: seconds after which an incomplete batch goes out, for a source that trickles; `None` waits for
            a full one or the source's end.
        max_rejected: share of the rows read that may be rejected before the report is not `.ok`, 0 to 1.
        max_invalid: share of the identifiers sent that Criteo may refuse, 0 to 1; a first full batch beyond it also
            stops the upload, because the rest would fare the same.
        deadline: when to end, complete or not: seconds from the moment reading begins, or an aware `datetime`. Then
            no batch starts any more, one that waits for the quota is given up, those in flight get `drain_timeout`,
            and the report has the rest as pending.
        drain_timeout: seconds that batches in flight get to finish when the upload is canceled or its deadline passes.
        dry_run: read, prepare and count, but send nothing.
        on_progress: is called with a `Progress` after every batch and at least some times a second.

    Raises:
        ConfigurationError: naming the option and what it may be.
    """

    identifier_type: IdentifierType | str | None = None
    hash: HashAlgorithm | str | Unset | None = UNSET
    region: str | None = None
    gum_caller_id: int | None = field(default=None, converter=gum_caller_id_of)
    column: str | None = None
    operation: Operation = field(default=Operation.ADD, converter=_operation)
    dedupe: bool | None = None
    max_concurrency: int = 4
    batch_size: int = MAX_BATCH_SIZE
    max_body_bytes: int = DEFAULT_MAX_BODY_BYTES
    flush_after: float | None = None
    max_rejected: float = 0.5
    max_invalid: float = 0.5
    deadline: float | dt.datetime | None = None
    drain_timeout: float = 0.0
    dry_run: bool = False
    on_progress: Callable[[Progress], object] | None = field(default=None, repr=False)
    kind: IdentifierType = field(init=False)
    rule: Rule = field(init=False, repr=False)
    algorithm: HashAlgorithm | None = field(init=False)

    @kind.default
    def _chosen_kind(self) -> IdentifierType:
        if self.identifier_type is None:
            return IdentifierType.EMAIL
        return choose(IdentifierType, self.identifier_type, "identifier_type")

    @rule.default
    def _chosen_rule(self) -> Rule:
        if self.region is None:
            return rule_for(self.kind)
        if self.kind is not IdentifierType.PHONE_NUMBER:
            raise ConfigurationError(f"region goes with identifier_type='phone_number', not with '{self.kind.value}'.")
        return rule_for(self.kind, region=require_region(self.region))

    @algorithm.default
    def _chosen_algorithm(self) -> HashAlgorithm | None:
        allowed = self.rule.algorithms
        if self.hash is None or (isinstance(self.hash, Unset) and not allowed):
            return None
        words = ", ".join(f"'{word.value}'" for word in HashAlgorithm if word in allowed)
        if isinstance(self.hash, Unset):
            raise ConfigurationError(f"hash must be chosen: {words}, or None to send normalized values in clear.")
        algorithm = choose(HashAlgorithm, self.hash, "hash")
        if algorithm not in allowed:
            taken = f"must be {words} or None" if allowed else "must be left out: Criteo takes them as they are"
            raise ConfigurationError(f"hash of identifier_type='{self.kind.value}' {taken}, not '{algorithm.value}'.")
        return algorithm

    def __attrs_post_init__(self) -> None:
        for name in ("batch_size", "max_concurrency", "max_body_bytes"):
            if not isinstance(getattr(self, name), int):
                raise ConfigurationError(f"{name} must be a whole number, not {type(getattr(self, name)).__name__}.")
        for name, value in (("dry_run", self.dry_run), ("dedupe", self.dedupe)):  # "no" would count as true
            if not isinstance(value, bool) and (value is not None or name == "dry_run"):
                raise ConfigurationError(f"{name} must be True or False, not {type(value).__name__}.")
        hint = "Criteo takes at most 50,000 identifiers a call; an upload makes as many calls as it needs."
        require_range(self.batch_size, "batch_size", least=1, most=MAX_BATCH_SIZE, hint=hint)
        require_range(self.max_concurrency, "max_concurrency", least=1, most=_MOST_IN_FLIGHT)
        require_range(self.max_body_bytes, "max_body_bytes", least=_LEAST_BODY)
        require_range(self.max_rejected, "max_rejected", least=0, most=1)
        require_range(self.max_invalid, "max_invalid", least=0, most=1)
        _check_deadline(self.deadline)
        require_range(self.drain_timeout, "drain_timeout", least=0, most=3_600)
        if self.flush_after is not None:
            require_range(self.flush_after, "flush_after", least=0.001, most=86_400)
        if self.gum_caller_id is not None and self.kind is not IdentifierType.GUM:
            raise ConfigurationError("gum_caller_id goes with identifier_type='gum' only.")
        if self.on_progress is not None and not callable(self.on_progress):
            raise ConfigurationError(f"on_progress must be callable, not {type(self.on_progress).__name__}.")

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
