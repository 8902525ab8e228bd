"""Push customer lists into Criteo audiences, asynchronously. Unofficial, not affiliated with Criteo."""

import importlib
from typing import TYPE_CHECKING

from criteo_audiences.errors import (
    ApiVersionGoneError,
    AuthenticationError,
    ConfigurationError,
    ConnectError,
    CriteoError,
    InvalidIdentifierError,
    InvalidRequestError,
    InvalidResponseError,
    JournalError,
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
    SourceChangedError,
    TransportError,
    UploadFailedError,
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
from criteo_audiences.results import BulkResult, Page, Search
from criteo_audiences.version import __version__

if TYPE_CHECKING:  # what not every program needs, imported on first use: an import is waited for at every start
    from criteo_audiences.algebra import Segment
    from criteo_audiences.client import CriteoClient
    from criteo_audiences.identifiers import hash_email, hash_phone, normalize_email, normalize_phone
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
        Outcome,
        Policy,
        Progress,
        SourceRow,
        UploadOptions,
        UploadReport,
        UploadStream,
        Verdict,
    )
else:
    _HOMES = {
        "AuthorizationCode": "session.consent",
        "BatchResult": "uploads",
        "ClientCredentials": "session",
        "CriteoClient": "client",
        "Event": "session",
        "Outcome": "uploads",
        "Policy": "uploads",
        "Progress": "uploads",
        "Quota": "session",
        "RateLimiter": "session",
        "RefreshToken": "session.consent",
        "RetryPolicy": "session",
        "Segment": "algebra",
        "SourceRow": "uploads",
        "StaticToken": "session",
        "Table": "tables",
        "TokenSource": "session",
        "UploadOptions": "uploads",
        "UploadReport": "uploads",
        "UploadStream": "uploads",
        "Verdict": "uploads",
        "hash_email": "identifiers",
        "hash_phone": "identifiers",
        "normalize_email": "identifiers",
        "normalize_phone": "identifiers",
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
    "BatchResult",
    "BulkResult",
    "ClientCredentials",
    "ConfigurationError",
    "ConnectError",
    "ContactListOperation",
    "ContactListStatistics",
    "CriteoClient",
    "CriteoError",
    "Event",
    "HashAlgorithm",
    "IdentifierType",
    "InvalidIdentifierError",
    "InvalidRequestError",
    "InvalidResponseError",
    "JournalError",
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
    "SourceChangedError",
    "SourceRow",
    "StaticToken",
    "Table",
    "TokenSource",
    "TransportError",
    "UploadFailedError",
    "UploadOptions",
    "UploadReport",
    "UploadStream",
    "Verdict",
    "__version__",
    "hash_email",
    "hash_phone",
    "normalize_email",
    "normalize_phone",
]
