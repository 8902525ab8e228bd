import logging
import warnings
from typing import Any

import orjson
import pytest

from criteo_audiences.errors import ApiVersionGoneError
from criteo_audiences.session import Request, Response

READ = Request(method="GET", path="/things")
SUNSET = "Sun, 31 Jan 2027 00:00:00 GMT"


def answer(*warned: dict[str, Any], **headers: str) -> Response:
    """Returns a success with warnings and headers."""
    return Response(status=200, body=orjson.dumps({"data": {}, "warnings": list(warned)}), headers=headers)


@pytest.mark.parametrize(
    ("response", "message"),
    [
        (answer(deprecation="true"), "is deprecated"),
        (answer(deprecation="@1800000000"), "is deprecated"),
        (answer(deprecation="true", sunset=SUNSET), "is deprecated and ends on 2027-01-31"),
        (answer(deprecation="true", sunset="soon"), "is deprecated"),
        (
            answer({"type": "deprecation", "code": "endpoint-deprecated", "detail": "john.doe@example.com"}),
            "announces a deprecation (endpoint-deprecated)",
        ),
        (
            answer({"type": "deprecation", "code": "john.doe@example.com"}),
            "announces a deprecation (no readable code)",
        ),
    ],
)
async def test_end_of_a_version_is_told_once(
    transport: Any, make_session: Any, caplog: pytest.LogCaptureFixture, response: Response, message: str
) -> None:
    """What Criteo says about the end of something is a `DeprecationWarning` and a line in the log, once."""
    transport.always = response
    session = make_session()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(2):
            await session.send(READ)
    expected = f"Criteo's API version 2026-07 {message}; choose a newer api_version."
    assert [(each.category, str(each.message)) for each in caught] == [(DeprecationWarning, expected)]
    told = [(record.levelno, record.getMessage()) for record in caplog.records]
    assert told == [(logging.WARNING, expected)]


@pytest.mark.parametrize(
    "response",
    [
        answer(),
        answer(deprecation="false"),
        answer(deprecation="?0"),
        answer(sunset=SUNSET),
        answer({"type": "validation", "code": "x"}),
        Response(status=200, body=b'{"warnings":"x"}'),
        Response(status=200, body=b'["x"]'),
        Response(status=204),
    ],
)
async def test_nothing_is_told_of_nothing(transport: Any, make_session: Any, response: Response) -> None:
    """An answer that announces no end is not warned of."""
    transport.always = response
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        await make_session().send(READ)
    assert caught == []


async def test_version_that_has_ended_is_told(transport: Any, make_session: Any) -> None:
    """A 410 is an error, and warned of."""
    transport.always = Response(status=410)
    with pytest.warns(DeprecationWarning, match="version 2026-07 has ended"), pytest.raises(ApiVersionGoneError):
        await make_session().send(READ)


async def test_warning_made_an_error_loses_no_answer(transport: Any, make_session: Any) -> None:
    """A program that turns warnings into errors still gets the answer of a call that was made."""
    transport.always = answer(deprecation="true")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert (await make_session().send(READ))["data"] == {}


async def test_a_server_cannot_flood_with_endings(transport: Any, make_session: Any) -> None:
    """Twenty that differ are told of, however many it announces."""
    transport.always = answer(*({"type": "deprecation", "code": f"field-{number}"} for number in range(50)))
    session = make_session()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(2):
            await session.send(READ)
    assert len(caught) == 20
