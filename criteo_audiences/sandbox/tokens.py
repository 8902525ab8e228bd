"""Access tokens: issued for the one application the server knows, and checked on every call."""

import hmac
import math
import secrets
from collections.abc import Callable

import attrs


@attrs.define
class TokenIssuer:
    """Issues tokens and remembers until when each is good. Several are valid at the same time, as with Criteo."""

    client_id: str
    client_secret: str = attrs.field(repr=False)
    lifetime: float
    clock: Callable[[], float]
    _expiry: dict[str, float] = attrs.field(factory=dict, repr=False, init=False)
    _consented: set[str] = attrs.field(factory=set, repr=False, init=False)
    _withdrawn: set[str] = attrs.field(factory=set, repr=False, init=False)

    def accepts(self, client_id: str, client_secret: str) -> bool:
        """Returns whether these are the credentials, in a time that does not tell how much of them was right."""
        same_id = hmac.compare_digest(client_id.encode(), self.client_id.encode())
        return hmac.compare_digest(client_secret.encode(), self.client_secret.encode()) and same_id

    def issue(self, *, consented: bool = False) -> str:
        """Returns a new token, good for ``lifetime`` seconds from now, on behalf of a user or of the application."""
        token = secrets.token_urlsafe(32)
        if consented:
            self._consented.add(token)
        self._expiry[token] = self.clock() + self.lifetime
        return token

    def expire_all(self) -> None:
        """Make every token issued so far an expired one."""
        self._expiry = dict.fromkeys(self._expiry, -math.inf)

    def revoke_all(self) -> None:
        """Forget every token issued so far."""
        self._expiry.clear()

    def withdraw_consent(self) -> None:
        """Let every token issued on behalf of a user so far be good for nothing any more."""
        self._withdrawn |= self._consented

    def is_consented(self, authorization: str | None) -> bool:
        """Returns whether the token in an ``Authorization`` header was issued on behalf of a user."""
        return _token(authorization) in self._consented

    def is_withdrawn(self, authorization: str | None) -> bool:
        """Returns whether that user has taken the consent back."""
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
