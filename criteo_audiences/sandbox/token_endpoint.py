"""Answer ``POST /oauth2/token``: takes credentials as a form, returns a token as JSON, as Criteo's guide describes.

OpenAPI leaves this endpoint out.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from urllib.parse import parse_qsl

from aiohttp import web

from criteo_audiences.sandbox.admission import Consents
from criteo_audiences.sandbox.calls import STATE, ServerState
from criteo_audiences.sandbox.problems import ProblemError
from criteo_audiences.sandbox.wire import discard_body, json_response, read_body

PATH = "/oauth2/token"

_MAX_FORM_BYTES = 65_536
_FIELDS = "client_id", "client_secret", "grant_type"


class _OAuthError(Exception):
    """An error of RFC 6749, section 5.2: the token endpoint does not use Criteo's problem format."""

    def __init__(self, status: int, error: str, description: str) -> None:
        super().__init__(description)
        self.status = status
        self.body = {"error": error, "error_description": description}


def is_token_call(request: web.Request) -> bool:
    """Returns whether a request is for this endpoint, which has no version, no quota and no dialect."""
    return request.path == PATH


async def issue_token(request: web.Request) -> web.Response:
    """Answers a request for a token."""
    state = request.app[STATE]
    try:
        refresh_token = _grant(await _form(request), state)
    except _OAuthError as error:
        await discard_body(request, max_bytes=state.max_discarded_bytes)
        return json_response(error.body, status=error.status)
    answer = {
        "access_token": state.tokens.issue(consented=refresh_token is not None),
        "token_type": "Bearer",
        "expires_in": int(state.tokens.lifetime),
        # Criteo's sample for client credentials has no such field, but the official Python SDK fails without it.
        "refresh_token": refresh_token,
    }
    return json_response(answer, headers={"Cache-Control": "no-store"})


async def _form(request: web.Request) -> dict[str, str]:
    if request.content_type != "application/x-www-form-urlencoded":
        raise _OAuthError(415, "invalid_request", "The content type must be application/x-www-form-urlencoded.")
    try:
        body = await read_body(request, max_bytes=_MAX_FORM_BYTES)
        fields = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=100)
    except (ProblemError, ValueError):
        raise _OAuthError(400, "invalid_request", "The form cannot be read.") from None
    if any(count > 1 for count in Counter(name for name, _ in fields).values()):
        raise _OAuthError(400, "invalid_request", "A field is given twice.")
    return dict(fields)


def _grant(form: dict[str, str], state: ServerState) -> str | None:
    """Returns the refresh token to send with the access token, ``None`` for an application acting for itself."""
    client_id, client_secret, grant_type = (form.get(name, "") for name in _FIELDS)
    if not grant_type:
        raise _OAuthError(400, "invalid_request", "grant_type is missing.")
    if not state.tokens.accepts(client_id, client_secret):
        raise _OAuthError(401, "invalid_client", "The client id or the client secret is wrong.")
    if grant_type == "client_credentials":
        return None
    if grant_type not in _CONSENTED:
        raise _OAuthError(400, "unsupported_grant_type", f"The sandbox grants {', '.join(_GRANTS)} only.")
    refresh_token = _CONSENTED[grant_type](form, state.consents)
    if refresh_token is None:
        raise _OAuthError(400, "invalid_grant", "The code or the refresh token is wrong, used, expired or revoked.")
    return refresh_token


def _redeem(form: dict[str, str], consents: Consents) -> str | None:
    code, redirect_uri = _required(form, "code"), _required(form, "redirect_uri")
    return consents.redeem(code, redirect_uri, form.get("code_verifier"))


def _refresh(form: dict[str, str], consents: Consents) -> str | None:
    return consents.refresh(_required(form, "refresh_token"))


def _required(form: dict[str, str], name: str) -> str:
    if not form.get(name):
        raise _OAuthError(400, "invalid_request", f"{name} is missing.")
    return form[name]


_CONSENTED: Mapping[str, Callable[[dict[str, str], Consents], str | None]] = {
    "authorization_code": _redeem,
    "refresh_token": _refresh,
}
_GRANTS = "client_credentials", *_CONSENTED
