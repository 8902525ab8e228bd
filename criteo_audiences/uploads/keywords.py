"""The keywords of an upload, typed and explained; `options` checks them."""

import datetime as dt
import os
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Literal, Required, TypedDict

from criteo_audiences.journals.rows import BatchLedger
from criteo_audiences.models import HashAlgorithm, IdentifierType, Operation
from criteo_audiences.tables import Table
from criteo_audiences.tables.table import FilePath
from criteo_audiences.uploads.lane import ArrowStream
from criteo_audiences.uploads.options import Columns
from criteo_audiences.uploads.summary import Progress


class OtherOptions(TypedDict, total=False):
    """The keywords of `upload_contact_list` and `stream_contact_list`, and in this class those that concern every kind.

    Each may be left out, but for `hash`, which must be chosen for e-mails and phone numbers.

    Attributes:
        identifier_type: kind of identifier, such as `phone_number` (default: `email`); Marketing Solutions takes phone
            numbers of advertisers in India only.
        hash: how to hash e-mails and phone numbers, for which it must be chosen; `None` sends them in clear. One of
            `sha256`, `md5` and `sha256_of_md5`. Clear text matches best; a hash keeps addresses secret on the way.
            Phone numbers have SHA-256 only; other kinds are never hashed.
        region: country of phone numbers without a country code, such as `IN` or `India`. It needs the extra `phone`.
            Without it such numbers are rejected.
        region_column: column with the country of each row's phone number, as a code or a name. `region` is used where
            the cell is empty; a country that is not understood rejects the row's national number
            (docs/reference/identifiers.md).
        keep_trunk_zero: keep the zero of `+91 (0)98123 45678`, as the formula in Criteo's guide does. E.164 has none
            (docs/reference/identifiers.md).
        gum_caller_id: the caller id that GUM ids of Marketing Solutions need; your account team at Criteo has it.
        column: column with the identifiers, or a list of several (default: detected). Several hold one kind; all
            columns of a name that occurs twice are read.
        columns: columns of several kinds, each with its column or columns; replaces `identifier_type` and `column`.
            A mapping such as `{"email": "Email", "phone_number": ["Home", "Cell"]}`.
        where: read only the rows that meet this condition in SQL, such as `consent = 'yes'`. Columns of text files are
            text.
        hive_partitioning: turn directories named `column=value` into columns of the Parquet files in them. The columns
            are text, and none may be named like one of the files' own. Otherwise such a name is only a name.
        skip_rows: lines to skip above the header of a text file, such as a report's title.
        encoding: encoding of a text file, such as `cp1251` (default: detected).
        suppress: opt-outs, in clear or hashed, which are never sent: a file, a table or values. A value is left out
            whatever form either is written in. With several kinds, they are of the first.
        suppress_strict: refuse to start when an opt-out is invalid, or when the file has none. Blank ones are passed
            over. `False` goes on without them: the report has `opt_outs` and `unusable_opt_outs`.
        operation: whether to `add` to the list or to `remove` from it.
        dedupe: send each identifier once (default: on for tables, off for values). A table is then read to its end
            before the first call. For values it takes some 16 bytes of memory per identifier.
        max_concurrency: batches in flight at the same time (default: what the quota can use). It follows the quota, the
            round trips and `max_in_flight_bytes`, and backs off from a server that slows down or fails
            (docs/explanation/performance.md). A number is kept to instead.
        max_in_flight_bytes: bytes of identifiers in flight at the same time (default: 128,000,000). That is some 37
            full batches of SHA-256 digests, and bounds the upload's memory.
        batch_size: identifiers per batch, at most 50,000. That is Criteo's bound.
        max_body_bytes: bytes of identifiers per batch.
        threads: threads that read and prepare a table (default: all cores but one, which the event loop keeps).
        memory_limit: memory for preparing a table, such as `2GB` (default: `512MB`); beyond it, the disk is used.
        flush_after: seconds after which an incomplete batch of values goes out, for a source that trickles. `None`
            waits for a full one or the source's end.
        max_rejected: share of the rows that may be rejected, 0 to 1. Beyond it the report is not `.ok`.
        max_invalid: share of the identifiers that Criteo may refuse, 0 to 1. Beyond it the report is not `.ok`; a
            first full batch beyond it also stops the upload, because the rest would fail the same way.
        fail_on: further limits, of which the strictest wins: `rejected>1%`, `sent<1000` or `any`. Several stand with
            commas between them or in a list. A bare word allows none: `any` is `any>0`. Upper limits are on `rejected`
            (or `rejected.no_at_sign` for a reason), `duplicates` and `suppressed`, whose shares are of the rows read;
            `invalid` and `unreported`, of the identifiers sent; `unusable_opt_outs`, of the opt-outs; `any` for all
            that was read and did not arrive; `failed` and `unknown`, which always fail. Lower limits are on `read` and
            `sent` (in a dry run: what would be sent). They judge the report only (docs/reference/policies.md).
        allow_empty: do not fail when there is nothing to send. That is: nothing was read, or no row was left.
        deadline: seconds after which nothing more is sent, an aware `datetime`, or `next-window`. Then no batch is
            started, one that waits for the quota is given up, those in flight get `drain_timeout`, and the report has
            the rest as pending. `next-window` is Criteo's next computation, at 0h or 12h UTC: the source is counted
            first, and what cannot be sent before then by the quota is refused before anything is sent
            (docs/explanation/windows.md).
        drain_timeout: seconds that batches in flight get when the upload is canceled or its deadline passes.
        dry_run: read, clean and count, but send nothing.
        on_progress: plain function that is called with a `Progress` after every batch and several times a second.
        before_call: async function that is awaited before each call of a batch, once the quota lets it through. What it
            raises ends the upload before that call, such as when another worker operates on the list.
        journal: journal file, or directory of journals (default: none), so that an upload can be resumed. It remembers
            which batches were acknowledged, so that the same upload, started again, sends only the others; it holds no
            identifier. What is kept, and for how long: docs/explanation/journal.md.
        resume: whether to finish an unfinished upload of the journal (default: if it is recent and safe). That is: its
            last batch is less than 24 hours old, and nothing else has operated on the list since. `True` finishes it
            in any case, `False` starts over.
        ledger: remembers outside of this machine which batches were acknowledged, so that a retry on another one
            sends only the others. Such as a `RedisLedger`; it goes without `journal`.
        rejects: new CSV file that says where each rejected value is, and why. Only its owner can read it. A table is
            then read to its end before the first call.
        rejects_plain: also write the rejected values themselves to the `rejects` file.
    """

    region: str | None
    region_column: str | None
    keep_trunk_zero: bool
    gum_caller_id: int | str | None
    column: Columns | None
    where: str | None
    hive_partitioning: bool
    skip_rows: int | None
    encoding: str | None
    suppress: Iterable[str] | os.PathLike[str] | Table | ArrowStream | None
    suppress_strict: bool
    operation: Operation | Literal["add", "remove"]
    dedupe: bool | None
    max_concurrency: int | None
    max_in_flight_bytes: int | None
    batch_size: int
    max_body_bytes: int
    threads: int | None
    memory_limit: str | None
    flush_after: float | None
    max_rejected: float
    max_invalid: float
    fail_on: str | Sequence[str]
    allow_empty: bool
    deadline: float | dt.datetime | Literal["next-window"] | None
    drain_timeout: float
    dry_run: bool
    on_progress: Callable[[Progress], object] | None
    before_call: Callable[[], Awaitable[None]] | None
    journal: FilePath | None
    resume: bool | None
    ledger: BatchLedger | None
    rejects: FilePath | None
    rejects_plain: bool


Hash = HashAlgorithm | Literal["sha256", "md5", "sha256_of_md5"]

NeverHashed = Literal[
    "madid",
    "identity_link",
    "gum",
    "customer_id",
    "user_identifier",
    "bidswitch_id",
    "ftrack_id",
    "panorama_id",
    "hadron_id",
    "ip_address_v4",
    "page_url",
    "page_domain",
    "app_id",
    IdentifierType.MADID,
    IdentifierType.IDENTITY_LINK,
    IdentifierType.GUM,
    IdentifierType.CUSTOMER_ID,
    IdentifierType.USER_IDENTIFIER,
    IdentifierType.BIDSWITCH_ID,
    IdentifierType.FTRACK_ID,
    IdentifierType.PANORAMA_ID,
    IdentifierType.HADRON_ID,
    IdentifierType.IP_ADDRESS_V4,
    IdentifierType.PAGE_URL,
    IdentifierType.PAGE_DOMAIN,
    IdentifierType.APP_ID,
]
"""The kinds of identifier that are never hashed."""


class UploadOptions(OtherOptions, total=False):
    """All of them, whatever the kind of identifier."""

    identifier_type: IdentifierType | str | None
    hash: Hash | None
    columns: Mapping[IdentifierType | str, Columns] | None


UploadOptions.__doc__ = OtherOptions.__doc__


class HashedUpload(OtherOptions, total=False):
    """The keywords of an upload of e-mails, phone numbers or several kinds, for which `hash` must be chosen."""

    identifier_type: IdentifierType | str | None
    hash: Required[Hash | None]
    columns: Mapping[IdentifierType | str, Columns] | None


class PlainUpload(OtherOptions, total=False):
    """The keywords of an upload of a kind that is never hashed."""

    identifier_type: Required[NeverHashed]
