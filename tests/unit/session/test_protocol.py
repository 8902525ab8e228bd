import datetime as dt
from email.utils import formatdate
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from criteo_audiences.errors import (
    ApiVersionGoneError,
    AuthenticationError,
    InvalidRequestError,
    InvalidResponseError,
    NotFoundError,
    PayloadTooLargeError,
    PermissionDeniedError,
    RateLimitExceeded,
    ResponseError,
    ServerError,
)
from criteo_audiences.models import RateLimit
from criteo_audiences.session import Request, Response
from criteo_audiences.session.protocol import decipher, is_quickly_read, json_request, read_rate_limit

NOW = 1_800_000_000.0


def refused(status: int, document: object = None, **headers: str) -> ResponseError:
    """Returns the error that an answer is deciphered to."""
    body = document if isinstance(document, bytes) else orjson.dumps(document)
    with pytest.raises(ResponseError) as caught:
        decipher(Response(status=status, headers=headers, body=body, received_at=NOW))
    return caught.value


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (300, InvalidRequestError),
        (301, InvalidRequestError),
        (302, InvalidRequestError),
        (307, InvalidRequestError),
        (308, InvalidRequestError),
        (400, InvalidRequestError),
        (401, AuthenticationError),
        (402, InvalidRequestError),
        (403, PermissionDeniedError),
        (404, NotFoundError),
        (408, InvalidRequestError),
        (409, InvalidRequestError),
        (410, ApiVersionGoneError),
        (413, PayloadTooLargeError),
        (415, InvalidRequestError),
        (418, InvalidRequestError),
        (429, RateLimitExceeded),
        (499, InvalidRequestError),
        (500, ServerError),
        (502, ServerError),
        (503, ServerError),
        (504, ServerError),
        (599, ServerError),
    ],
)
def test_status_decides_the_class(status: int, kind: type[ResponseError]) -> None:
    """Each status becomes exactly the class that says what the caller can do, with the status in its message."""
    error = refused(status, {"errors": []})
    assert type(error) is kind
    assert error.status == status
    assert f"HTTP {status}" in str(error)


@pytest.mark.parametrize("status", [300, 301, 302, 307, 399])
def test_redirect_says_what_to_check(status: int) -> None:
    """A redirect is refused with advice, and its target is not shown."""
    error = refused(status, b"", location="https://elsewhere.example/?email=john.doe@example.com")
    assert str(error) == f"Criteo answered HTTP {status}. Redirects are not followed: check the base URL."


@pytest.mark.parametrize(
    ("body", "document"),
    [
        (b"", None),
        (b" \r\n", None),
        (b"null", None),
        (b"{}", {}),
        (b"\xef\xbb\xbf{}", {}),
        (b'{"data":[]}', {"data": []}),
        (b"[1]", [1]),
    ],
)
@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_success_is_its_document(status: int, body: bytes, document: object) -> None:
    """A 2xx answer is its JSON document; an empty one is `None` where its status says that there is no more to say."""
    expected = {} if document is None and not body.strip() and status in {200, 202} else document
    assert decipher(Response(status=status, body=body)) == expected


@pytest.mark.parametrize(
    "body", [b"<html>secret@example.com</html>", b'{"data": "secret@exam', b"\xff\xfe", b"{'a': 1}"]
)
def test_success_that_is_no_json_is_unreadable(body: bytes) -> None:
    """A 2xx answer that is no JSON is refused without showing it, also not in the traceback's chain."""
    with pytest.raises(InvalidResponseError) as caught:
        decipher(Response(status=200, body=body))
    assert str(caught.value) == "Criteo's answer (HTTP 200) cannot be read: not a JSON document @ $."
    assert caught.value.status == 200
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'"text"',
        b"<html><body>Bad gateway</body></html>",
        b'{"errors": [{"code": "x"',
        b"\xff\xfe\x00",
        b"{}",
        b'{"errors": null}',
        b'{"errors": []}',
        b'{"errors": "text"}',
        b'{"errors": {"code": "x"}}',
        b'{"errors": ["x", 5, null]}',
        b"[" * 5_000,
    ],
)
@pytest.mark.parametrize(("status", "kind"), [(400, InvalidRequestError), (502, ServerError), (429, RateLimitExceeded)])
def test_error_without_problems_is_still_its_class(status: int, kind: type[ResponseError], body: bytes) -> None:
    """An error answer without readable problems, such as a gateway's page, is an error of its status all the same."""
    error = refused(status, body)
    assert type(error) is kind
    assert (error.problems, error.codes, error.trace_id) == ((), (), None)


def test_problems_are_read() -> None:
    """An error carries its problems, whose codes, items and first trace id stand in the message."""
    document = {
        "errors": [
            {
                "type": "validation",
                "code": "name-must-be-unique",
                "instance": "@data/1",
                "title": "Not unique",
                "detail": "The name 'x' is taken",
                "stackTrace": ["at X"],
            },
            {"type": "quota", "code": None, "instance": "/2026-07/marketing-solutions/x", "traceIdentifier": "abc-1"},
            "no problem",
        ]
    }
    error = refused(400, document)
    assert str(error) == (
        "Criteo answered HTTP 400: name-must-be-unique at @data/1, "
        "no readable code at /2026-07/marketing-solutions/x (trace abc-1)."
    )
    first, second = error.problems
    assert (first.title, first.detail, first.index) == ("Not unique", "The name 'x' is taken", 1)
    assert (second.trace_id, second.index) == ("abc-1", None)
    assert error.codes == ("name-must-be-unique",)


def test_trace_id_goes_before_its_deprecated_twin() -> None:
    """`traceId` is used where both it and `traceIdentifier` are there."""
    assert refused(500, {"errors": [{"traceId": "new", "traceIdentifier": "old"}]}).trace_id == "new"


def test_only_the_first_problems_are_listed() -> None:
    """A message lists three problems and the number of the others."""
    error = refused(400, {"errors": [{"code": f"code-{n}"} for n in range(50)]})
    assert str(error) == "Criteo answered HTTP 400: code-0, code-1, code-2 and 47 more."
    assert len(error.problems) == 50


def test_oauth_refusal_is_a_problem() -> None:
    """A token endpoint's refusal (RFC 6749 §5.2) shows its error code, not its description."""
    error = refused(400, {"error": "invalid_grant", "error_description": "john.doe@example.com"})
    assert str(error) == "Criteo answered HTTP 400: invalid_grant."


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"x-ratelimit-limit": "many"}, None),
        ({"x-ratelimit-limit": "250"}, RateLimit(limit=250)),
        ({"x-ratelimit-remaining": " 0 "}, RateLimit(remaining=0)),
        ({"x-ratelimit-limit": "250.0", "x-ratelimit-remaining": "-1"}, RateLimit(limit=250)),
        ({"x-ratelimit-limit": "9" * 400}, None),
        ({"x-ratelimit-reset": "9" * 15}, None),
        ({"x-ratelimit-reset": "inf"}, None),
        (
            {"x-ratelimit-reset": "1800000030"},
            RateLimit(reset_at=dt.datetime.fromtimestamp(1_800_000_030, dt.UTC), reset_in=30.0),
        ),
    ],
)
def test_rate_limit_headers_are_read(headers: dict[str, str], expected: RateLimit | None) -> None:
    """The three headers are read as far as they can be; the reset is epoch seconds."""
    assert read_rate_limit(Response(status=200, headers=headers, received_at=NOW)) == expected


@pytest.mark.parametrize("skew", [-300, -2, 2, 300, 86_400])
def test_reset_counts_on_the_servers_clock(skew: int) -> None:
    """Where the clocks disagree, the wait for the reset is counted from the answer's own `Date`."""
    server = int(NOW) + skew
    headers = {"date": formatdate(server, usegmt=True), "x-ratelimit-reset": str(server + 17)}
    limit = read_rate_limit(Response(status=429, headers=headers, received_at=NOW))
    assert limit is not None
    assert limit.reset_in == 17.0


@pytest.mark.parametrize("skew", [-1.999, 0.0, 1.999])
def test_reset_counts_on_our_clock_where_both_agree(skew: float) -> None:
    """Within two seconds our own clock is the finer one, since `Date` is cut to whole seconds."""
    headers = {"date": formatdate(NOW, usegmt=True), "x-ratelimit-reset": str(int(NOW) + 17)}
    limit = read_rate_limit(Response(status=429, headers=headers, received_at=NOW + skew))
    assert limit is not None
    assert limit.reset_in == pytest.approx(17.0 - skew)


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "later"}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": " 12 "}, 12.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": "3600"}, 3600.0),
        ({"retry-after": "3601"}, 3600.0),
        ({"retry-after": formatdate(NOW + 90, usegmt=True)}, 90.0),
        ({"retry-after": formatdate(NOW - 90, usegmt=True)}, 0.0),
        ({"retry-after": formatdate(NOW + 390, usegmt=True), "date": formatdate(NOW + 300, usegmt=True)}, 90.0),
        ({"retry-after": "Mon, 01 Jan 2024 00:00:00 +" + "9" * 30}, None),
    ],
)
@pytest.mark.parametrize("status", [408, 429, 503])
def test_retry_after_is_seconds_or_a_date(status: int, headers: dict[str, str], wait: float | None) -> None:
    """`Retry-After` is bounded to an hour, never negative, and a spelling that cannot be read counts as absent."""
    assert refused(status, b"", **headers).retry_after == wait


def test_429_carries_the_rate_limit() -> None:
    """A 429 tells what was announced, and waits for the reset unless `Retry-After` says otherwise."""
    headers = {"x-ratelimit-limit": "250", "x-ratelimit-remaining": "0", "x-ratelimit-reset": "1800000040"}
    error = refused(429, b"", **headers)
    assert isinstance(error, RateLimitExceeded)
    assert error.rate_limit == RateLimit(
        limit=250, remaining=0, reset_at=dt.datetime.fromtimestamp(1_800_000_040, dt.UTC), reset_in=40.0
    )
    assert error.retry_after == 40.0
    assert refused(429, b"", **headers, **{"retry-after": "3"}).retry_after == 3.0
    assert refused(503, b"", **headers).retry_after is None


@given(text=st.text(alphabet=st.characters(max_codepoint=0xFF), max_size=60))
def test_no_header_breaks_the_reading(text: str) -> None:
    """Whatever a server writes into its headers, an answer is read."""
    names = ["date", "retry-after", "x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"]
    error = refused(429, b"", **dict.fromkeys(names, text))
    assert error.retry_after is None or 0.0 <= error.retry_after <= 3_600.0


@given(body=st.binary(max_size=200), status=st.integers(200, 599))
def test_no_body_breaks_the_reading(body: bytes, status: int) -> None:
    """Whatever a server answers, the outcome is a document or an error of ours."""
    try:
        decipher(Response(status=status, body=body))
    except (ResponseError, InvalidResponseError) as error:
        assert str(error)  # noqa: PT017 - either outcome is right


json_values: Any = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["errors", "error", "code", "type", "instance", "traceId"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@given(document=json_values)
def test_no_document_breaks_the_reading_of_problems(document: Any) -> None:
    """Whatever JSON an error answer holds, the error is of its status's class."""
    assert type(refused(404, document)) is NotFoundError


@pytest.mark.parametrize(
    ("request_", "target"),
    [
        (Request(method="GET", path="/me"), "/2026-07/me"),
        (Request(method="POST", path="/oauth2/token", versioned=False), "/oauth2/token"),
        (
            Request(method="GET", path="/x/{segment_id}/y", path_parameters={"segment_id": "812345"}),
            "/2026-07/x/812345/y",
        ),
        (
            Request(method="GET", path="/x/{segment_id}/y", path_parameters={"segment_id": "1/../2?a=b#c é"}),
            "/2026-07/x/1%2F..%2F2%3Fa%3Db%23c%20%C3%A9/y",
        ),
        (
            Request(method="GET", path="/x", query={"advertiser-id": "5", "q": "a b&c"}),
            "/2026-07/x?advertiser-id=5&q=a+b%26c",
        ),
    ],
)
def test_target_is_quoted(request_: Request, target: str) -> None:
    """What goes into a path or a query is quoted, so that an id cannot lead anywhere else."""
    assert request_.target("2026-07") == target


def test_json_request_encodes_its_payload() -> None:
    """A small payload becomes one piece of JSON, with its content type."""
    request = json_request("POST", "/x", {"data": ["é"]}, repeatable=False)
    assert (request.body, request.content_type, request.repeatable) == (
        ('{"data":["é"]}'.encode(),),
        "application/json",
        False,
    )


def test_request_shows_no_body() -> None:
    """A request's `repr` shows neither its body nor its meter."""
    shown = repr(Request(method="PATCH", path="/x", body=(b"john.doe@example.com",)))
    assert "john.doe" not in shown
    assert "PATCH" in shown


@pytest.mark.parametrize(
    ("body", "quickly"),
    [
        (b'{"data": {}, "errors": [], "warnings": []}', True),
        (b'{"errors":[ ],"warnings":null}', True),
        (b'{"data": {}, "errors": [{"code": "a"}], "warnings": []}', False),
        (b'{"errors": [], "errors": [{"code": "a"}]}', False),
        (b'{"errors": [], "\\u0065rrors": [{"code": "a"}]}', False),
    ],
)
def test_an_answer_without_problems_is_read_at_once(body: bytes, *, quickly: bool) -> None:
    """What a batch is answered takes no turn of a thread, unless there is a text to compare with 3.4 MB that were sent."""
    batch = Request(method="PATCH", path="/contact-list", body=(b"x" * 3_400_000,))
    assert is_quickly_read(Response(status=200, body=body), batch) is quickly
