"""Push customer lists into Criteo audiences, asynchronously. Unofficial, not affiliated with Criteo."""

import importlib
from typing import TYPE_CHECKING

from criteo_audiences.client import CriteoClient
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
    SyncRefusedError,
    TransportError,
    UploadFailedError,
)
from criteo_audiences.models import HashAlgorithm, IdentifierType, Operation, Problem
from criteo_audiences.results import BulkResult
from criteo_audiences.session import (
    ClientCredentials,
    Quota,
    RateLimiter,
    RetryPolicy,
    StaticToken,
    TokenSource,
)
from criteo_audiences.version import __version__

if TYPE_CHECKING:  # what only uploads and audiences need, imported on first use: an import is waited for at every start
    from criteo_audiences.audiences import Segment
    from criteo_audiences.identifiers import hash_email, hash_phone, normalize_email, normalize_phone
    from criteo_audiences.session.consent import AuthorizationCode, RefreshToken
    from criteo_audiences.tables import Table
    from criteo_audiences.uploads import BatchResult, Progress, UploadReport
else:
    _HOMES = {
        "AuthorizationCode": "session.consent",
        "BatchResult": "uploads",
        "Progress": "uploads",
        "RefreshToken": "session.consent",
        "Segment": "audiences",
        "Table": "tables",
        "UploadReport": "uploads",
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
    "ApiVersionGoneError",
    "AuthenticationError",
    "AuthorizationCode",
    "BatchResult",
    "BulkResult",
    "ClientCredentials",
    "ConfigurationError",
    "ConnectError",
    "CriteoClient",
    "CriteoError",
    "HashAlgorithm",
    "IdentifierType",
    "InvalidIdentifierError",
    "InvalidRequestError",
    "InvalidResponseError",
    "JournalError",
    "NotFoundError",
    "Operation",
    "PartialFailureError",
    "PayloadTooLargeError",
    "PermissionDeniedError",
    "Problem",
    "Progress",
    "Quota",
    "QuotaWaitError",
    "RateLimitExceeded",
    "RateLimiter",
    "RefreshToken",
    "RequestTimeout",
    "ResponseError",
    "RetryPolicy",
    "Segment",
    "SegmentMismatchError",
    "ServerError",
    "SourceChangedError",
    "StaticToken",
    "SyncRefusedError",
    "Table",
    "TokenSource",
    "TransportError",
    "UploadFailedError",
    "UploadReport",
    "__version__",
    "hash_email",
    "hash_phone",
    "normalize_email",
    "normalize_phone",
]
