"""Words, codes and trace ids in every form that Criteo's pages have, and what is shown of an answer's texts."""

import logging
import pickle
from typing import Any

import pytest

from criteo_audiences import (
    AuthenticationError,
    ConfigurationError,
    CriteoClient,
    HashAlgorithm,
    IdentifierType,
    InvalidRequestError,
    NotFoundError,
    PartialFailureError,
    StaticToken,
)
from criteo_audiences import marketing_solutions as ms
from criteo_audiences import retail_media as rm

TRACE = "667ac683ac797284.667ac683ac797284<:667ac683ac797284"
SENTENCE = 'The "daysSinceLastVisitMax" must be greater than 0 (and at most 400%)'
PROBLEM: dict[str, Any] = {
    "type": "validation",
    "code": "name-must-be-unique",
    "instance": "@data/0",
    "title": "Name taken",
    "detail": "There is a segment of this name:\n“CRM”.",
    "source": {"name": "CRM", "count": 5},
    "stackTrace": "at Criteo",
    "traceId": TRACE,
}
CREATE = ms.AudienceSegmentCreate(advertiser_id="1", name="n", contact_list=ms.ContactListCreate())


async def test_a_problem_keeps_all_that_criteo_says(criteo) -> None:
    """Its source, and its stack trace as a text or as lines."""
    other = {**PROBLEM, "source": None, "stackTrace": ["at Criteo", "at the gateway"]}
    criteo.will_answer({"errors": [PROBLEM, other, {**PROBLEM, "source": ["x"], "stackTrace": 5}]})
    one, two, three = (await criteo.ms.create_audience_segments([CREATE])).errors
    assert (one.source, one.stack_trace) == ({"name": "CRM"}, "at Criteo")
    assert (two.source, two.stack_trace) == (None, "at Criteo\nat the gateway")
    assert (three.source, three.stack_trace) == (None, None)
    assert len({one, two, three}) == 3
    assert pickle.loads(pickle.dumps(one)) == one  # noqa: S301 - our own


async def test_calls_on_segments_show_what_criteo_says(criteo) -> None:
    """Title and detail in one line, a code that is a sentence, and a trace id of a documented shape."""
    criteo.will_answer({"errors": [PROBLEM, {**PROBLEM, "code": SENTENCE, "title": SENTENCE, "detail": None}]})
    result = await criteo.ms.create_audience_segments([CREATE])
    with pytest.raises(PartialFailureError) as caught:
        result.raise_for_failures()
    assert str(caught.value) == (
        "1 of 1 items failed: name-must-be-unique at @data/0 (Name taken: There is a segment of this name: “CRM”), "
        f"{SENTENCE} at @data/0 (trace {TRACE})."
    )
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)  # noqa: S301 - our own
    criteo.will_answer({"errors": [{**PROBLEM, "instance": "/audiences/search"}]}, status=400)
    with pytest.raises(InvalidRequestError, match=r"Name taken: There is a segment"):
        await criteo.rm.search_audiences("7").page()


@pytest.mark.parametrize(
    "text", ["write to someone@example.com", "\x1b[31mred", "x" * 300, "the token is planted-4711"]
)
async def test_a_text_that_nobody_should_read_is_not_shown(criteo, text: str) -> None:
    """An address, what changes a terminal, what is too long to be compared, and the token of the call."""
    criteo.will_answer({"errors": [{**PROBLEM, "title": None, "detail": text}]})
    [problem] = (await criteo.ms.create_audience_segments([CREATE])).errors
    assert str(problem) == "name-must-be-unique at @data/0"
    assert problem.detail == text


@pytest.mark.parametrize("status", [200, 400])
async def test_calls_on_contact_lists_show_codes_only(criteo, status: int) -> None:
    """Any text of theirs may repeat an identifier in words; a trace id was compared, and a code as well."""
    criteo.will_answer({"data": {"attributes": {}}, "errors": [{**PROBLEM, "code": "list is full"}]}, status=status)
    with pytest.raises((PartialFailureError, InvalidRequestError)) as caught:
        await criteo.ms.amend_contact_list("5", operation="add", identifiers=["jane@example.com"])
    assert "list is full at @data/0" in str(caught.value)
    assert f"trace {TRACE}" in str(caught.value)
    assert "Name taken" not in str(caught.value)
    assert "CRM" not in f"{caught.value!r} {caught.value.problems}"
    criteo.will_answer({"errors": [PROBLEM]}, status=404)
    with pytest.raises(NotFoundError) as unknown:
        await criteo.rm.clear_contact_list("5")
    assert "Name taken" not in str(unknown.value)


async def test_the_log_of_an_upload_shows_no_text(criteo, caplog: pytest.LogCaptureFixture) -> None:
    """What Criteo warns of in an answer to a batch is logged by its code."""
    receipt = {"nbValidIdentifiers": 1, "nbInvalidIdentifiers": 0}
    criteo.will_answer({"data": {"attributes": receipt}, "warnings": [{**PROBLEM, "detail": "jane@example.com"}]})
    with caplog.at_level(logging.INFO, "criteo_audiences"):
        assert (await criteo.ms.upload_contact_list("5", ["jane@example.com"], hash=None)).ok
    assert "name-must-be-unique" in caplog.text
    assert "jane" not in caplog.text


async def test_retail_media_names_its_segments_as_the_samples_do(criteo) -> None:
    """`AudienceSegment`, in every request."""
    criteo.will_answer({})
    lists = rm.AudienceSegmentCreate(retailer_id="1", name="n", contact_list=rm.ContactListCreate())
    await criteo.rm.create_audience_segments("7", [lists])
    assert criteo.last[2]["data"][0]["type"] == "AudienceSegment"
    criteo.will_answer({})
    await criteo.rm.delete_audience_segments("7", ["1"])
    assert criteo.last[2]["data"] == [{"id": "1", "type": "AudienceSegment"}]


async def test_retail_media_names_its_audiences_as_the_samples_do(experimental) -> None:
    """`Audience`, in every request."""
    experimental.will_answer({})
    await experimental.rm.delete_audiences("7", ["1"])
    assert experimental.last[2]["data"] == [{"id": "1", "type": "Audience"}]


async def test_an_identifier_type_that_criteo_does_not_say(criteo) -> None:
    """`Unknown` is a word of the answers, and none of requests."""
    criteo.will_answer({"data": [{"id": "1", "attributes": {"contactList": {"identifierType": "Unknown"}}}]})
    segment = (await criteo.rm.search_audience_segments("7").page()).items[0]
    assert segment.contact_list.identifier_type is IdentifierType.UNKNOWN
    assert not IdentifierType.UNKNOWN.is_known
    for kind in ("unknown", IdentifierType.UNKNOWN):
        with pytest.raises(ConfigurationError, match="identifier_type"):
            await criteo.rm.amend_contact_list("1", operation="add", identifiers=["a"], identifier_type=kind)


@pytest.mark.parametrize("word", ["sha256md5", "SHA256(MD5)", "sha256_of_md5", "sha256-of-md5"])
def test_the_digest_of_a_digest_has_several_names(word: str) -> None:
    """Criteo's help pages write `SHA256(MD5)`."""
    assert HashAlgorithm(word) is HashAlgorithm.SHA256_OF_MD5


async def test_customer_ids_are_retail_medias(criteo) -> None:
    """The guide of Marketing Solutions still lists them."""
    with pytest.raises(ConfigurationError, match=r"takes no identifier_type='customer_id'.* Retail Media takes it"):
        await criteo.ms.amend_contact_list("5", operation="add", identifiers=["a"], identifier_type="customerid")
    with pytest.raises(ConfigurationError, match="Retail Media takes it"):
        await criteo.ms.upload_contact_list("5", ["a"], identifier_type="customerid")


async def test_preview_has_another_name() -> None:
    """Criteo renamed it."""
    with pytest.raises(ConfigurationError, match='"preview" is called "experimental" now'):
        CriteoClient(StaticToken("t"), api_version="preview")


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("authorization-token-expired", "The token has expired"),
        ("authorization-token-invalid", "Criteo did not issue this token"),
        ("authorization-token-missing", "The call had no token"),
        ("authorization-unknown", "Check the client id and the client secret"),
    ],
)
async def test_a_token_that_expired_does_not_blame_the_secret(criteo, code: str, words: str) -> None:
    """What to do depends on what is wrong with the token."""
    criteo.will_answer({"errors": [{"type": "authorization", "code": code}]}, status=401)
    with pytest.raises(AuthenticationError, match=words) as caught:
        await criteo.ms.get_contact_list_statistics("5")
    assert ("client secret" in str(caught.value)) is (code == "authorization-unknown")
