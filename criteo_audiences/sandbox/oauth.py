"""``POST /oauth2/token``: credentials in a form, a token in JSON, as Criteo's guide has it (OpenAPI leaves it out)."""

from collections import Counter
from urllib.parse import parse_qsl

from aiohttp import web

from criteo_audiences.sandbox.bodies import discard_body, read_body
from criteo_audiences.sandbox.problems import ProblemError, json_response
from criteo_audiences.sandbox.state import STATE
from criteo_audiences.sandbox.tokens import TokenIssuer

PATH = "/oauth2/token"

_MAX_FORM_BYTES = 65_536
_FIELDS = "client_id", "client_secret", "grant_type"


class _OAuthError(Exception):
    """An error of RFC 6749, section 5.2: the token endpoint does not answer with Criteo's problems."""

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
        _check(await _form(request), state.tokens)
    except _OAuthError as error:
        await discard_body(request, max_bytes=state.max_discarded_bytes)
        return json_response(error.body, status=error.status)
    grant = {
        "access_token": state.tokens.issue(),
        "token_type": "Bearer",
        "expires_in": int(state.tokens.lifetime),
        # The sample in Criteo's guide has no such field, but the official Python SDK fails without it.
        "refresh_token": None,
    }
    return json_response(grant, headers={"Cache-Control": "no-store"})


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


def _check(form: dict[str, str], tokens: TokenIssuer) -> None:
    client_id, client_secret, grant_type = (form.get(name, "") for name in _FIELDS)
    if not grant_type:
        raise _OAuthError(400, "invalid_request", "grant_type is missing.")
    if not tokens.accepts(client_id, client_secret):
        raise _OAuthError(401, "invalid_client", "The client id or the client secret is wrong.")
    if grant_type != "client_credentials":
        raise _OAuthError(400, "unsupported_grant_type", "The sandbox grants client_credentials only.")
