"""Decide who may call, and how often: access tokens, users' consents, and calls within a period."""

import base64
import hashlib
import hmac
import math
import secrets
from collections import deque
from collections.abc import Callable, Mapping
from typing import Literal, Protocol, get_args

import attrs

_DAY = 86_400
# Criteo: six months. RFC 6749, section 4.1.2, recommends ten minutes at most for a code.
_REFRESH_TOKEN_LIFETIME = 182 * _DAY
_CODE_LIFETIME = 600


@attrs.define
class TokenIssuer:
    """Issues tokens and remembers when each expires. Several are valid at the same time, as with Criteo."""

    client_id: str
    client_secret: str = attrs.field(repr=False)
    lifetime: float
    clock: Callable[[], float]
    _expiry: dict[str, float] = attrs.field(factory=dict, repr=False, init=False)
    _consented: set[str] = attrs.field(factory=set, repr=False, init=False)
    _withdrawn: set[str] = attrs.field(factory=set, repr=False, init=False)

    def accepts(self, client_id: str, client_secret: str) -> bool:
        """Returns whether the credentials are right; takes the same time however much of them is right."""
        same_id = hmac.compare_digest(client_id.encode(), self.client_id.encode())
        return hmac.compare_digest(client_secret.encode(), self.client_secret.encode()) and same_id

    def issue(self, *, consented: bool = False) -> str:
        """Returns a new token, valid for ``lifetime`` seconds from now, on behalf of a user or of the application."""
        token = secrets.token_urlsafe(32)
        if consented:
            self._consented.add(token)
        self._expiry[token] = self.clock() + self.lifetime
        return token

    def expire_all(self) -> None:
        """Expire every token issued so far."""
        self._expiry = dict.fromkeys(self._expiry, -math.inf)

    def revoke_all(self) -> None:
        """Forget every token issued so far."""
        self._expiry.clear()

    def withdraw_consent(self) -> None:
        """Withdraw the consent for every token issued on behalf of a user so far; calls with it get 403."""
        self._withdrawn |= self._consented

    def is_consented(self, authorization: str | None) -> bool:
        """Returns whether the token in an ``Authorization`` header was issued on behalf of a user."""
        return _token(authorization) in self._consented

    def is_withdrawn(self, authorization: str | None) -> bool:
        """Returns whether the user of that token has withdrawn the consent."""
        return _token(authorization) in self._withdrawn

    def fault(self, authorization: str | None) -> str | None:
        """Returns the code of what is wrong with an ``Authorization`` header, ``None`` when nothing is."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            return "authorization-token-missing"
        expiry = self._expiry.get(token)
        if expiry is None:
            return "authorization-token-invalid"
        return "authorization-token-expired" if self.clock() >= expiry else None


def _token(authorization: str | None) -> str:
    return (authorization or "").partition(" ")[2]


Rotation = Literal["at-once", "when-used", "never"]


@attrs.frozen
class Code:
    """The conditions under which a code was issued."""

    redirect_uri: str
    challenge: str | None
    expiry: float


@attrs.define
class Consents:
    """The codes and refresh tokens that are valid now.

    Args:
        clock: Epoch seconds.
        rotation: When a refresh replaces the refresh token. The old one becomes invalid with the answer
            (``"at-once"``, OAuth 2.1) or with the first use of the new one (``"when-used"``); ``"never"`` keeps it.
        accounts: How many accounts have consented.
    """

    clock: Callable[[], float]
    rotation: Rotation = "at-once"
    accounts: int = 1
    _codes: dict[str, Code] = attrs.field(factory=dict, repr=False, init=False)
    _expiry: dict[str, float] = attrs.field(factory=dict, repr=False, init=False)
    _replaced: dict[str, str] = attrs.field(factory=dict, repr=False, init=False)
    """The token that each new one replaces."""

    def __attrs_post_init__(self) -> None:
        if self.rotation not in get_args(Rotation):
            raise ValueError('rotation must be "at-once", "when-used" or "never"')

    def new_code(self, redirect_uri: str, challenge: str | None) -> str:
        """Returns a new code, as the consent page issues one when the user agrees."""
        code = secrets.token_urlsafe(24)
        self._codes[code] = Code(redirect_uri, challenge, self.clock() + _CODE_LIFETIME)
        return code

    def redeem(self, code: str, redirect_uri: str, verifier: str | None) -> str | None:
        """Returns a refresh token for a code, ``None`` when the code is not valid; either way, the code is used up."""
        granted = self._codes.pop(code, None)
        if granted is None or self.clock() >= granted.expiry or granted.redirect_uri != redirect_uri:
            return None
        return self.new_refresh_token() if _proves(verifier, granted.challenge) else None

    def new_refresh_token(self) -> str:
        """Returns a new refresh token."""
        token = secrets.token_urlsafe(32)
        self._expiry[token] = self.clock() + _REFRESH_TOKEN_LIFETIME
        return token

    def refresh(self, token: str) -> str | None:
        """Returns the refresh token to use from now on, ``None`` when this one is not valid."""
        if self.clock() >= self._expiry.get(token, 0.0):
            return None
        if self.rotation == "never":
            return token
        self._expiry.pop(self._replaced.pop(token, ""), None)
        successor = self.new_refresh_token()
        if self.rotation == "at-once":
            del self._expiry[token]
        else:
            self._replaced[successor] = token
        return successor

    def revoke(self) -> None:
        """Revoke every code and every refresh token."""
        self._codes.clear()
        self._expiry.clear()
        self._replaced.clear()


def _proves(verifier: str | None, challenge: str | None) -> bool:
    """Returns whether a verifier matches a challenge (RFC 7636, section 4.6), or both are missing."""
    if verifier is None or challenge is None:
        return verifier is challenge
    digest = hashlib.sha256(verifier.encode()).digest()
    return hmac.compare_digest(base64.urlsafe_b64encode(digest).rstrip(b"=").decode(), challenge)


Window = Literal["sliding", "fixed"]


class CallWindow(Protocol):
    """A way of counting calls. Times are epoch seconds."""

    def take(self, now: float) -> bool:
        """Count a call and return `True`, or return `False` when the window is full."""
        ...

    def remaining(self, now: float) -> int:
        """Returns how many more calls could be made at once."""
        ...

    def reset(self, now: float) -> float:
        """Returns the time at which a new call could be performed."""
        ...


class SlidingWindow:
    """Counts the calls within the last period."""

    def __init__(self, limit: int, period: float) -> None:
        self._limit = limit
        self._period = period
        self._ends: deque[float] = deque()

    def take(self, now: float) -> bool:
        """Count a call and return `True`, or return `False` when the window is full."""
        if not self.remaining(now):
            return False
        self._ends.append(now + self._period)
        return True

    def remaining(self, now: float) -> int:
        """Returns how many more calls could be made at once."""
        while self._ends and self._ends[0] <= now:
            self._ends.popleft()
        return self._limit - len(self._ends)

    def reset(self, now: float) -> float:
        """Returns the time at which a new call could be performed."""
        return now if self.remaining(now) else self._ends[0]


class FixedWindow:
    """Counts the calls since the last time that was a multiple of the period."""

    def __init__(self, limit: int, period: float) -> None:
        self._limit = limit
        self._period = period
        self._number = -1
        self._calls = 0

    def take(self, now: float) -> bool:
        """Count a call and return `True`, or return `False` when the window is full."""
        if not self.remaining(now):
            return False
        self._calls += 1
        return True

    def remaining(self, now: float) -> int:
        """Returns how many more calls could be made at once."""
        number = math.floor(now / self._period)
        if number != self._number:
            self._number, self._calls = number, 0
        return self._limit - self._calls

    def reset(self, now: float) -> float:
        """Returns the time at which a new call could be performed."""
        return now if self.remaining(now) else (self._number + 1) * self._period


@attrs.define
class CallQuota:
    """Limits the calls of the server's one application, and announces the limit in headers."""

    limit: int
    window: CallWindow

    @classmethod
    def of(cls, limit: int, period: float, window: Window) -> "CallQuota":
        """Returns a quota of ``limit`` calls in ``period`` seconds, counted by a sliding or a fixed window."""
        kinds: Mapping[str, type[SlidingWindow | FixedWindow]] = {"sliding": SlidingWindow, "fixed": FixedWindow}
        if window not in kinds:
            raise ValueError('window must be "sliding" or "fixed"')
        if limit < 1 or period <= 0:
            raise ValueError("rate_limit must be at least one call in a period above zero seconds")
        return cls(limit, kinds[window](limit, period))

    def headers(self, now: float) -> dict[str, str]:
        """Returns the three headers of every answer."""
        return rate_limit_headers(self.limit, self.window.remaining(now), self.window.reset(now))


def rate_limit_headers(limit: int, remaining: int, reset: float) -> dict[str, str]:
    """Returns the headers of https://developers.criteo.com, "Rate limits".

    Args:
        limit: Calls in a period.
        remaining: Calls left.
        reset: Epoch seconds; rounded up, since a call in the second before the limit lifts would be refused.
    """
    return {
        "x-ratelimit-limit": str(limit),
        "x-ratelimit-remaining": str(remaining),
        "x-ratelimit-reset": str(math.ceil(reset)),
    }
