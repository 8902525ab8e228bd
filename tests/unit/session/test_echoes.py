import base64
import codecs
import hashlib
import pickle
from typing import Any

import orjson
import pytest

from criteo_audiences import CriteoError, IdentifierType, PartialFailureError, Problem
from criteo_audiences.batches import single_batch
from criteo_audiences.contact_lists import amend_body
from criteo_audiences.errors import InvalidRequestError, InvalidResponseError
from criteo_audiences.models import ContactListOperation, printable_trace_id
from criteo_audiences.session import Request, Response, RetryPolicy, StaticToken
from criteo_audiences.session.echoes import Echoes
from criteo_audiences.session.endpoints import send_bulk, send_for_one
from criteo_audiences.session.protocol import MOST_OF_MANY

EMAIL, PHONE, SHORT = "Jane.Doe@example.com", "+33 6 12 34 56 78", "77"
TOKEN = "planted-token-4711"
SENT = [EMAIL.lower(), "+33612345678", SHORT]


def sha256(text: str) -> str:
    """Returns the digest in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def md5(text: str) -> str:
    """Returns the digest in hexadecimal."""
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def amendment(identifiers: list[str]) -> Request:
    """Returns a call that carries identifiers."""
    body = amend_body("ContactlistAmendment", {"operation": "add"}, single_batch(identifiers))
    return Request(method="PATCH", path="/lists", body=body)


async def shown(transport: Any, make_session: Any, identifiers: list[str], field: str, text: str) -> str:
    """Lets the server answer with a text in a field; returns all that is shown of it."""
    transport.always = Response(status=400, body=orjson.dumps({"errors": [{"code": "invalid", field: text}]}))
    with pytest.raises(InvalidRequestError) as caught:
        await make_session(StaticToken(TOKEN)).send(amendment(identifiers))
    error = caught.value
    return f"{error} {error!r} {error.problems} {error.problems[0]} {printable_trace_id(error.trace_id)}"


ECHOES = {
    "local part": "jane.doe",
    "in other clothes": "JANE-DOE-EXAMPLE-COM",
    "in the middle": "invalid-jane.doe-example.com-value",
    "phone": "33612345678",
    "phone with separators": "33-6-12.34.56.78",
    "within a number": "9933612345678001",
    "short": "77",
    "short in a path": "lists/77",
    "md5": md5(EMAIL.lower()),
    "md5 as uuid": "-".join([md5(EMAIL.lower())[at : at + 8] for at in range(0, 32, 8)]),
    "sha256": sha256(EMAIL.lower()),
    "sha256 upper": sha256(EMAIL.lower()).upper(),
    "half a sha256": sha256(EMAIL.lower())[:32],
    "sha256 of digits": sha256("33612345678"),
    "sha256 of md5": sha256(md5(EMAIL.lower())),
    "e-mail in clear": EMAIL.lower(),
    "e-mail in upper case": EMAIL.upper(),
    "phone with a plus": "+33612345678",
    "md5 within a code": f"x{md5(EMAIL.lower())}y",
    "part of the token in a code": "invalid-planted",
    "token": TOKEN,
    "part of the token": "token-4711",
    "digest of the token": sha256(TOKEN),
    "md5 of sha256": md5(sha256(EMAIL.lower())),
    "sha224": hashlib.sha224(EMAIL.lower().encode()).hexdigest(),
    "blake2": hashlib.blake2b(EMAIL.lower().encode()).hexdigest(),
    "middle of a sha256": sha256(EMAIL.lower())[20:36],
    "spelled out": "jane.doe-at-example-dot-com",
    "reversed": EMAIL.lower()[::-1].replace("@", "-"),
    "rot13": codecs.encode(EMAIL.lower().replace("@", "-"), "rot13"),
    "reversed token": TOKEN[::-1],
    "base64": base64.b64encode(EMAIL.lower().encode()).decode(),
    "base64 for URLs": base64.urlsafe_b64encode(b"~~" + EMAIL.lower().encode()).decode().rstrip("="),
    "base64 twice": base64.b64encode(base64.b64encode(EMAIL.lower().encode())).decode(),
    "base64 of a digest": base64.b64encode(hashlib.sha256(EMAIL.lower().encode()).digest()).decode(),
    "base32": base64.b32encode(EMAIL.lower().encode()).decode(),
    "bytes": EMAIL.lower().encode().hex(),
    "bytes with colons": EMAIL.lower().encode().hex(":"),
    "character codes": " ".join(str(ord(character)) for character in EMAIL.lower()),
    "bits": "".join(f"{ord(character):08b}" for character in EMAIL.lower()[:12]),
    "HTML": "".join(f"&#{ord(character)};" for character in EMAIL.lower()),
    "escapes": "".join(f"u{ord(character):04x}" for character in EMAIL.lower()),
    "a number of bytes": str(int.from_bytes(EMAIL.lower().encode())),
    "a number of a digest": str(int(sha256(EMAIL.lower()), 16)),
}


@pytest.mark.parametrize("field", ["code", "instance", "traceId", "traceIdentifier"])
@pytest.mark.parametrize("name", ECHOES)
async def test_nothing_that_the_call_sent_is_shown(transport: Any, make_session: Any, field: str, name: str) -> None:
    """An identifier, in other clothes or hashed, a part of one, or the token: in no message, repr or trace id."""
    text = await shown(transport, make_session, SENT, field, ECHOES[name])
    assert ECHOES[name] not in text


@pytest.mark.parametrize("field", ["code", "instance", "traceId"])
@pytest.mark.parametrize("text", ["33612345678", sha256(EMAIL.lower()), EMAIL.lower()[::-1].replace("@", "")])
async def test_pieces_in_a_row_are_not_shown(transport: Any, make_session: Any, field: str, text: str) -> None:
    """A server may put a piece into each problem, the first or the last one first."""
    pieces = [text[at : at + 4] for at in range(0, len(text), 4)]
    for row in (pieces, pieces[::-1]):
        body = orjson.dumps({"errors": [{"code": "invalid", field: piece} for piece in row]})
        transport.always = Response(status=400, body=body)
        with pytest.raises(InvalidRequestError) as caught:
            await make_session(StaticToken(TOKEN)).send(amendment(SENT))
        assert pieces[0] not in repr(caught.value.problems)


class NeverRead(tuple[bytes, ...]):
    """The body of a call that nothing looks into."""

    __slots__ = ()

    def __getitem__(self, _: Any) -> Any:
        pytest.fail("the body was read")

    def __iter__(self) -> Any:
        pytest.fail("the body was read")


def test_what_was_sent_is_read_only_where_an_answer_shows_texts() -> None:
    """Nearly every answer shows none, and its call may have sent 50,000 identifiers."""
    body = NeverRead((b'{"data":{"attributes":{"identifiers":["a@example.com"]}}}',))
    Echoes(body, ["secret"]).compare({"data": {}, "errors": [], "warnings": []}, 10)
    with pytest.raises(pytest.fail.Exception):
        Echoes(body, ["secret"]).compare({"errors": [{"code": "refused"}]}, 10)


async def test_an_honest_answer_has_few_different_texts(transport: Any, make_session: Any) -> None:
    """So no more than 64 are compared; the others are not shown."""
    errors = [
        {"code": f"code-{chr(97 + n // 26)}-{chr(97 + n % 26)}", "instance": f"@data/{n}/name"} for n in range(90)
    ]
    transport.always = Response(status=400, body=orjson.dumps({"errors": errors}))
    with pytest.raises(InvalidRequestError) as caught:
        await make_session(StaticToken(TOKEN)).send(amendment(SENT))
    problems = caught.value.problems
    assert [each.index for each in problems] == list(range(90))
    assert sum("code-" in str(each) for each in problems) == 62  # an item alone and its path are the others


@pytest.mark.parametrize("text", ["33612345678", "lists/33612345678", "+33612345678"])
async def test_what_was_sent_hashed_is_not_shown_in_clear(transport: Any, make_session: Any, text: str) -> None:
    """A server that knows whose digest it got may not show it either."""
    assert text not in await shown(transport, make_session, [sha256("33612345678")], "instance", text)


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("code", "segment-not-found"),
        ("code", "error-2026-11-26-1234567"),
        ("instance", "@data/3/lists/812345678"),
        ("instance", "/audience-segments/812345678901/contact-list"),
        ("traceId", "7654321"),
        ("traceId", "667ac683ac797284.667ac683ac797284<:667ac683ac797284"),
        ("code", "The segment is used by 3 campaigns, and can't be removed."),
        ("traceId", "Root=1-67891233-abcdef012345678912345678"),
        ("traceId", "9f86d081884c7d659a2feaa0c55ad015"),
        ("traceIdentifier", "000000000000000012345678901"),
    ],
)
async def test_what_the_call_did_not_send_is_shown(transport: Any, make_session: Any, field: str, text: str) -> None:
    """Numbers and hexadecimal text are no secret by their shape: support can be told them."""
    assert text in await shown(transport, make_session, SENT, field, text)


@pytest.mark.parametrize("text", ["5757465e-7315-4123-8989-888fb2147a95", "12345678-1234-4123-8989-00000000000a"])
async def test_a_trace_id_is_no_phone_number(transport: Any, make_session: Any, text: str) -> None:
    """Though parts of it have digits only, and a digest was sent, which may be of any number."""
    assert text in await shown(transport, make_session, [sha256("33612345678")], "traceId", text)


@pytest.mark.parametrize("text", ["a@b.example", "two\nlines", "x" * 300, "tab\there", "\x1b[31m", "naïve"])
async def test_no_shape_of_an_address_or_of_a_line_break_is_shown(transport: Any, make_session: Any, text: str) -> None:
    """Whoever's address it is, and whatever would change a terminal or a log."""
    assert text not in await shown(transport, make_session, SENT, "code", text)


async def test_an_echo_keeps_the_item_it_is_about(transport: Any, make_session: Any) -> None:
    """The position is ours; what follows it is not shown."""
    transport.always = Response(status=400, body=orjson.dumps({"errors": [{"instance": f"@data/3/{EMAIL.lower()}"}]}))
    with pytest.raises(InvalidRequestError) as caught:
        await make_session(StaticToken(TOKEN)).send(amendment(SENT))
    assert caught.value.problems[0].index == 3


@pytest.mark.parametrize("secret", ["the-id", "the-secret", "token-1", sha256("the-secret"), md5("the-id")])
async def test_a_login_is_not_shown(transport: Any, make_session: Any, finish: Any, secret: str) -> None:
    """Client id, secret and token, at the token endpoint and at the API."""
    transport.always = Response(status=404, body=orjson.dumps({"errors": [{"code": secret, "traceId": secret}]}))
    with pytest.raises(CriteoError) as caught:
        await finish(make_session().send(Request(method="GET", path="/x")))
    assert secret not in f"{caught.value} {caught.value.problems}"  # type: ignore[attr-defined]
    transport.always_token = Response(status=401, body=orjson.dumps({"error": secret}))
    with pytest.raises(CriteoError) as caught:
        await finish(make_session().authenticate())
    assert secret not in f"{caught.value} {caught.value.problems}" or secret == "token-1"  # type: ignore[attr-defined]


async def test_a_receipt_shows_neither_list_nor_large_numbers(transport: Any, make_session: Any) -> None:
    """A phone number may stand in either."""
    attributes = {"contactListId": 33612345678, "nbValidIdentifiers": 33612345678, "nbInvalidIdentifiers": 3}
    transport.always = Response(status=200, body=orjson.dumps({"data": {"attributes": attributes}}))
    receipt = await send_for_one(make_session(), amendment(SENT), ContactListOperation)
    assert "33612345678" not in repr(receipt)
    assert "invalid=3" in repr(receipt)


async def test_what_was_compared_crosses_a_process_border(transport: Any, make_session: Any) -> None:
    """Pickled and read again, the same is shown."""
    body = orjson.dumps({"errors": [{"code": "e-1234567", "traceId": "1234567"}]})
    transport.always = Response(status=400, body=body)
    with pytest.raises(InvalidRequestError) as caught:
        await make_session(StaticToken(TOKEN)).send(amendment(SENT))
    again = pickle.loads(pickle.dumps(caught.value))  # noqa: S301 - our own
    assert (str(again), repr(again.problems)) == (str(caught.value), repr(caught.value.problems))


def test_a_problem_made_by_hand_shows_what_its_shape_allows() -> None:
    """Nothing is known of what was sent, so a number of seven digits is none of ours."""
    assert str(Problem(code="e-1234567")) == "no readable code"
    assert "1234567" not in repr(Problem(trace_id="1234567", instance="/x/1234567"))


def longest_answers() -> dict[str, tuple[Request, bytes]]:
    """Returns the largest answers that Criteo can mean."""
    samples = ["x" * 60 + f"{number:05}@example.com" for number in range(20_000)]
    receipt = {"nbValidIdentifiers": 0, "nbInvalidIdentifiers": 10, "sampleInvalidIdentifiers": samples}
    segment = {"id": "1" * 18, "type": "AudienceSegment", "attributes": {"name": "n" * 256, "description": "d" * 4_000}}
    errors = [{"code": "name-must-be-unique", "instance": f"@data/{n}", "detail": "d" * 200} for n in range(9_000)]
    search = Request(method="POST", path="/search", most_bytes=MOST_OF_MANY)
    return {
        "receipt": (amendment(["a"]), orjson.dumps({"data": {"attributes": receipt}})),
        "page": (search, orjson.dumps({"data": [segment] * 500, "meta": {"totalItems": 500}})),
        "errors": (search, orjson.dumps({"errors": errors})),
    }


@pytest.mark.parametrize("name", ["receipt", "page", "errors"])
async def test_the_largest_answers_that_make_sense_are_read(transport: Any, make_session: Any, name: str) -> None:
    """Twenty thousand samples, a full page of long descriptions, and thousands of problems fit."""
    request, body = longest_answers()[name]
    assert len(body) <= request.most_bytes
    transport.always = Response(status=200, body=body)
    if name == "receipt":
        receipt = await send_for_one(make_session(retry=RetryPolicy(attempts=1)), request, ContactListOperation)
        assert len(receipt.sample_invalid or ()) == 20_000
    else:
        result = await send_bulk(make_session(retry=RetryPolicy(attempts=1)), request, Any)  # type: ignore[arg-type]
        assert len(result.items or result.errors) in {500, 9_000}


@pytest.mark.parametrize(
    "body",
    [
        b'{"data":[' + b"1," * 200_000 + b"1]}",
        b'{"data":[' + b"{}," * 100_000 + b"1]}",
        b'{"data":[' + b'{"id":"1"},' * 25_000 + b'{"id":"1"}]}',
        b'{"errors":[' + b'{"code":"x"},' * 12_000 + b'{"code":"x"}]}',
    ],
    ids=["numbers", "objects", "items", "problems"],
)
async def test_an_answer_of_too_many_parts_is_refused(transport: Any, make_session: Any, body: bytes) -> None:
    """Values, items and problems are bounded, whatever the bytes are."""
    transport.always = Response(status=200, body=body)
    with pytest.raises(InvalidResponseError, match="more than"):
        await send_bulk(
            make_session(retry=RetryPolicy(attempts=1)), Request(method="POST", path="/x", most_bytes=MOST_OF_MANY), Any
        )  # type: ignore[arg-type]


@pytest.mark.parametrize("status", [200, 400, 503])
async def test_a_single_call_keeps_a_hundred_problems(transport: Any, make_session: Any, status: int) -> None:
    """Each with texts of bounded length: thousands of failed batches are kept in a report."""
    problem = {"code": "x", "detail": "d" * 5_000}
    transport.always = Response(status=status, body=orjson.dumps({"errors": [problem] * 300}))
    call = amendment(["a@example.com"])
    with pytest.raises(CriteoError) as caught:
        await send_for_one(make_session(retry=RetryPolicy(attempts=1)), call, ContactListOperation)
    assert isinstance(caught.value, PartialFailureError) is (status == 200)
    assert len(caught.value.problems) == 100  # type: ignore[attr-defined]
    assert {len(each.detail) for each in caught.value.problems} == {1_000}  # type: ignore[attr-defined]


def test_base64_of_what_was_sent_is_of_no_shape_that_is_shown() -> None:
    """A text with the signs of base64's padding is shown only where it was compared."""
    text = base64.b64encode(hashlib.sha256(EMAIL.encode()).digest()).decode()
    assert str(Problem(code=text)) == "no readable code"
    assert IdentifierType.EMAIL.is_known
