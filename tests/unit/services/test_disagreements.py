"""Each disagreement between Criteo's documents that these calls can meet, by its number in the project's list of facts."""

import datetime as dt
import warnings
from typing import Any

import pytest

from criteo_audiences import ApiVersionGoneError, InvalidResponseError, PartialFailureError
from criteo_audiences import marketing_solutions as ms
from criteo_audiences import retail_media as rm

TAKEN = {"type": "validation", "code": "name-must-be-unique", "instance": "@data/0"}
CREATE = ms.AudienceSegmentCreate(advertiser_id="1", name="n", contact_list=ms.ContactListCreate())


@pytest.mark.parametrize(("status", "document"), [(204, None), (201, None), (200, {"data": {"type": "x", "id": "5"}})])
async def test_01_retail_media_clear_answers(criteo, status: int, document: Any) -> None:
    """Clearing answers 204 or 201 without a body, or 200 with one: all mean that it was done."""
    criteo.will_answer(document, status=status)
    assert await criteo.rm.clear_contact_list("5") is None


@pytest.mark.parametrize("entity_type", ["ContactListAudienceSegment", "AudienceContactlist"])
async def test_02_wipe_names_its_type_in_two_ways(criteo, entity_type: str) -> None:
    """The type word of a wipe's answer does not matter."""
    criteo.will_answer({"data": {"id": "1", "type": entity_type}, "errors": [], "warnings": []})
    assert await criteo.ms.clear_contact_list("1") is None


RECEIPT = {
    "contactListId": 12,
    "operation": "add",
    "identifierType": "email",
    "nbValidIdentifiers": 2,
    "nbInvalidIdentifiers": 0,
}


@pytest.mark.parametrize("document", [{"type": "t", "data": RECEIPT}, {"data": {"type": "t", "attributes": RECEIPT}}])
async def test_04_retail_media_receipt_flat_or_nested(criteo, document: Any) -> None:
    """A receipt reads the same, flat as in OpenAPI or nested as in the guides."""
    criteo.will_answer(document)
    receipt = await criteo.rm.amend_contact_list("5", operation="add", identifiers=["a", "b"])
    assert (receipt.contact_list_id, receipt.valid, receipt.invalid) == ("12", 2, 0)


@pytest.mark.parametrize(
    ("word", "known"),
    [("email", "EMAIL"), ("Email", "EMAIL"), ("madid", "MADID"), ("phonenumber", "PHONE_NUMBER"), ("customerid", "CUSTOMER_ID"), ("new", "UNKNOWN")],
)  # fmt: skip
async def test_05_06_07_identifier_words_in_every_case(criteo, word: str, known: str) -> None:
    """An identifier type is read in any spelling, and one that is new loses nothing."""
    criteo.will_answer({"data": {**RECEIPT, "identifierType": word}})
    receipt = await criteo.rm.amend_contact_list("5", operation="add", identifiers=["a"])
    assert receipt.identifier_type.name == known


@pytest.mark.parametrize("word", ["add", "Add"])
async def test_08_operation_in_every_case(criteo, word: str) -> None:
    """The operation is read in either case."""
    criteo.will_answer({"data": {"attributes": {"operation": word}}})
    assert (await criteo.cg.amend_contact_list("5", operation="add", identifiers=["a"])).operation == "add"


@pytest.mark.parametrize(("value", "read"), [(True, True), ("true", True), ("false", False), (None, None)])
async def test_09_read_only_as_text(criteo, value: Any, read: bool | None) -> None:  # noqa: FBT001 - an expectation
    """`isReadOnly` may be a text."""
    criteo.will_answer({"data": [{"id": "1", "attributes": {"contactList": {"isReadOnly": value}}}]})
    assert (await criteo.rm.search_audience_segments("7").page()).items[0].contact_list.is_read_only is read


@pytest.mark.parametrize(("value", "read"), [("d", "d"), ({"value": "d"}, "d"), ({"value": None}, None), (None, None)])
async def test_10_11_description_wrapped_or_plain(criteo, value: Any, read: str | None) -> None:
    """A description is read plain or wrapped."""
    criteo.will_answer({"data": [{"id": "1", "attributes": {"description": value}}]})
    assert (await criteo.ms.create_audience_segments([CREATE])).one().description == read


@pytest.mark.parametrize(("value", "read"), [(123456789012345678, "123456789012345678"), ("12", "12"), (None, None)])
async def test_12_contact_list_id_as_number_text_or_missing(criteo, value: Any, read: str | None) -> None:
    """Ids are text, whatever their length and the wire's type."""
    criteo.will_answer({"data": {"attributes": {"operation": "add", "contactListId": value}}})
    assert (await criteo.ms.amend_contact_list("5", operation="add", identifiers=["a"])).contact_list_id == read


async def test_13_entity_type_under_another_key(criteo) -> None:
    """An entity may call its type `identifierType`."""
    criteo.will_answer({"data": {"id": "1", "identifierType": "ContactList", "attributes": {"numberOfIdentifiers": 4}}})
    assert (await criteo.rm.get_contact_list_statistics("7", "1")).number_of_identifiers == 4


@pytest.mark.parametrize("word", ["RetailMediaAudienceSegment", "AudienceSegment", "Audience Segment", None])
async def test_14_entity_type_values(criteo, word: str | None) -> None:
    """The entity's own type word does not matter, and is not taken for the segment's kind."""
    criteo.will_answer({"data": [{"id": "1", "type": word, "attributes": {"type": "ContactList"}}]})
    segment = (await criteo.rm.search_audience_segments("7").page()).items[0]
    assert segment.type is rm.SegmentType.CONTACT_LIST


@pytest.mark.parametrize("word", ["InMarket", "In-market"])
def test_16_segment_type_words(word: str) -> None:
    """A segment type is read in either spelling."""
    assert ms.SegmentType(word) is ms.SegmentType.IN_MARKET


@pytest.mark.parametrize("word", ["PointOfInterest", "PointsOfInterest"])
async def test_17_registry_type_in_two_numbers(criteo, word: str) -> None:
    """A registry type in the plural is the same one."""
    criteo.will_answer({"data": [{"id": "1", "attributes": {"location": {"registryType": word, "radiusInKm": 5}}}]})
    location = (await criteo.ms.search_audience_segments().page()).items[0].location
    assert location.radius_in_km == 5
    assert location.registry_type is ms.RegistryType.POINT_OF_INTEREST


def test_18_19_what_is_required_is_what_openapi_requires() -> None:
    """Prospecting needs its users, in-market only its country."""
    with pytest.raises(TypeError):
        ms.ProspectingCreate()
    assert ms.InMarketCreate(country="FR").interest_ids is None


@pytest.mark.parametrize("where", ["errors", "warnings"])
async def test_21_failed_items_in_errors_or_warnings(criteo, where: str) -> None:
    """A problem stays where the server put it, tied to its item, and the other items are kept."""
    criteo.will_answer({"data": [{"id": "9", "attributes": {"name": "b"}}], where: [TAKEN]})
    result = await criteo.ms.create_audience_segments([CREATE, CREATE])
    assert [item.id for item in result.items] == ["9"]
    assert [problem.index for problem in getattr(result, where)] == [0]
    assert len(result.errors) + len(result.warnings) == 1


@pytest.mark.parametrize("status", [200, 400])
async def test_22_every_item_failed(criteo, status: int) -> None:
    """A bulk call of which every item failed gives the same result, whether it answered 200 or 400."""
    criteo.will_answer({"data": None, "errors": [TAKEN]}, status=status)
    result = await criteo.ms.create_audience_segments([CREATE])
    assert (result.items, result.errors[0].code, result.errors[0].index) == ((), "name-must-be-unique", 0)
    with pytest.raises(PartialFailureError, match="name-must-be-unique"):
        result.one()


@pytest.mark.parametrize("empty", [{"errors": [], "warnings": []}, {"errors": None, "warnings": None}, {}])
async def test_23_no_problems_in_three_spellings(criteo, empty: Any) -> None:
    """Lists of problems may be empty, null or missing."""
    criteo.will_answer({"data": [{"id": "1"}], **empty})
    assert (await criteo.ms.create_audience_segments([CREATE])).one().id == "1"


@pytest.mark.parametrize("trace", ["a string", ["an", "array"], None])
async def test_24_stack_trace_of_any_shape(criteo, trace: Any) -> None:
    """A stack trace, whatever its shape, does not get in the way."""
    criteo.will_answer({"data": [], "errors": [{**TAKEN, "stackTrace": trace}]})
    assert (await criteo.ms.create_audience_segments([CREATE])).errors[0].code == "name-must-be-unique"


@pytest.mark.parametrize("key", ["traceId", "traceIdentifier"])
async def test_25_trace_under_two_names(criteo, key: str) -> None:
    """The trace id is found under its deprecated name, too."""
    criteo.will_answer({"data": [], "errors": [{**TAKEN, key: "abc-1"}]})
    assert (await criteo.ms.create_audience_segments([CREATE])).errors[0].trace_id == "abc-1"


SPELLINGS = [
    ("2024-01-15T12:23:18.180Z", dt.datetime(2024, 1, 15, 12, 23, 18, 180_000, dt.UTC)),
    ("2024-01-15T12:23:32.81Z", dt.datetime(2024, 1, 15, 12, 23, 32, 810_000, dt.UTC)),
    ("2024-01-15T12:23:19.3566667Z", dt.datetime(2024, 1, 15, 12, 23, 19, 356_666, dt.UTC)),
    ("2023-05-09T16:30:50.4633339", dt.datetime(2023, 5, 9, 16, 30, 50, 463_333, dt.UTC)),
    ("2022-10-28T11:55:20.77", dt.datetime(2022, 10, 28, 11, 55, 20, 770_000, dt.UTC)),
    ("2018-12-10T10:00:50.0000000+00:00", dt.datetime(2018, 12, 10, 10, 0, 50, 0, dt.UTC)),
    ("2018-07-04T00:00:00Z", dt.datetime(2018, 7, 4, 0, 0, 0, 0, dt.UTC)),
]


@pytest.mark.parametrize(("text", "moment"), SPELLINGS)
async def test_31_timestamps_in_seven_spellings(criteo, text: str, moment: dt.datetime) -> None:
    """Every spelling of a timestamp becomes an aware UTC datetime, cut to microseconds."""
    criteo.will_answer({"data": [{"id": "1", "attributes": {"createdAt": text}}]})
    created = (await criteo.ms.search_audience_segments().page()).items[0].created_at
    assert (created, created.tzinfo) == (moment, dt.UTC)


async def test_32_a_new_segment_was_never_updated(criteo) -> None:
    """`updatedAt` may be null."""
    criteo.will_answer({"data": [{"id": "1", "attributes": {"updatedAt": None}}]})
    assert (await criteo.ms.create_audience_segments([CREATE])).one().updated_at is None


async def test_settings_may_be_missing_for_their_own_type(criteo) -> None:
    """An in-market segment without its settings is still read."""
    criteo.will_answer({"data": [{"id": "1", "attributes": {"type": "InMarket"}}]})
    segment = (await criteo.ms.create_audience_segments([CREATE])).one()
    assert (segment.type, segment.in_market) == (ms.SegmentType.IN_MARKET, None)


async def test_36_deprecation_surfaces_once_each(criteo) -> None:
    """Headers and in-band warnings of a deprecation each give one Python warning that names the version."""
    notice = {"type": "deprecation", "code": "deprecated-field", "instance": "/audiences/1"}
    headers = {"deprecation": "true", "sunset": "Thu, 31 Jul 2027 00:00:00 GMT"}
    for _ in range(3):
        criteo.will_answer({"data": {"attributes": {}}, "warnings": [notice]}, headers=headers)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(3):
            await criteo.ms.get_contact_list_statistics("5")
    messages = [str(warning.message) for warning in caught]
    assert len(messages) == 2
    assert all("2026-07" in message for message in messages)
    assert "2027-07-31" in messages[0]
    assert {warning.category for warning in caught} == {DeprecationWarning}


async def test_36_a_version_that_is_gone_raises_and_warns(criteo) -> None:
    """A 410 raises, and warns by name, although warnings are errors here."""
    criteo.will_answer({"errors": []}, status=410)
    with pytest.raises(ApiVersionGoneError), pytest.warns(DeprecationWarning, match="2026-07 has ended"):
        await criteo.ms.get_contact_list_statistics("5")


async def test_a_warning_turned_into_an_error_loses_no_answer(criteo) -> None:
    """With warnings as errors, as in this suite, the answer that carried a deprecation still comes."""
    criteo.will_answer({"data": {"attributes": {"numberOfMatches": 1}}}, headers={"deprecation": "true"})
    assert (await criteo.ms.get_contact_list_statistics("5")).number_of_matches == 1


@pytest.mark.parametrize(
    ("data", "path"),
    [
        ([{"id": "1"}, {"id": ["john@example.com"], "attributes": {}}], "expected text @ $.data[1].id"),
        ([{"attributes": {"id": ["john@example.com"]}}], "expected text @ $.data[0].attributes.id"),
        ({"john@example.com": 1}, "expected a list @ $.data"),
        ([{"id": "1", "attributes": "john@example.com"}], "expected an object @ $.data[0].attributes"),
        (["john@example.com"], "expected an object @ $.data[0]"),
    ],
)
async def test_an_unreadable_answer_names_paths_never_values(criteo, data: Any, path: str) -> None:
    """What cannot be read raises with the path, and the value is nowhere in the exception's chain."""
    criteo.will_answer({"data": data}, status=201)
    with pytest.raises(InvalidResponseError) as caught:
        await criteo.ms.create_audience_segments([CREATE])
    assert (caught.value.paths, caught.value.status) == ((path,), 201)
    assert "john" not in repr(caught.value) + str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


async def test_an_unreadable_field_loses_nothing_but_itself(criteo) -> None:
    """A segment that was created has its id, whatever cannot be read beside it; a `null` beside it is no segment."""
    attributes = {"name": "n", "createdAt": "soon", "contactList": "yes", "type": 5}
    criteo.will_answer({"data": [None, {"id": "1", "attributes": attributes}], "warnings": "none"})
    segment = (await criteo.ms.create_audience_segments([CREATE])).one()
    assert (segment.id, segment.name, segment.created_at, segment.contact_list) == ("1", "n", None, None)


async def test_an_unknown_word_or_field_loses_nothing(criteo) -> None:
    """A new kind of segment with new fields is read as far as it is known."""
    attributes = {"type": "Holographic", "name": "n", "holographic": {"depth": 3}}
    criteo.will_answer({"data": [{"id": "1", "attributes": attributes}]})
    segment = (await criteo.ms.search_audience_segments().page()).items[0]
    assert (segment.name, segment.type.is_known, segment.type.value) == ("n", False, "Holographic")


@pytest.mark.parametrize("service", ["ms", "rm", "cg"])
async def test_problems_beside_a_single_result_raise(criteo, service: str) -> None:
    """An `errors` entry beside a receipt raises (OpenAPI's own example of Retail Media carries both)."""
    problem = {"type": "availability", "code": "internal-error", "instance": "", "traceId": "t-1"}
    for _ in range(2):  # a problem of availability is asked about again
        criteo.will_answer({"data": {"attributes": RECEIPT}, "errors": [problem], "warnings": []})
    with pytest.raises(PartialFailureError, match="internal-error") as caught:
        await getattr(criteo, service).amend_contact_list("5", operation="add", identifiers=["a"])
    assert caught.value.receipt.valid == RECEIPT["nbValidIdentifiers"]
    assert caught.value.outcome_unknown
