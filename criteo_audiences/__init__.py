"""Push customer lists into Criteo audiences, asynchronously. Unofficial, not affiliated with Criteo."""

import importlib
from typing import TYPE_CHECKING

from criteo_audiences.errors import (
    ApiVersionGoneError,
    AuthenticationError,
    ConfigurationError,
    ConnectError,
    CriteoError,
    ErasureFailedError,
    InvalidIdentifierError,
    InvalidRequestError,
    InvalidResponseError,
    JournalError,
    MirrorRefusedError,
    NotFoundError,
    PartialFailureError,
    PayloadTooLargeError,
    PermissionDeniedError,
    QuotaWaitError,
    RateLimitExceeded,
    RequestTimeout,
    ResponseError,
    SegmentMismatchError,
    ServerError,
    SnapshotError,
    SourceChangedError,
    TransportError,
    UploadFailedError,
    WindowMissedError,
)
from criteo_audiences.models import (
    UNSET,
    Application,
    ContactListOperation,
    ContactListStatistics,
    HashAlgorithm,
    IdentifierType,
    Operation,
    Problem,
    ProblemType,
    RateLimit,
)
from criteo_audiences.results import BulkResult, ItemFailure, Page
from criteo_audiences.session.endpoints import Search
from criteo_audiences.version import __version__

if TYPE_CHECKING:  # what not every program needs, imported on first use: an import is waited for at every start
    from criteo_audiences.algebra import Segment
    from criteo_audiences.client import CriteoClient
    from criteo_audiences.erasure import (
        ErasedIdentifier,
        ErasureReceipt,
        ErasureState,
        FileErasure,
        ListErasure,
        ServiceErasure,
    )
    from criteo_audiences.identifiers import hash_email, hash_phone, normalize_email, normalize_phone
    from criteo_audiences.jobs import UploadJob, run_upload_job, run_upload_job_blocking
    from criteo_audiences.mirrors import Baseline, MirrorOptions, MirrorReport
    from criteo_audiences.session import (
        ClientCredentials,
        Event,
        Quota,
        RateLimiter,
        RetryPolicy,
        StaticToken,
        TokenSource,
    )
    from criteo_audiences.session.consent import AuthorizationCode, RefreshToken
    from criteo_audiences.tables import Table
    from criteo_audiences.uploads import (
        BatchResult,
        LimitedBy,
        Outcome,
        Policy,
        Progress,
        SourceRow,
        UploadOptions,
        UploadReport,
        UploadStream,
        Verdict,
    )
    from criteo_audiences.uploads.timing import live_from, next_window
else:
    _HOMES = {
        "AuthorizationCode": "session.consent",
        "Baseline": "mirrors",
        "BatchResult": "uploads",
        "ClientCredentials": "session",
        "CriteoClient": "client",
        "ErasedIdentifier": "erasure",
        "ErasureReceipt": "erasure",
        "ErasureState": "erasure",
        "Event": "session",
        "FileErasure": "erasure",
        "LimitedBy": "uploads",
        "ListErasure": "erasure",
        "MirrorOptions": "mirrors",
        "MirrorReport": "mirrors",
        "Outcome": "uploads",
        "Policy": "uploads",
        "Progress": "uploads",
        "Quota": "session",
        "RateLimiter": "session",
        "RefreshToken": "session.consent",
        "RetryPolicy": "session",
        "Segment": "algebra",
        "ServiceErasure": "erasure",
        "SourceRow": "uploads",
        "StaticToken": "session",
        "Table": "tables",
        "TokenSource": "session",
        "UploadJob": "jobs",
        "UploadOptions": "uploads",
        "UploadReport": "uploads",
        "UploadStream": "uploads",
        "Verdict": "uploads",
        "hash_email": "identifiers",
        "hash_phone": "identifiers",
        "live_from": "uploads.timing",
        "next_window": "uploads.timing",
        "normalize_email": "identifiers",
        "normalize_phone": "identifiers",
        "run_upload_job": "jobs",
        "run_upload_job_blocking": "jobs",
    }

    def __getattr__(name: str) -> object:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
        return value

    def __dir__() -> list[str]:
        return __all__


__all__ = [
    "UNSET",
    "ApiVersionGoneError",
    "Application",
    "AuthenticationError",
    "AuthorizationCode",
    "Baseline",
    "BatchResult",
    "BulkResult",
    "ClientCredentials",
    "ConfigurationError",
    "ConnectError",
    "ContactListOperation",
    "ContactListStatistics",
    "CriteoClient",
    "CriteoError",
    "ErasedIdentifier",
    "ErasureFailedError",
    "ErasureReceipt",
    "ErasureState",
    "Event",
    "FileErasure",
    "HashAlgorithm",
    "IdentifierType",
    "InvalidIdentifierError",
    "InvalidRequestError",
    "InvalidResponseError",
    "ItemFailure",
    "JournalError",
    "LimitedBy",
    "ListErasure",
    "MirrorOptions",
    "MirrorRefusedError",
    "MirrorReport",
    "NotFoundError",
    "Operation",
    "Outcome",
    "Page",
    "PartialFailureError",
    "PayloadTooLargeError",
    "PermissionDeniedError",
    "Policy",
    "Problem",
    "ProblemType",
    "Progress",
    "Quota",
    "QuotaWaitError",
    "RateLimit",
    "RateLimitExceeded",
    "RateLimiter",
    "RefreshToken",
    "RequestTimeout",
    "ResponseError",
    "RetryPolicy",
    "Search",
    "Segment",
    "SegmentMismatchError",
    "ServerError",
    "ServiceErasure",
    "SnapshotError",
    "SourceChangedError",
    "SourceRow",
    "StaticToken",
    "Table",
    "TokenSource",
    "TransportError",
    "UploadFailedError",
    "UploadJob",
    "UploadOptions",
    "UploadReport",
    "UploadStream",
    "Verdict",
    "WindowMissedError",
    "__version__",
    "hash_email",
    "hash_phone",
    "live_from",
    "next_window",
    "normalize_email",
    "normalize_phone",
    "run_upload_job",
    "run_upload_job_blocking",
]
