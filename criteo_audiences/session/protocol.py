"""Criteo's HTTP conventions, without I/O: builds calls, interprets answers, and warns of API versions that end."""

import codecs
import contextlib
import datetime as dt
import logging
import re
import warnings
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import quote, urlencode

import orjson
from attrs import field, frozen

from criteo_audiences.errors import (
    ApiVersionGoneError,
    AuthenticationError,
    ConfigurationError,
    InvalidRequestError,
    InvalidResponseError,
    NotFoundError,
    PayloadTooLargeError,
    PermissionDeniedError,
    RateLimitExceeded,
    ResponseError,
    ServerError,
    describe,
)
from criteo_audiences.meter import CallEnd, CallMeter
from criteo_audiences.models import Problem, ProblemType, RateLimit
from criteo_audiences.session.echoes import IDENTIFIERS, Echoes
from criteo_audiences.session.quota import MOST_CALLS
from criteo_audiences.session.values import MOST_OF_A_SINGLE_CALL, MOST_PROBLEMS, read_problems

MOST_OF_ONE: Final = 2 * 1024 * 1024
"""Most bytes in the answer to a call with a single result: a receipt may show 5,000 of the longest addresses."""
MOST_OF_MANY: Final = 8 * 1024 * 1024
"""Most bytes in the answer to a bulk call or a search: a page of 500 segments leaves 16 kB for each."""
_SMALL: Final = 16 * 1024
_SMALL_WITH_PROBLEMS: Final = 2 * 1024
"""Lower for an answer with problems: comparing one text, in every encoding, with what was sent takes a millisecond."""
_SMALL_CALL: Final = 8 * 1024
_PROBLEM_MARKS: Final = (b'"err', b'"warn', b"\\")
"""An answer without any of these lists no problems; the backslash is there because a key may contain escapes."""
_NO_PROBLEMS: Final = re.compile(rb'"(?:errors|warnings)"\s*:\s*(?:\[\s*\]|null)')
"""Matches a list without problems; nearly every answer has both lists, empty."""
_MOST_VALUES: Final = 150_000
"""Most values in an answer: decoding each takes a fraction of a microsecond, and nothing else runs meanwhile."""
JSON: Final = "application/json"
FORM: Final = "application/x-www-form-urlencoded"

_ERRORS: Final[Mapping[int, type[ResponseError]]] = {
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    410: ApiVersionGoneError,
    413: PayloadTooLargeError,
}
_SERVER_ERROR = 500
_WITHOUT_CONTENT: Final = frozenset({201, 204, 205})
_DIGITS = re.compile(r"[0-9]{1,15}(?:\.[0-9]{1,9})?")
_LONGEST_WAIT: Final = 3600.0
_CLOCKS_AGREE: Final = 2.0


@frozen(kw_only=True)
class Request:
    """One call, before the session gives it a version, a token and a slot of the quota.

    Attributes:
        method: the HTTP method.
        path: a template below the API version, such as `/marketing-solutions/audience-segments/{segment_id}/...`.
        path_parameters: values for the template, unquoted; `target` quotes them.
        query: query parameters; a parameter with several values is repeated.
        body: the encoded body in pieces, so that a large body is never sent in one step.
        content_type: of the body.
        repeatable: whether a repeat after a lost answer does no harm; the call's meaning decides, not its HTTP method.
        versioned: whether the path lies below the API version.
        authorized: whether the call needs a token and uses quota; only the token call itself does not.
        most_bytes: the maximum size of its answer.
        background: whether single calls get a slot of the quota first; set for an upload's batches.
        labels: fields that identify an upload's batch in events: `upload_id`, `segment_id`, `batch`.
        meter: counts the requests and the quota waits, or `None`.
        before: a function awaited before each request, while a slot of the quota is held; its exception ends the call.
    """

    method: str
    path: str
    path_parameters: Mapping[str, str] = field(factory=dict)
    query: Mapping[str, str | Sequence[str]] = field(factory=dict)
    body: Sequence[bytes | memoryview] = field(default=(), repr=False)
    content_type: str = JSON
    repeatable: bool = True
    versioned: bool = True
    authorized: bool = True
    most_bytes: int = MOST_OF_ONE
    background: bool = False
    labels: Mapping[str, Any] = field(factory=dict)
    meter: CallMeter | None = field(default=None, repr=False)
    before: Callable[[], Awaitable[None]] | None = field(default=None, repr=False)

    @property
    def has_identifiers(self) -> bool:
        """Whether the call or its answer may contain identifiers of people, or a secret."""
        return not self.authorized or "contact-list" in self.path or IDENTIFIERS in b"".join(self.body[:1])

    @property
    def most_problems(self) -> int:
        """The most problems that are read from its answer."""
        return MOST_PROBLEMS if self.most_bytes > MOST_OF_ONE else MOST_OF_A_SINGLE_CALL

    def waiting(self) -> AbstractContextManager[None]:
        """Returns a context that measures the wait for the quota inside it, if there is a meter."""
        return self.meter.waiting() if self.meter is not None else nullcontext()

    def count_end(self, end: CallEnd) -> None:
        """Counts the end of a request, if there is a meter."""
        if self.meter is not None:
            self.meter.count_end(end)

    def target(self, api_version: str) -> str:
        """Returns the path and query to request."""
        path = self.path.format_map({name: _quoted(value, name) for name, value in self.path_parameters.items()})
        prefix = f"/{api_version}" if self.versioned else ""
        return prefix + path + (f"?{urlencode(self.query, doseq=True)}" if self.query else "")


def _quoted(value: str, name: str) -> str:
    """Quotes a path parameter; refuses `.` and `..`, which would change the path even when they are quoted."""
    if value in {".", ".."}:
        raise ConfigurationError(f"{name} is no id.")
    try:
        return quote(value, safe="")
    except UnicodeEncodeError:  # half of a surrogate pair, as from a byte of the command line that is not UTF-8
        unusable = ConfigurationError(f"{name} is no id: a character of it is no Unicode.")
    raise unusable


def json_request(method: str, path: str, payload: object, **options: Any) -> Request:
    """Builds a call whose body is a small JSON document.

    Raises:
        ConfigurationError: when JSON cannot represent the payload; the message never shows it.
    """
    try:
        body = orjson.dumps(payload)
    except orjson.JSONEncodeError:
        raise ConfigurationError(
            "The call cannot be written as JSON: a text in it is no Unicode (it has half of a surrogate pair), or the "
            "algebra is nested more than 200 levels deep."
        ) from None
    return Request(method=method, path=path, body=(body,), **options)


@frozen(kw_only=True)
class Response:
    """An answer as it was received, read completely within a size limit.

    Attributes:
        status: the HTTP status.
        headers: names in lower case.
        body: the bytes, decompressed.
        received_at: when it arrived, epoch seconds by this machine's clock.
    """

    status: int
    headers: Mapping[str, str] = field(factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)
    received_at: float = 0.0


def decipher(response: Response, request: Request | None = None, secrets: Collection[str] = ()) -> Any:
    """Returns an answer's JSON document, with the texts marked that may be shown; `None` for a status without content.

    A 200 without a body is read as an empty document, which confirms no item.

    Args:
        response: the answer.
        request: what it answers.
        secrets: secrets that the call carried outside its body; they must not be shown either.

    Raises:
        ResponseError: of the class that says what the caller can do, for every status but 2xx. Redirects are never
            followed, because one could carry identifiers elsewhere.
        InvalidResponseError: for a 2xx that is not JSON, and for a status that is not a final one: neither reveals
            what became of the call.
    """
    status = response.status
    if not 200 <= status < 600:  # noqa: PLR2004 - RFC 9110 §15, the classes of final answers
        raise InvalidResponseError(["expected a final HTTP status"], status=status)
    if 200 <= status < 300:  # noqa: PLR2004 - RFC 9110 §15.3, the class of success
        return _compared(_document(response), request, secrets)
    problems, warned = _problems_of(response, request, secrets)
    if status == 429:  # noqa: PLR2004 - RFC 6585 §4
        limit = read_rate_limit(response)
        raise RateLimitExceeded(problems=problems, rate_limit=limit, retry_after=_retry_after(response, limit))
    if 300 <= status < 400:  # noqa: PLR2004 - RFC 9110 §15.4, the class of redirects
        raise InvalidRequestError(status, problems, advice="Redirects are not followed: check the base URL.")
    kind = ServerError if status >= _SERVER_ERROR else _ERRORS.get(status, InvalidRequestError)
    raise kind(status, problems, warnings=warned, retry_after=_retry_after(response, None))


def is_quickly_read(response: Response, request: Request) -> bool:
    """Whether an answer can be read in the event loop: it is small, and so is the body it is compared with."""
    if len(response.body) > _SMALL:
        return False
    body = response.body
    rest = _NO_PROBLEMS.sub(b"", body)
    has_problems = response.status >= 300 or any(mark in rest for mark in _PROBLEM_MARKS)  # noqa: PLR2004 - as above
    return not has_problems or (len(body) <= _SMALL_WITH_PROBLEMS and sum(map(len, request.body)) <= _SMALL_CALL)


def _compared(document: Any, request: Request | None, secrets: Collection[str]) -> Any:
    most = MOST_PROBLEMS if request is None else request.most_problems
    has_prose = request is not None and not request.has_identifiers
    Echoes(() if request is None else request.body, secrets, has_prose=has_prose).compare(document, most)
    return document


def _document(response: Response) -> Any:
    if not response.body.strip():  # means success only with a status that never has content
        return None if response.status in _WITHOUT_CONTENT else {}
    try:
        return _decoded(response.body)
    except orjson.JSONDecodeError:
        unreadable = InvalidResponseError(["not a JSON document @ $"], status=response.status)
    raise unreadable  # outside the `except` block: the decoder's exception carries the document


def _decoded(body: bytes) -> Any:
    """Decodes JSON, whose byte order mark is ignored (RFC 8259 §8.1); too deep or too large a number is an error."""
    if body.count(b",") + body.count(b"{") + body.count(b"[") > _MOST_VALUES:
        raise InvalidResponseError([f"more than {_MOST_VALUES:,} values @ $"])
    return orjson.loads(body.removeprefix(codecs.BOM_UTF8))


def _problems_of(
    response: Response, request: Request | None, secrets: Collection[str]
) -> tuple[tuple[Problem, ...], tuple[Problem, ...]]:
    """Reads the errors and warnings of an error answer; an HTML page or a truncated document has none."""
    try:
        document = _compared(_decoded(response.body), request, secrets)
    except (orjson.JSONDecodeError, InvalidResponseError):
        return (), ()
    if not isinstance(document, dict):
        return (), ()
    if isinstance(document.get("error"), str):  # RFC 6749 §5.2: how a token endpoint refuses
        return (Problem(code=document["error"]),), ()
    most = MOST_PROBLEMS if request is None else request.most_problems
    errors, warned = (read_problems(document.get(name), lenient=True, most=most) for name in ("errors", "warnings"))
    return errors, warned


def read_rate_limit(response: Response) -> RateLimit | None:
    """Reads the `x-ratelimit-*` headers; returns `None` when none of them is readable.

    `x-ratelimit-reset` is "the timestamp at which a new call could be performed" (Criteo's API guide): epoch seconds.
    """
    headers = response.headers
    limit = _calls(headers.get("x-ratelimit-limit"))
    remaining = _calls(headers.get("x-ratelimit-remaining"))
    reset_at = _moment(headers.get("x-ratelimit-reset"))
    if limit is None and remaining is None and reset_at is None:
        return None
    reset_in = None if reset_at is None else reset_at.timestamp() - _server_time(response)
    return RateLimit(limit=limit, remaining=remaining, reset_at=reset_at, reset_in=reset_in)


def _retry_after(response: Response, limit: RateLimit | None) -> float | None:
    """Returns the seconds to wait, by `Retry-After` (RFC 9110 §10.2.3: seconds or a date) or the rate limit's reset."""
    text = response.headers.get("retry-after", "").strip()
    if _DIGITS.fullmatch(text):
        wait: float | None = float(text)
    elif moment := read_date(text):
        wait = moment.timestamp() - _server_time(response)
    else:
        wait = limit.reset_in if limit else None
    return None if wait is None else max(0.0, min(wait, _LONGEST_WAIT))


def _server_time(response: Response) -> float:
    """Returns the server's time in epoch seconds, since its clock may differ from ours by minutes.

    If the two clocks agree within 2 s, returns our own time, because `Date` has whole seconds only.
    """
    moment = read_date(response.headers.get("date", ""))
    if moment is None or abs(moment.timestamp() - response.received_at) < _CLOCKS_AGREE:
        return response.received_at
    return moment.timestamp()


def read_date(text: str) -> dt.datetime | None:
    """Reads an HTTP date (RFC 9110 §5.6.7); returns `None` for any other text."""
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)


def _number(text: str | None) -> float | None:
    digits = (text or "").strip()
    return float(digits) if _DIGITS.fullmatch(digits) else None


def _calls(text: str | None) -> int | None:
    """Reads a number of calls; returns `None` above any real quota, since displaying it might reveal something else."""
    number = _number(text)
    return None if number is None or number > MOST_CALLS else int(number)


def _moment(text: str | None) -> dt.datetime | None:
    seconds = _number(text)
    try:
        return None if seconds is None else dt.datetime.fromtimestamp(seconds, dt.UTC)
    except (OverflowError, ValueError, OSError):
        return None


_GONE: Final = 410
_MOST_ENDINGS: Final = 20  # deprecations that are warned of; no version has as many
_LOG: Final = logging.getLogger("criteo_audiences.session")


@frozen
class Notices:
    """The notices in an answer, in addition to its result.

    Attributes:
        endings: announcements of a deprecation, listed among its warnings or its errors.
        warnings: all other warnings.
    """

    endings: Sequence[Problem]
    warnings: Sequence[Problem]


def notices_of(document: Any, request: Request) -> Notices:
    """Reads the notices in an answer; slow when a server lists thousands."""
    parts = document if isinstance(document, dict) else {}
    most = request.most_problems
    errors, warned = (read_problems(parts.get(name), lenient=True, most=most) for name in ("errors", "warnings"))
    endings = [problem for problem in (*errors, *warned) if problem.type is ProblemType.DEPRECATION]
    return Notices(endings, [problem for problem in warned if problem.is_failure])


def log_warnings(told: Sequence[Problem], request: Request) -> None:
    """Logs an answer's warnings in one line; `DeprecationWatch` handles the notices of deprecation.

    Warnings about an upload's batches have a lower level, because the upload's report counts them.
    """
    if told:
        level = logging.INFO if request.labels else logging.WARNING
        _LOG.log(level, "%s", describe(f"Criteo warned in its answer to {request.method} {request.path}", told))


class DeprecationWatch:
    """Reads every answer and warns once of each version or field that will end.

    Criteo announces an end by `Deprecation` and `Sunset` headers (RFC 9745, RFC 8594), by `warnings[]` of type
    `deprecation` inside an answer, and after the end by 410.

    Args:
        api_version: the version that warnings name.
    """

    def __init__(self, api_version: str) -> None:
        self._api_version = api_version
        self._warned: set[str] = set()

    def look_at_response(self, response: Response) -> None:
        """Warns of a version that will end, or has ended."""
        if response.status == _GONE:
            self._warn("gone", "has ended")
        announced = response.headers.get("deprecation", "").strip().lower()
        if announced and announced not in {"false", "?0"}:
            sunset = read_date(response.headers.get("sunset", ""))
            self._warn("version", f"is deprecated and ends on {sunset:%Y-%m-%d}" if sunset else "is deprecated")

    def look_at_endings(self, problems: Iterable[Problem]) -> None:
        """Warns of each deprecation that an answer announces."""
        for problem in problems:
            self._warn(problem.code or "deprecation", f"announces a deprecation ({problem})")

    def _warn(self, key: str, what: str) -> None:
        if key in self._warned or len(self._warned) >= _MOST_ENDINGS:
            return
        self._warned.add(key)
        message = f"Criteo's API version {self._api_version} {what}; choose a newer api_version."
        _LOG.warning("%s", message)
        # A filter that turns warnings into errors must not lose the answer of a call that was made.
        with contextlib.suppress(DeprecationWarning):
            warnings.warn(message, DeprecationWarning, stacklevel=2)
