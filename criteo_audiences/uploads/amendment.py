"""One amend call of an upload: what it sends, and the outcome for its identifiers."""

from collections.abc import Awaitable, Callable
from typing import Any

from attrs import asdict, field, frozen

from criteo_audiences.batches import Batch
from criteo_audiences.errors import (
    CriteoError,
    InvalidResponseError,
    PartialFailureError,
)
from criteo_audiences.meter import CallMeter, OnEvent
from criteo_audiences.models import ContactListOperation, IdentifierType, Operation, printable_trace_id
from criteo_audiences.rendering import html_table
from criteo_audiences.uploads.summary import batch_rows


@frozen(kw_only=True)
class Destination:
    """The destination of an upload.

    Attributes:
        service: the service's name, such as `retail-media`.
        host: the host of the API.
        application: the id of the application that makes the calls, if it is known.
        segment_id: the contact list.
        window: the quota, as calls and the seconds of their window; `None` if it is not known.
        on_event: called when an upload begins and ends.
    """

    service: str
    host: str
    application: str = field(default="", repr=False)
    segment_id: str
    window: tuple[int, float] | None = None
    on_event: OnEvent | None = field(default=None, eq=False, repr=False)


@frozen(kw_only=True)
class Amendment:
    """One amend call to make.

    Attributes:
        segment_id: the contact list.
        operation: add or remove.
        identifier_type: the kind of identifier.
        batch: what to send.
        gum_caller_id: the caller id that GUM ids need.
        upload_id: the upload's id in events; `None` for a single call.
        meter: counts the call's requests and its wait for the quota.
        before: awaited before each request; an exception that it raises ends the call.
    """

    segment_id: str
    operation: Operation
    identifier_type: IdentifierType
    batch: Batch
    gum_caller_id: int | None = None
    upload_id: str | None = None
    meter: CallMeter | None = field(default=None, repr=False)
    before: Callable[[], Awaitable[None]] | None = field(default=None, repr=False)

    def is_confirmed_by(self, receipt: ContactListOperation) -> bool:
        """Whether a receipt can belong to this call: it names no other operation and no other list.

        The identifier type is not compared, because Criteo's documents show several spellings of it in receipts, some
        of them those of another type.
        """
        named = receipt.contact_list_id
        is_same_list = named is None or named.lstrip("0") == self.segment_id.lstrip("0")
        return is_same_list and receipt.operation in {None, self.operation}

    def labels(self) -> dict[str, Any]:
        """Returns the fields that identify an upload's batch in events; none for a single call."""
        if self.upload_id is None:
            return {}
        return {"upload_id": self.upload_id, "segment_id": self.segment_id, "batch": self.batch.number}


Amend = Callable[[Amendment], Awaitable[ContactListOperation]]
"""Makes an amend call with its retries; an upload's only connection to Criteo."""


@frozen(kw_only=True)
class Outcome:
    """The outcome for the identifiers that were put into calls, in numbers; `sent` is the sum of the others.

    Attributes:
        valid: Criteo accepted them.
        invalid: Criteo refused them.
        unreported: Criteo answered 200, but the counts are missing, do not add up or belong to another call.
        failed: Criteo refused the call and certainly has not applied it.
        unknown: Criteo may or may not have applied the call: there was no answer, or one that a gateway can also give
            (408, 5xx), or one that lists problems. Sending them again does no harm.
    """

    valid: int = 0
    invalid: int = 0
    unreported: int = 0
    failed: int = 0
    unknown: int = 0

    @property
    def sent(self) -> int:
        """Identifiers put into calls."""
        return self.valid + self.invalid + self.unreported + self.failed + self.unknown

    def __add__(self, other: "Outcome") -> "Outcome":
        return Outcome(
            valid=self.valid + other.valid,
            invalid=self.invalid + other.invalid,
            unreported=self.unreported + other.unreported,
            failed=self.failed + other.failed,
            unknown=self.unknown + other.unknown,
        )


@frozen(kw_only=True)
class BatchResult:
    """The result of one batch.

    Attributes:
        number: from 1, in the order of the source.
        kind: the kind of its identifiers.
        sent: identifiers put into calls: all of the batch, or none if no request was made for it.
        outcome: the outcome for them, in counts.
        receipt: Criteo's answer; `None` if an earlier run sent the batch, or if it failed and the answer contains no
            receipt next to the problems.
        error: why it failed; `None` if it did not.
        resumed: whether an earlier run got it acknowledged, so that this run did not send it.
    """

    number: int
    kind: IdentifierType
    sent: int
    outcome: Outcome
    receipt: ContactListOperation | None = None
    error: CriteoError | None = None
    resumed: bool = False

    @property
    def ok(self) -> bool:
        """Whether Criteo accepted the batch and accounted for all its identifiers."""
        return self.error is None and not self.outcome.unreported

    @property
    def valid(self) -> int:
        """Identifiers that Criteo accepted."""
        return self.outcome.valid

    @property
    def invalid(self) -> int:
        """Identifiers that Criteo refused."""
        return self.outcome.invalid

    def to_dict(self) -> dict[str, Any]:
        """Returns JSON-safe values, without an identifier."""
        error = self.error
        return {
            "batch": self.number,
            "identifier_type": self.kind.value,
            "sent": self.sent,
            **asdict(self.outcome),
            "resumed": self.resumed,
            "error": type(error).__name__ if error else None,
            "status": getattr(error, "status", None),
            "codes": [str(problem) for problem in getattr(error, "problems", ())],
            "trace_id": printable_trace_id(getattr(error, "trace_id", None)),
        }

    def _repr_html_(self) -> str:
        failure = [" ".join(str(self.error).split())] if self.error else []
        return html_table(batch_rows(self.to_dict()), caption=f"batch {self.number}", lines=failure)


def result_of(amendment: Amendment, receipt: ContactListOperation) -> BatchResult:
    """Returns the result of a call from its receipt; identifiers that it does not account for are `unreported`."""
    count = amendment.batch.count
    valid, invalid = _accounted(amendment, receipt)
    outcome = Outcome(valid=valid, invalid=invalid, unreported=count - valid - invalid)
    kind = amendment.identifier_type
    return BatchResult(number=amendment.batch.number, kind=kind, sent=count, outcome=outcome, receipt=receipt)


def _accounted(amendment: Amendment, receipt: ContactListOperation) -> tuple[int, int]:
    """Returns how many identifiers a receipt counts as valid and invalid: none if it cannot belong to the call."""
    valid, invalid = receipt.valid, receipt.invalid
    if valid is None or invalid is None or not amendment.is_confirmed_by(receipt):
        return 0, 0
    if min(valid, invalid) < 0 or valid + invalid > amendment.batch.count:
        return 0, 0
    return valid, invalid


def given_up(batch: Batch, meter: CallMeter) -> Outcome:
    """Returns the outcome of a batch after its call was given up: an empty one if no request was made for it."""
    if not meter.calls:
        return Outcome()
    return Outcome(unknown=batch.count) if meter.may_be_applied else Outcome(failed=batch.count)


def failure_of(amendment: Amendment, error: CriteoError, *, carried: bool) -> BatchResult:
    """Describes a batch that failed.

    Args:
        amendment: the call.
        error: why it failed.
        carried: whether a request was made for it; if not (no token, no quota), its identifiers stay pending.
    """
    number, kind, count = amendment.batch.number, amendment.identifier_type, amendment.batch.count
    if not carried:
        return BatchResult(number=number, kind=kind, sent=0, outcome=Outcome(), error=error)
    receipt = error.receipt if isinstance(error, PartialFailureError) else None
    outcome = Outcome(unknown=count) if error.outcome_unknown else Outcome(failed=count)
    if isinstance(receipt, ContactListOperation):
        valid, invalid = _accounted(amendment, receipt)
        outcome = Outcome(valid=valid, invalid=invalid, unknown=count - valid - invalid)
    return BatchResult(number=number, kind=kind, sent=count, outcome=outcome, receipt=receipt, error=error)


def is_hopeless(error: CriteoError | None) -> bool:
    """Returns whether every further batch would fail the same way; if so, the upload stops."""
    return error is not None and error.ends_upload


def ends_upload(batch: Batch, result: BatchResult, max_invalid: float) -> bool:
    """Returns whether every further batch would fail like this one; if so, the upload stops.

    Args:
        batch: the batch.
        result: its result.
        max_invalid: the share of a first full batch that Criteo may refuse, 0 to 1.
    """
    is_no_login = not result.sent and isinstance(result.error, InvalidResponseError)
    mostly_refused = result.invalid > max_invalid * batch.count
    return is_no_login or is_hopeless(result.error) or (batch.number == 1 and batch.full and mostly_refused)
