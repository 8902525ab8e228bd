"""Authentication: token sources, a cache that renews tokens in time, and a warning when clients exceed a quota."""

import gc
import hashlib
import logging
import math
import re
import secrets
import threading
import warnings
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any, Final, Protocol, runtime_checkable
from weakref import WeakKeyDictionary

from attrs import field, frozen
from yarl import URL

from criteo_audiences.errors import (
    AuthenticationError,
    ConfigurationError,
    CriteoError,
    InvalidResponseError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitExceeded,
    ResponseError,
    ServerError,
    TransportError,
)
from criteo_audiences.loops import Clock, LoopLock
from criteo_audiences.session.quota import Quota, RateLimiter
from criteo_audiences.validation import hinted_class, require_text

_LONGEST_LIFE: Final = 86_400.0
_LONGEST_TOKEN: Final = 16 * 1024
"""Characters of a token: longer than any header that servers take."""
_TIMED_OUT: Final = 408
_REFUSED: Final = 400
_OTHER_MATTERS: Final = AuthenticationError, PermissionDeniedError, NotFoundError, RateLimitExceeded, ServerError
_SECONDS: Final = re.compile(r"[0-9]{1,15}(?:\.[0-9]{1,9})?")


@frozen(kw_only=True)
class AccessToken:
    """A bearer token and its lifetime.

    Attributes:
        value: the token; never in a `repr`.
        lifetime: seconds of validity from the moment it was requested, `None` when unknown.
    """

    value: str = field(repr=False)
    lifetime: float | None = None

    def __attrs_post_init__(self) -> None:
        if not (self.value and self.value.isascii() and self.value.isprintable()):
            raise ConfigurationError("The token has characters that no HTTP header can carry; give it as Criteo did.")


Grant = Callable[[Mapping[str, str]], Awaitable[Any]]
"""Posts form fields to Criteo's token endpoint and returns the JSON document of its answer."""


@runtime_checkable
class TokenSource(Protocol):
    """Where tokens come from: credentials, a vault, another service of yours.

    A source may also have these attributes:

    - `quota`, the `Quota` that its grant allows, the default for a client that is given none; without it, a client
      assumes Criteo's 250 calls a minute.
    - `quota_key`, a text that sources share when Criteo counts their calls together, such as the client id;
      without it, each source counts by itself. Clients that use one quota without a common limiter warn.
    - `client_id`, the id of its application: a journal does not continue an upload of another application.
    """

    async def token(self, grant: Grant) -> AccessToken:
        """Returns a fresh token.

        Args:
            grant: posts form fields to Criteo's token endpoint, with retries; a source that gets its tokens
                elsewhere does not call it.
        """


@hinted_class
@frozen(kw_only=True)
class ClientCredentials:
    """The OAuth client-credentials grant: an application acting for itself.

    Attributes:
        client_id: the application's id.
        client_secret: its secret; both are kept out of every `repr`.

    Source: Criteo's API guide, "Authentication"; RFC 6749 §4.4.
    """

    client_id: str = field(repr=False)
    client_secret: str = field(repr=False)

    def __attrs_post_init__(self) -> None:
        require_secret(self.client_id, "client_id")
        require_secret(self.client_secret, "client_secret")

    @property
    def quota(self) -> Quota:
        """250 calls a minute for the whole application (Criteo's API guide, "Rate limits")."""
        return Quota(250)

    @property
    def quota_key(self) -> str:
        """The client id: Criteo counts the calls of an application together, whatever its secret."""
        return self.client_id

    async def token(self, grant: Grant) -> AccessToken:
        """See `TokenSource.token`."""
        form = {
            "grant_type": "client_credentials",
            "client_id": self.client_id,
            "client_secret": self.client_secret,
        }
        return read_token(await ask_for_token(grant, form))


@hinted_class
@frozen
class StaticToken:
    """A token obtained elsewhere, used until Criteo refuses it.

    Attributes:
        value: the token; kept out of every `repr`.
    """

    value: str = field(repr=False)

    def __attrs_post_init__(self) -> None:
        AccessToken(value=require_text(self.value, "the token"))

    @property
    def quota_key(self) -> str:
        """A digest that does not reveal the token: calls with the same token are counted together."""
        return hashlib.sha256(self.value.encode()).hexdigest()

    async def token(self, grant: Grant) -> AccessToken:  # noqa: ARG002 - no call is needed
        """See `TokenSource.token`."""
        return AccessToken(value=self.value)


async def ask_for_token(grant: Grant, form: Mapping[str, str], *, when_grant_is_refused: str | None = None) -> Any:
    """Posts a grant and returns the document of the answer.

    Args:
        grant: posts the form.
        form: the fields of the grant.
        when_grant_is_refused: advice for the caller when the grant itself is refused (`invalid_grant`).

    Raises:
        AuthenticationError: when the login is refused, with 400 as in RFC 6749 §5.2 or another status, or redirected;
            a repeat would not help.
        CriteoError: of the status's own class for 403 and 404; also when no answer came, or the answer does not concern
            the login.
    """
    try:
        return await grant(form)
    except ResponseError as error:
        if isinstance(error, _OTHER_MATTERS) or error.status == _TIMED_OUT:
            raise
        advice = when_grant_is_refused if "invalid_grant" in error.codes else None
        if error.status != _REFUSED:
            advice = "The login did not reach Criteo's token endpoint (redirects are not followed): check the base URL."
        raise AuthenticationError(error.status, error.problems, trace_id=error.trace_id, advice=advice) from None


def require_secret(value: object, name: str) -> str:
    """Returns an id, a secret or a token unchanged if a form can carry it as Criteo gave it.

    Raises:
        ConfigurationError: naming the argument, never showing it, if it contains control characters. Line breaks come
            from files, others from terminals; Criteo would refuse both without saying why.
    """
    text = require_text(value, name)
    if not text.isprintable():
        raise ConfigurationError(
            f"{name} holds a line break or another control character; give it exactly as Criteo showed it."
        )
    return text


def read_refresh_token(document: Any) -> str | None:
    """Reads the refresh token in a token endpoint's answer, `None` if it has none.

    Raises:
        InvalidResponseError: when it is not a text that can be sent back; its value is not shown.
    """
    value = document.get("refresh_token") if isinstance(document, dict) else None
    if value is None or value == "":
        return None
    if not isinstance(value, str) or not value.isascii() or not value.isprintable():
        raise InvalidResponseError(["expected a token @ $.refresh_token"])
    return value


def read_token(document: Any) -> AccessToken:
    """Reads a token endpoint's answer; a `refresh_token` may be absent or `null`.

    A token without a readable lifetime is used until it is refused (RFC 6749 §5.1 only recommends one).

    Raises:
        InvalidResponseError: naming the field that is wrong, never its value.
    """
    if not isinstance(document, dict):
        raise InvalidResponseError(["expected an object @ $"])
    value = document.get("access_token")
    if not isinstance(value, str) or not value.strip() or not value.isascii() or not value.isprintable():
        raise InvalidResponseError(["expected a token @ $.access_token"])
    if len(value) > _LONGEST_TOKEN:
        raise InvalidResponseError([f"more than {_LONGEST_TOKEN:,} characters @ $.access_token"])
    return AccessToken(value=value, lifetime=_lifetime(document.get("expires_in")))


def _lifetime(seconds: object) -> float | None:
    """Reads a lifetime, which may be written as text; returns `None` for anything but a positive number of seconds."""
    if isinstance(seconds, str) and _SECONDS.fullmatch(seconds.strip()):
        seconds = float(seconds)
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or seconds <= 0:
        return None
    return min(float(seconds), _LONGEST_LIFE)


_MARGIN: Final = 60.0
_MARGIN_SHARE: Final = 0.1
_RENEW_AGAIN_AFTER: Final = 5.0


class TokenCache:
    """Caches the token, renews it before it expires, and shares one renewal among all waiting tasks.

    The cache renews a token of 900 s from 60 s before it expires (a short-lived token: from a tenth of its lifetime
    before). The lifetime counts from the request for the token, so that network time never extends it. If a renewal
    fails for a transient reason, the cache uses the old token while it is valid, and tries again some seconds later.
    """

    def __init__(self, source: TokenSource, grant: Grant, clock: Clock) -> None:
        self._source = source
        self._grant = grant
        self._clock = clock
        self._held: AccessToken | None = None
        self._renew_at = 0.0
        self._ends_at = 0.0
        self._lock = LoopLock()
        self._refreshes = 0
        self._failure: CriteoError | None = None

    async def get(self) -> str:
        """Returns a token that is valid now.

        Raises:
            CriteoError: when no token can be obtained; all tasks that waited for the same refresh get the same error.
        """
        return self._usable() or await self._refresh(None)

    async def replace(self, refused: str) -> str | None:
        """Returns a token other than the refused one, or `None` when the source has no other."""
        usable = self._usable()
        if usable is not None and usable != refused:
            return usable
        renewed = await self._refresh(refused)
        return renewed if renewed != refused else None

    def _usable(self) -> str | None:
        return self._held.value if self._held is not None and self._clock.now() < self._renew_at else None

    async def _refresh(self, refused: str | None) -> str:
        """Gets a new token, unless another task has got one, or failed to, while this task waited for the lock."""
        seen = self._refreshes
        async with self._lock.held():
            if self._refreshes != seen:
                if self._failure is not None:
                    raise _again(self._failure)
                usable = self._usable()
                if usable is not None and usable != refused:
                    return usable
            return await self._renew(refused)

    async def _renew(self, refused: str | None) -> str:
        asked_at = self._clock.now()
        try:
            token = await self._source.token(self._grant)
        except CriteoError as error:
            self._refreshes += 1
            if self._held is not None and self._outlives(self._held, error, refused):
                return self._held.value
            self._failure = _again(error)  # without the traceback, which keeps the first caller's objects alive
            self._held = None
            raise
        self._refreshes += 1
        self._failure = None
        lifetime = math.inf if token.lifetime is None else token.lifetime
        self._held = token
        self._ends_at = asked_at + lifetime
        self._renew_at = self._ends_at - min(_MARGIN, lifetime * _MARGIN_SHARE)
        return token.value

    def _outlives(self, held: AccessToken, error: CriteoError, refused: str | None) -> bool:
        """Whether the current token is still valid after a failed renewal; if so, delays the next one some seconds."""
        passing = isinstance(error, (TransportError, ServerError, RateLimitExceeded))
        now = self._clock.now()
        if not passing or held.value == refused or now >= self._ends_at:
            return False
        self._failure = None
        self._renew_at = min(now + _RENEW_AGAIN_AFTER, self._ends_at)
        return True


def _again(error: CriteoError) -> CriteoError:
    """Copies an error, so that each waiting task raises a copy with its own traceback."""
    copy = type(error).__new__(type(error))
    copy.args = error.args
    copy.__dict__.update(error.__dict__)
    return copy


_LOG: Final = logging.getLogger("criteo_audiences.quota")
_ROUNDING: Final = 1e-9
_TWO_LIMITERS: Final = (
    "Two clients of one Criteo application are in use in this process, each with a limiter of its own: together "
    "they can exceed its quota. Use one client, or give them one rate_limiter, or a Quota(share=...) each whose sum is "
    "at most 1."
)


class Applications:
    """Registers the sessions in use by application, to warn of separate limiters.

    It stores no secret and keeps no session alive. Criteo counts all calls of an application together, but a
    limiter counts only the calls of its own clients. Two separate limiters would each spend the whole window.
    """

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._lock = threading.Lock()
        self._in_use: dict[bytes, WeakKeyDictionary[object, RateLimiter]] = {}
        self._warned: set[bytes] = set()

    def enter(self, member: object, credentials: TokenSource, base_url: str, limiter: RateLimiter) -> None:
        """Registers a session before its first call; warns once if its application's limiters exceed the quota.

        Args:
            member: the session; `leave` or garbage collection removes it.
            credentials: identify the application.
            base_url: the server, Criteo's or a stand-in: each server has its own quota.
            limiter: the session's limiter.
        """
        digest = self._digest(credentials, base_url)
        with self._lock:
            self._in_use.setdefault(digest, WeakKeyDictionary())[member] = limiter
            crowded = self._is_crowded(digest)
        if not crowded:
            return
        gc.collect()  # an unreachable session may be part of a reference cycle
        with self._lock:
            if not self._is_crowded(digest):
                return
            self._warned.add(digest)
        _LOG.warning("%s", _TWO_LIMITERS)
        warnings.warn(_TWO_LIMITERS, UserWarning, stacklevel=2)

    def _is_crowded(self, digest: bytes) -> bool:
        return digest not in self._warned and _claim_too_much(list(self._in_use.get(digest, {}).values()))

    def leave(self, member: object) -> None:
        """Removes a session that makes no more calls."""
        with self._lock:
            for digest, members in list(self._in_use.items()):
                members.pop(member, None)
                if not members:
                    del self._in_use[digest]

    def _digest(self, credentials: TokenSource, base_url: str) -> bytes:
        """Returns a digest that identifies an application. Its key is random in each process, so it reveals nothing."""
        where = URL(base_url).authority
        return hashlib.blake2b(repr((where, *_identity(credentials))).encode(), key=self._key).digest()


def _identity(credentials: TokenSource) -> tuple[str | None, int]:
    """Returns the key by which Criteo counts calls: the source's `quota_key`, or the source itself if it has none."""
    key: str | None = getattr(credentials, "quota_key", None)
    return key, 0 if key is not None else id(credentials)


def _claim_too_much(limiters: Collection[RateLimiter]) -> bool:
    """Whether separate limiters together claim more than their application's window.

    Limiters without a `share` are assumed to share one count; together they claim what the others leave.
    """
    distinct = {id(limiter): limiter for limiter in limiters}.values()
    said = [getattr(limiter, "share", None) for limiter in distinct]
    shares: list[float] = [share for share in said if share is not None]
    claimed = sum(shares) + (2 * _ROUNDING if len(shares) < len(distinct) else 0.0)
    return claimed > 1 + _ROUNDING and len(distinct) > 1


APPLICATIONS: Final = Applications()
"""The applications in use in this process."""
