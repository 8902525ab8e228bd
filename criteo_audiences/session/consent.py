"""Logins of a user who has consented: by the consent page's code, and by the refresh token that replaces it."""

import base64
import contextlib
import hashlib
import inspect
import logging
import re
import secrets
from collections.abc import Awaitable, Callable
from typing import Any, Final
from urllib.parse import urlencode

from attrs import define, field, setters

from criteo_audiences.errors import (
    ConfigurationError,
    CriteoError,
    InvalidResponseError,
)
from criteo_audiences.loops import LoopLock, completed
from criteo_audiences.session.auth import (
    AccessToken,
    Grant,
    ask_for_token,
    read_refresh_token,
    read_token,
    require_secret,
)
from criteo_audiences.session.network import read_url
from criteo_audiences.session.quota import Quota
from criteo_audiences.validation import hinted_class, require_range

OnRotate = Callable[[str], Awaitable[None]]
"""Stores a new refresh token; awaited before the token is used."""

_LOG: Final = logging.getLogger("criteo_audiences.session")
_CONSENT_PAGE: Final = "https://consent.criteo.com/request"
_CALLS_AN_ACCOUNT: Final = 10
_MOST_ACCOUNTS: Final = 100_000
_VERIFIER: Final = re.compile(r"[A-Za-z0-9._~-]{43,128}")  # RFC 7636 §4.1
_CHALLENGE: Final = re.compile(r"[A-Za-z0-9_-]{43}")  # RFC 7636 §4.2: SHA-256 in base64url without padding
# Seconds that a canceled token call gets to end: without reading its answer we would lose a new refresh token.
_PATIENCE: Final = 5.0
_REFRESH_REFUSED: Final = (
    "The refresh token has ended or was replaced, or the user's consent or role has changed: ask the user to consent "
    "again (AuthorizationCode.consent_url) and store the new refresh token."
)
_CODE_REFUSED: Final = (
    "A code works once, for a short time, and only with its own redirect_uri and code_verifier: ask the user to "
    "consent again (AuthorizationCode.consent_url)."
)


@define(kw_only=True, eq=False)
class _Consented:
    """The common part of both logins: any answer may replace the refresh token, and the new one must not get lost."""

    client_id: str = field(repr=False, on_setattr=setters.frozen)
    client_secret: str = field(repr=False, on_setattr=setters.frozen)
    on_rotate: OnRotate | None = field(default=None, repr=False)
    accounts: int = field(default=1, on_setattr=setters.frozen)
    _is_stored: bool = field(default=True, init=False, repr=False)
    _lock: LoopLock = field(factory=LoopLock, init=False, repr=False)

    refresh_token: str | None = None

    def __attrs_post_init__(self) -> None:
        require_secret(self.client_id, "client_id")
        require_secret(self.client_secret, "client_secret")
        if isinstance(self.accounts, bool) or not isinstance(self.accounts, int):
            raise ConfigurationError(f"accounts must be a whole number, not {type(self.accounts).__name__}.")
        require_range(self.accounts, "accounts", least=1, most=_MOST_ACCOUNTS)
        if self.on_rotate is not None and not callable(self.on_rotate):
            raise ConfigurationError("on_rotate must be an async function that takes the new refresh token.")

    @property
    def quota(self) -> Quota:
        """10 calls a minute for each consented account, in one pool (Criteo's API guide, "Rate limits")."""
        return Quota(_CALLS_AN_ACCOUNT * self.accounts)

    async def token(self, grant: Grant) -> AccessToken:
        """See `TokenSource.token`; one renewal at a time, even if several clients share these credentials."""
        async with self._lock.held():
            return await completed(self._renew(grant), patience=_PATIENCE)

    def _question(self) -> tuple[dict[str, str], str]:
        """Returns the grant's own fields, and the advice for when it is refused."""
        return {"grant_type": "refresh_token", "refresh_token": self.refresh_token or ""}, _REFRESH_REFUSED

    async def _renew(self, grant: Grant) -> AccessToken:
        """Gets an access token; stores a refresh token that comes with it before either of the two is used."""
        if not self._is_stored:  # storing it failed last time
            await completed(self._hand_over())
        document = await self._ask(grant)
        given = read_refresh_token(document)
        if given is not None and given != self.refresh_token:
            self.refresh_token, self._is_stored = given, False
            await completed(self._hand_over())
        if self.refresh_token is None:
            raise InvalidResponseError(["expected a token @ $.refresh_token"])
        return read_token(document)

    async def _ask(self, grant: Grant) -> Any:
        fields, advice = self._question()
        form = {**fields, "client_id": self.client_id, "client_secret": self.client_secret}
        return await ask_for_token(grant, form, when_grant_is_refused=advice)

    async def _hand_over(self) -> None:
        """Passes the new refresh token to `on_rotate`; the token is not used before that has succeeded."""
        if self.on_rotate is None:
            _LOG.warning(
                "Criteo issued a new refresh token, which is not stored: the old one may not work at the next start. "
                "Set on_rotate, or name a file in CRITEO_REFRESH_TOKEN_FILE."
            )
        else:
            await _stored(self.on_rotate, self.refresh_token or "")
        self._is_stored = True


async def _stored(on_rotate: OnRotate, token: str) -> None:
    """Awaits the caller's function.

    Raises:
        ConfigurationError: when the function failed. Its own exception is not shown: that of a database, for example,
            prints the values that it could not store.
    """
    try:
        outcome: object = on_rotate(token)
        if inspect.isawaitable(outcome):
            await outcome
    except CriteoError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, the token is not stored
        failed = ConfigurationError(
            f"on_rotate failed with {type(error).__name__}: the new refresh token is not stored. It is kept in memory, "
            "unused, and handed over again at the next renewal; mend what on_rotate needs."
        )
    else:
        return
    raise failed  # outside the `except` block, so that the function's own exception is not its context


@hinted_class
@define(kw_only=True, eq=False)
class RefreshToken(_Consented):
    """The OAuth refresh-token grant: an application acting for a user who has consented.

    Criteo may answer with a new refresh token at any renewal, and the old one may be invalid from then on. The new one
    is passed to `on_rotate` before it is used, and stays in `refresh_token`. A cancellation waits until it is stored.

    Attributes:
        client_id: the application's id.
        client_secret: its secret.
        refresh_token: the token in use; valid for six months, unless the user's role changes before.
        on_rotate: an async function that stores a new refresh token where the next start finds it. If it fails, the
            renewal fails too, but nothing is lost: the next renewal calls it again first.
        accounts: how many accounts have consented: each allows 10 calls a minute.

    Source: Criteo's API guide, "Authentication" and "Rate limits"; RFC 6749 §6.
    """

    refresh_token: str = field(repr=False)

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        require_secret(self.refresh_token, "refresh_token")


@hinted_class
@define(kw_only=True, eq=False)
class AuthorizationCode(_Consented):
    """The OAuth authorization-code grant: the code of a user who has just consented, exchanged once.

    The first token call exchanges the code for a refresh token and passes that to `on_rotate`; from then on, the login
    works like a `RefreshToken`.

    Attributes:
        client_id: the application's id.
        client_secret: its secret.
        code: what the consent page added to the redirect; it works once.
        redirect_uri: the one that the consent URL named.
        code_verifier: the secret half of `pkce()`, if the consent URL had the public half.
        on_rotate: an async function that stores the first refresh token and each that replaces it.
        accounts: how many accounts have consented: each allows 10 calls a minute.
        refresh_token: the token in use; `None` before the code is exchanged.

    Source: Criteo's API guide, "Authentication" and "Rate limits"; RFC 6749 §4.1; RFC 7636.
    """

    code: str = field(repr=False, on_setattr=setters.frozen)
    redirect_uri: str = field(repr=False, on_setattr=setters.frozen)
    code_verifier: str | None = field(default=None, repr=False, on_setattr=setters.frozen)
    refresh_token: str | None = field(default=None, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        require_secret(self.code, "code")
        _check_redirect_uri(self.redirect_uri)
        if self.code_verifier is not None and not _VERIFIER.fullmatch(
            require_secret(self.code_verifier, "code_verifier")
        ):
            raise ConfigurationError(
                "code_verifier must have 43 to 128 letters, digits, '-', '.', '_' or '~'; "
                "AuthorizationCode.pkce() makes one."
            )

    @staticmethod
    def consent_url(*, client_id: str, redirect_uri: str, state: str, code_challenge: str | None = None) -> str:
        """Returns the URL of the page where a user consents; it contains no secret.

        Args:
            client_id: the application's id.
            redirect_uri: where the user is sent back to with `code` and `state`; HTTPS, registered for the application.
            state: an unguessable value bound to the user's session; compare it when the user comes back.
            code_challenge: the public half of `pkce()`; mandatory once the application has PKCE switched on.

        Raises:
            ConfigurationError: naming the argument.
        """
        fields = {
            "response_type": "code",
            "client_id": require_secret(client_id, "client_id"),
            "redirect_uri": _check_redirect_uri(redirect_uri),
            "state": require_secret(state, "state"),
        }
        if code_challenge is not None:
            if not _CHALLENGE.fullmatch(require_secret(code_challenge, "code_challenge")):
                raise ConfigurationError("code_challenge must be the second value of AuthorizationCode.pkce().")
            fields |= {"code_challenge": code_challenge, "code_challenge_method": "S256"}
        return f"{_CONSENT_PAGE}?{urlencode(fields)}"

    @staticmethod
    def pkce() -> tuple[str, str]:
        """Returns a new `code_verifier`, to keep with the user's session, and its `code_challenge` for the consent URL.

        Source: RFC 7636 §4.1 and §4.2, method S256.
        """
        verifier = secrets.token_urlsafe(64)
        digest = hashlib.sha256(verifier.encode("ascii")).digest()
        return verifier, base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")

    def _question(self) -> tuple[dict[str, str], str]:
        if self.refresh_token is not None:
            return super()._question()
        fields = {"grant_type": "authorization_code", "code": self.code, "redirect_uri": self.redirect_uri}
        if self.code_verifier is not None:
            fields["code_verifier"] = self.code_verifier
        return fields, _CODE_REFUSED


def _check_redirect_uri(uri: str) -> str:
    """Returns a redirect URI that can be registered (Criteo's API guide: HTTPS; RFC 6749 §3.1.2: no fragment)."""
    text = require_secret(uri, "redirect_uri")
    with contextlib.suppress(ValueError):
        url = read_url(text)
        # It is sent as it was given: RFC 6749 §3.1.2.3 compares redirect URIs letter by letter.
        if url.scheme == "https" and "#" not in text and text == text.strip():
            return text
    raise ConfigurationError(
        "redirect_uri must be an HTTPS URL without a fragment, one of those the application has registered."
    )
