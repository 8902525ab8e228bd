"""What is planted here must not come out anywhere: the design's rule that no secret and no identifier is ever shown."""

import logging
import traceback
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from criteo_audiences.errors import CriteoError, TransportError
from criteo_audiences.models import ContactListOperation
from criteo_audiences.session import AccessToken, ClientCredentials, Event, Request, Response, StaticToken
from criteo_audiences.session.codec import read_one
from criteo_audiences.session.protocol import json_request

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
