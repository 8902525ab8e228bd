"""What is planted here must not come out anywhere: the design's rule that no secret and no identifier is ever shown."""

import asyncio
import logging
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from criteo_audiences.errors import CriteoError, TransportError
from criteo_audiences.models import ContactListOperation
from criteo_audiences.session import (
    AccessToken,
    ClientCredentials,
    Event,
    Request,
    Response,
    StaticToken,
    TokenSource,
)
from criteo_audiences.session.codec import read_one
from criteo_audiences.session.consent import AuthorizationCode, OnRotate, RefreshToken
from criteo_audiences.session.protocol import json_request
from criteo_audiences.settings import read_login

SECRET, CLIENT, TOKEN, EMAIL = "planted-secret", "planted-client", "planted-token", "john.doe@example.com"
PLANTED = (SECRET, CLIENT, TOKEN, EMAIL, "john.doe", "planted")
AMEND = json_request(
    "PATCH", "/lists/{segment_id}", {"identifiers": [EMAIL]}, path_parameters={"segment_id": "planted-id"}
)
FIELDS = ("type", "code", "instance", "traceId", "traceIdentifier", "title", "detail", "stackTrace")
ECHO = dict.fromkeys(FIELDS, EMAIL)
ECHOES = [
    {"errors": [ECHO]},
    {"errors": [{**ECHO, "instance": f"@data/0/{EMAIL}"}]},
    {"errors": [{**ECHO, "instance": f"/x/{EMAIL}", "code": f"bad-{EMAIL}"}]},
    {"errors": [{**ECHO, "code": f"ok\n{EMAIL}", "traceId": f"abc {EMAIL}"}]},
    {"errors": [ECHO] * 10, "warnings": [ECHO], "data": EMAIL},
    {"error": EMAIL, "error_description": EMAIL},
    {"error": SECRET + "@", "error_description": TOKEN},
    [EMAIL],
    EMAIL,
]


def shown_by(error: BaseException) -> Iterator[str]:
    """Yields everything that a program shows of an error: its texts, its traceback, what hangs below it."""
    yield str(error)
    yield repr(error)
    yield "".join(traceback.format_exception(error))
    for attribute in vars(error).values():
        if not isinstance(attribute, str):  # text that Criteo sent is kept for who asks for it, and never shown
            yield repr(attribute)
            yield " ".join(map(str, attribute)) if isinstance(attribute, tuple) else str(attribute)


def check(texts: Iterator[str] | list[str]) -> None:
    """Greps texts for everything that was planted."""
    for text in texts:
        for planted in PLANTED:
            assert planted not in text


@pytest.fixture
def everything(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """All logging there is, at DEBUG."""
    caplog.set_level(logging.DEBUG)
    return caplog


def credentials() -> ClientCredentials:
    """Returns planted credentials."""
    return ClientCredentials(client_id=CLIENT, client_secret=SECRET)


APPLICATION = {"client_id": CLIENT, "client_secret": SECRET}
VARIABLES = {f"CRITEO_{name.upper()}": value for name, value in APPLICATION.items()}
LOGINS = ["application", "refresh token", "code", "variables", "file", "profile"]


async def failing(token: str) -> None:
    """Stores nothing, and says in its error what it could not store, as databases do."""
    raise RuntimeError(f"cannot store {token}")


def login(kind: str, folder: Path, on_rotate: OnRotate | None = None) -> TokenSource:
    """Returns planted credentials of a kind; the files they live in are in a folder."""
    (folder / "criteo-audiences").mkdir(exist_ok=True)
    file, profiles = folder / "refresh", folder / "criteo-audiences" / "profiles.toml"
    file.write_text("planted-refresh")
    profiles.write_text(
        f'[a]\nclient_id = "{CLIENT}"\nclient_secret = "{SECRET}"\nrefresh_token_file = "{file.as_posix()}"\n'
    )
    profiles.chmod(0o600)
    if kind == "application":
        return credentials()
    if kind == "refresh token":
        return RefreshToken(**APPLICATION, refresh_token="planted-refresh", on_rotate=on_rotate)
    if kind == "code":
        options = {"redirect_uri": "https://app.example/planted", "code_verifier": "planted" * 7}
        return AuthorizationCode(**APPLICATION, **options, code="planted-code", on_rotate=on_rotate)
    if kind == "profile":
        return read_login({"XDG_CONFIG_HOME": str(folder), "APPDATA": str(folder)}, "a").credentials
    variable = {"CRITEO_REFRESH_TOKEN_FILE": str(file)} if kind == "file" else {"CRITEO_REFRESH_TOKEN": "planted-x"}
    return read_login(VARIABLES | variable).credentials


@pytest.fixture
async def talkative(everything: Any, short_stacks: None) -> Any:  # noqa: ARG001 - in place before it logs
    """A loop that logs each callback, with what it was called with; of the stack that made it, only the last line."""
    loop = asyncio.get_running_loop()
    loop.set_debug(True)
    loop.slow_callback_duration = 0.0
    return everything


@pytest.mark.parametrize("kind", LOGINS)
@pytest.mark.parametrize(
    "answers",
    [
        [Response(status=200, body=orjson.dumps(each))]
        for each in [
            {"access_token": TOKEN, "expires_in": 900, "refresh_token": "planted-new"},
            {"access_token": TOKEN, "expires_in": 900, "refresh_token": ["planted-new"]},
            {"access_token": TOKEN + "\n", "expires_in": 900, "refresh_token": "planted-new"},
            {"access_token": TOKEN, "expires_in": "planted", "refresh_token": "planted-new\n"},
        ]
    ]
    + [[Response(status=400, body=b'{"error":"invalid_grant","error_description":"planted"}')]]
    + [[]],
    ids=range(6),
)
@pytest.mark.parametrize("on_rotate", [None, failing])
async def test_login_stays_unseen(
    transport: Any,
    make_session: Any,
    talkative: Any,
    tmp_path: Path,
    kind: str,
    answers: list[Any],
    on_rotate: OnRotate | None,
) -> None:
    """No id, secret, code, verifier or refresh token of any login is shown, however its token call ends."""
    events: list[Event] = []
    transport.token_script.extend(answers)
    source = login(kind, tmp_path, on_rotate)
    session = make_session(source, on_event=events.append)
    try:
        await session.send(AMEND)
    except CriteoError as error:
        check(shown_by(error))
    check([repr(source), str(source), repr([source]), repr(session), *map(repr, events)])
    check([talkative.text])
    assert "asyncio" in {record.name for record in talkative.records}


@pytest.mark.parametrize("status", [200, 302, 400, 401, 403, 404, 413, 429, 500, 503])
@pytest.mark.parametrize("document", ECHOES)
async def test_hostile_echo_stays_unseen(
    transport: Any, make_session: Any, finish: Any, everything: Any, status: int, document: object
) -> None:
    """A server that echoes an identifier in every field it has gets it into no message, `repr`, traceback, event or log."""
    events: list[Event] = []
    transport.always = Response(
        status=status, body=orjson.dumps(document), headers={"location": EMAIL, "retry-after": EMAIL, "date": EMAIL}
    )
    transport.always_token = transport.token(TOKEN)
    session = make_session(credentials(), on_event=events.append)
    with pytest.raises(CriteoError) as caught:
        read_one(await finish(session.send(AMEND)), ContactListOperation)
    check(shown_by(caught.value))
    check([f"{event} {event!r}" for event in events])
    check([everything.text])
    assert any(event.name == "request.started" for event in events)
    assert "request.started" in everything.text


@pytest.mark.parametrize("document", ECHOES)
@pytest.mark.parametrize("status", [200, 400, 401, 500])
async def test_hostile_token_endpoint_stays_unseen(
    transport: Any, make_session: Any, finish: Any, everything: Any, status: int, document: object
) -> None:
    """A token endpoint that echoes the credentials gets them into no message, `repr`, traceback or log."""
    transport.always_token = Response(status=status, body=orjson.dumps(document))
    with pytest.raises(CriteoError) as caught:
        await finish(make_session(credentials()).send(AMEND))
    check(shown_by(caught.value))
    check([everything.text])


@pytest.mark.parametrize("body", [EMAIL.encode(), f"<p>{EMAIL}".encode(), b'{"data": {"attributes": "john.doe"}}'])
async def test_unreadable_answer_stays_unseen(
    transport: Any, make_session: Any, finish: Any, everything: Any, body: bytes
) -> None:
    """An answer that cannot be read is not shown, also not by what the JSON library raised."""
    transport.always = Response(status=200, body=body)
    with pytest.raises(CriteoError) as caught:
        read_one(await finish(make_session(credentials()).send(AMEND)), ContactListOperation)
    check(shown_by(caught.value))
    check([everything.text])


async def test_error_after_a_lost_answer_shows_nothing_of_it(
    transport: Any, make_session: Any, finish: Any, everything: Any
) -> None:
    """An error that ends a call of several attempts shows nothing of what the earlier ones carried."""
    transport.script.extend([TransportError("lost"), Response(status=401, body=orjson.dumps({"errors": [ECHO]}))])
    transport.always = Response(status=400, body=orjson.dumps({"errors": [ECHO]}))
    with pytest.raises(CriteoError) as caught:
        await finish(make_session(credentials()).send(AMEND))
    check(shown_by(caught.value))
    check([everything.text])


def test_nothing_that_holds_a_secret_shows_it(make_session: Any) -> None:
    """No object that holds a secret, a token or an identifier shows it."""
    session = make_session(credentials())
    call = Request(method="POST", path="/x", body=(EMAIL.encode(),))
    objects: list[object] = [
        credentials(),
        StaticToken(TOKEN),
        AccessToken(value=TOKEN, lifetime=900),
        session,
        call,
        ContactListOperation(sample_invalid=(EMAIL,)),
        [credentials()],
        {"x": StaticToken(TOKEN)},
    ]
    check([f"{each} {each!r}" for each in objects])
