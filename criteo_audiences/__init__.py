"""Push customer lists into Criteo audiences, asynchronously. Unofficial, not affiliated with Criteo."""

from criteo_audiences.audiences import Segment
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
    ServerError,
    SyncRefusedError,
    TransportError,
    UploadFailedError,
)
from criteo_audiences.identifiers import hash_email, normalize_email
from criteo_audiences.models import HashAlgorithm, IdentifierType, Operation, Problem
from criteo_audiences.results import BulkResult
from criteo_audiences.session import (
    AuthorizationCode,
    ClientCredentials,
    Quota,
    RateLimiter,
    RefreshToken,
    RetryPolicy,
    StaticToken,
    TokenSource,
)
from criteo_audiences.tables import Table
from criteo_audiences.uploads import BatchResult, Progress, UploadReport
from criteo_audiences.version import __version__

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
    "ServerError",
    "StaticToken",
    "SyncRefusedError",
    "Table",
    "TokenSource",
    "TransportError",
    "UploadFailedError",
    "UploadReport",
    "__version__",
    "hash_email",
    "normalize_email",
]
