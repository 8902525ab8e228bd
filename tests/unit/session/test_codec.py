import datetime as dt
from typing import Any

import pytest
from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st

from criteo_audiences.errors import InvalidResponseError, PartialFailureError
from criteo_audiences.marketing_solutions import (
    AudienceSegment,
    AudienceSegmentCreate,
    BuyingPower,
    ContactList,
    ContactListCreate,
    Gender,
    InMarket,
    InMarketCreate,
    Location,
    LocationCreate,
    LookalikeCreate,
    PointOfInterest,
    ProspectingCreate,
    RetargetingCreate,
    SegmentType,
)
from criteo_audiences.models import (
    UNSET,
    ContactListOperation,
    ContactListStatistics,
    IdentifierType,
    Operation,
    ProblemType,
    Unset,
)
from criteo_audiences.session.codec import (
    read_bulk,
    read_nothing,
    read_one,
    read_page,
    read_problems,
    structure,
    unstructure,
)
from criteo_audiences.session.values import read_timestamp


def moment(*parts: int) -> dt.datetime:
    """Returns an aware UTC datetime."""
    return dt.datetime(*parts, tzinfo=dt.UTC)  # type: ignore[misc, arg-type]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-01-15T12:23:18.180Z", moment(2024, 1, 15, 12, 23, 18, 180_000)),
        ("2024-01-15T12:23:32.81Z", moment(2024, 1, 15, 12, 23, 32, 810_000)),
        ("2024-01-15T12:23:19.3566667Z", moment(2024, 1, 15, 12, 23, 19, 356_666)),
        ("2023-05-09T16:30:50.4633333", moment(2023, 5, 9, 16, 30, 50, 463_333)),
        ("2022-10-28T11:55:20.77", moment(2022, 10, 28, 11, 55, 20, 770_000)),
        ("2022-10-28T11:55:20.770", moment(2022, 10, 28, 11, 55, 20, 770_000)),
        ("2018-07-04T00:00:00.1234567+00:00", moment(2018, 7, 4, 0, 0, 0, 123_456)),
        ("2018-07-04T00:00:00Z", moment(2018, 7, 4)),
        ("2018-07-04T00:00:00", moment(2018, 7, 4)),
        ("2018-07-04 00:00:00", moment(2018, 7, 4)),
        ("2018-07-04T02:00:00+02:00", moment(2018, 7, 4)),
        ("2018-07-03T18:30:00-0530", moment(2018, 7, 4)),
        ("2018-07-04T00:00:00.9999999Z", moment(2018, 7, 4, 0, 0, 0, 999_999)),
        ("2018-07-04T23:59:59.999999999Z", moment(2018, 7, 4, 23, 59, 59, 999_999)),
        ("0001-01-01T00:00:00Z", moment(1, 1, 1)),
    ],
)
def test_timestamps_are_read_in_all_spellings(text: str, expected: dt.datetime) -> None:
    """Criteo's spellings of a time become aware UTC datetimes, cut to microseconds and not rounded."""
    read = read_timestamp(text)
    assert read == expected
    assert read.tzinfo is dt.UTC


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "2024-01-15",
        "2024-13-15T00:00:00Z",
        "2024-01-15T25:00:00Z",
        "2024-01-15T12:23:18.Z",
        "1700000000",
    ],
)
def test_what_is_no_timestamp_is_refused(text: str) -> None:
    """Text that is no timestamp is a `ValueError`."""
    with pytest.raises(ValueError):  # noqa: PT011 - the message is of no account, the codec replaces it
        read_timestamp(text)


@given(st.datetimes(min_value=dt.datetime(1900, 1, 1)), st.integers(0, 9))  # noqa: DTZ001 - the zone is what varies
def test_any_time_is_read_back(when: dt.datetime, digits: int) -> None:
    """A time written with any number of digits is read back cut to what was written."""
    fraction = f"{when.microsecond:06}000"[:digits]
    text = f"{when:%Y-%m-%dT%H:%M:%S}" + (f".{fraction}" if digits else "") + "Z"
    kept = when.replace(microsecond=int(fraction[:6].ljust(6, "0")), tzinfo=dt.UTC)
    assert read_timestamp(text) == kept


def entity(**attributes: Any) -> dict[str, Any]:
    """Returns the envelope of a single entity."""
    return {"data": {"id": "7", "type": "Thing", "attributes": attributes}}


def test_operation_is_read() -> None:
    """An amendment's receipt is read by Criteo's names, its ids as text whatever the wire sends."""
    receipt = read_one(
        entity(
            contactListId=123456789012345678,
            operation="Add",
            requestDate="2018-12-10T10:00:50.000Z",
            identifierType="Email",
            nbValidIdentifiers=7342,
            nbInvalidIdentifiers="13",
            sampleInvalidIdentifiers=["john.doe", "mat.ex"],
            somethingNew={"a": 1},
        ),
        ContactListOperation,
    )
    assert receipt == ContactListOperation(
        contact_list_id="123456789012345678",
        operation=Operation.ADD,
        request_date=moment(2018, 12, 10, 10, 0, 50),
        identifier_type=IdentifierType.EMAIL,
        valid=7342,
        invalid=13,
        sample_invalid=("john.doe", "mat.ex"),
    )
    assert "john.doe" not in repr(receipt)


def test_flat_entity_is_read() -> None:
    """An entity whose attributes stand on top is read as well."""
    document = {"data": {"operation": "remove", "nbValidIdentifiers": 1}}
    assert read_one(document, ContactListOperation) == ContactListOperation(operation=Operation.REMOVE, valid=1)


def test_statistics_are_read() -> None:
    """Statistics are read, a whole number being a rate as well."""
    document = entity(numberOfIdentifiers=10_000, numberOfMatches=5_000, matchRate=1)
    assert read_one(document, ContactListStatistics) == ContactListStatistics(
        number_of_identifiers=10_000, number_of_matches=5_000, match_rate=1.0
    )


def test_nulls_are_defaults() -> None:
    """A `null` and an absent field are the same."""
    document = entity(numberOfIdentifiers=None, numberOfMatches=None, matchRate=None)
    assert read_one(document, ContactListStatistics) == read_one(entity(), ContactListStatistics)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(True, True), (False, False), ("true", True), ("True", True), ("FALSE", False), (None, None)],
)
def test_bool_may_be_text(value: object, expected: object) -> None:
    """`isReadOnly` is a bool also where the wire has its text."""
    segment = read_one(entity(contactList={"isReadOnly": value}), AudienceSegment)
    assert segment.contact_list == ContactList(is_read_only=expected)  # type: ignore[arg-type]


def test_segment_is_read_whole() -> None:
    """A segment is read with its settings, and its own `type` is that of its attributes."""
    segment = read_one(
        {
            "data": {
                "id": 12,
                "type": "AudienceSegment",
                "attributes": {
                    "advertiserId": 34,
                    "name": "x",
                    "description": None,
                    "type": "InMarket",
                    "createdAt": "2024-01-15T12:23:18.180Z",
                    "updatedAt": None,
                    "inMarket": {
                        "country": "US",
                        "interestIds": [632, "11"],
                        "gender": "female",
                        "buyingPower": ["Low", "Galactic"],
                        "futureField": [1],
                    },
                    "location": {"pointsOfInterest": [{"name": "A", "latitude": 48, "longitude": 2.5}]},
                },
            },
            "meta": {"x": 1},
            "errors": None,
            "warnings": [],
        },
        AudienceSegment,
    )
    assert (segment.id, segment.advertiser_id, segment.type) == ("12", "34", SegmentType.IN_MARKET)
    assert segment.created_at == moment(2024, 1, 15, 12, 23, 18, 180_000)
    assert segment.updated_at is None
    assert segment.in_market == InMarket(
        country="US",
        interest_ids=("632", "11"),
        gender=Gender.FEMALE,
        buying_power=(BuyingPower.LOW, BuyingPower("Galactic")),
    )
    assert segment.location == Location(points_of_interest=(PointOfInterest(name="A", latitude=48.0, longitude=2.5),))


def test_unknown_word_loses_nothing() -> None:
    """A word this release does not know leaves the rest of the answer readable and keeps its text."""
    segment = read_one(entity(name="x", type="Telepathic"), AudienceSegment)
    assert segment.type is not None
    assert (segment.name, segment.type.is_known, segment.type.value) == ("x", False, "Telepathic")
    assert "Telepathic" not in repr(segment)


@pytest.mark.parametrize("errors", [None, [], "absent"])
def test_errors_may_be_missing_null_or_empty(errors: object) -> None:
    """No errors are spelled in three ways."""
    document = entity() | ({} if errors == "absent" else {"errors": errors})
    assert read_one(document, ContactListStatistics) == ContactListStatistics()
    read_nothing(document)
    assert read_bulk({**document, "data": []}, AudienceSegment).errors == ()


@pytest.mark.parametrize("data", [{"id": "7", "attributes": {}}, None, "junk"])
def test_errors_beside_a_single_result_raise(data: object) -> None:
    """Problems beside, or instead of, the one result of a call raise, with code, item and trace id."""
    document = {"data": data, "errors": [{"code": "audience-invalid", "instance": "/x", "traceId": "abc"}]}
    for read in (lambda: read_one(document, ContactListStatistics), lambda: read_nothing(document)):
        with pytest.raises(PartialFailureError) as caught:
            read()
        assert str(caught.value) == "Criteo answered HTTP 200 with problems: audience-invalid at /x (trace abc)."
        assert caught.value.trace_id == "abc"


def test_warnings_beside_a_single_result_do_not_raise() -> None:
    """A warning is no failure."""
    document = entity() | {"warnings": [{"code": "deprecated-field", "type": "deprecation"}]}
    assert read_one(document, ContactListStatistics) == ContactListStatistics()


def test_bulk_keeps_every_problem_where_it_was() -> None:
    """A bulk result holds its items, its errors and its warnings, each problem once and tied to its item."""
    result = read_bulk(
        {
            "data": [{"id": "1", "type": "AudienceSegment", "attributes": {"name": "a"}}, {"id": 2}],
            "errors": [{"code": "name-must-be-unique", "instance": "@data/1", "type": "validation"}],
            "warnings": [{"code": "deprecated-field", "instance": "@data/0", "type": "rumor"}],
        },
        AudienceSegment,
    )
    assert [segment.id for segment in result.items] == ["1", "2"]
    assert [(problem.code, problem.index) for problem in result.errors] == [("name-must-be-unique", 1)]
    assert [(problem.code, problem.index) for problem in result.warnings] == [("deprecated-field", 0)]
    assert result.errors[0].type is ProblemType.VALIDATION
    assert result.warnings[0].type is not None
    assert not result.warnings[0].type.is_known


def test_bulk_may_have_no_data() -> None:
    """A bulk answer whose every item failed may have `null` for data."""
    result = read_bulk({"data": None, "errors": [{"code": "x"}]}, AudienceSegment)
    assert (result.items, len(result.errors)) == ((), 1)


@pytest.mark.parametrize("document", [None, {}, {"data": {"id": "1", "type": "X"}}, {"data": None, "errors": []}])
def test_nothing_is_read_from_any_success(document: object) -> None:
    """A call without a result accepts any success, also an empty one."""
    read_nothing(document)


LEAK = "john.doe@example.com"


@pytest.mark.parametrize(
    ("read", "paths"),
    [
        (lambda: read_one(None, AudienceSegment), ["expected an object @ $"]),
        (lambda: read_one([LEAK], AudienceSegment), ["expected an object @ $"]),
        (lambda: read_one({}, AudienceSegment), ["expected an object @ $.data"]),
        (lambda: read_one({"data": LEAK}, AudienceSegment), ["expected an object @ $.data"]),
        (lambda: read_one({"data": [LEAK]}, AudienceSegment), ["expected an object @ $.data"]),
        (lambda: read_bulk({"data": LEAK}, AudienceSegment), ["expected a list @ $.data"]),
        (lambda: read_bulk({"data": [{}, LEAK]}, AudienceSegment), ["expected an object @ $.data[1]"]),
        (lambda: read_bulk({"errors": LEAK}, AudienceSegment), ["expected a list of problems @ $.errors"]),
        (lambda: read_bulk({"errors": [{}, LEAK]}, AudienceSegment), ["expected a list of problems @ $.errors"]),
        (lambda: read_one({"data": {"id": [LEAK]}}, AudienceSegment), ["expected text @ $.data.id"]),
        (lambda: read_one({"data": {"id": 1.5, "attributes": {}}}, AudienceSegment), ["expected text @ $.data.id"]),
        (
            lambda: read_bulk({"data": [None, {"attributes": {"ID": {LEAK: 1}}}]}, AudienceSegment),
            ["expected text @ $.data[1].attributes.id"],
        ),
        (
            lambda: read_one({"data": {"id": "1", "attributes": [LEAK]}}, AudienceSegment),
            ["expected an object @ $.data.attributes"],
        ),
        (lambda: read_nothing([LEAK]), ["expected an object @ $"]),
        (lambda: read_nothing({"errors": {"code": LEAK}}), ["expected a list of problems @ $.errors"]),
    ],
)
def test_wrong_shape_is_refused_by_path(read: Any, paths: list[str]) -> None:
    """An answer of the wrong shape is refused naming where it is wrong, never what it holds."""
    with pytest.raises(InvalidResponseError) as caught:
        read()
    assert list(caught.value.paths) == paths
    assert LEAK not in str(caught.value)


@pytest.mark.parametrize(
    ("attributes", "expected", "place"),
    [
        ({"nbValidIdentifiers": LEAK}, "a whole number", "nbValidIdentifiers"),
        ({"nbValidIdentifiers": 1.5}, "a whole number", "nbValidIdentifiers"),
        ({"nbValidIdentifiers": 1e300}, "a whole number", "nbValidIdentifiers"),
        ({"nbValidIdentifiers": True}, "a whole number", "nbValidIdentifiers"),
        ({"nbvalididentifiers": [LEAK]}, "a whole number", "nbValidIdentifiers"),
        ({"nbInvalidIdentifiers": "9" * 5_000}, "a whole number", "nbInvalidIdentifiers"),
        ({"contactListId": {"id": LEAK}}, "text", "contactListId"),
        ({"contactListId": 1.0}, "text", "contactListId"),
        ({"contactListId": True}, "text", "contactListId"),
        ({"requestDate": LEAK}, "a timestamp", "requestDate"),
        ({"requestDate": 1_700_000_000}, "a timestamp", "requestDate"),
        ({"requestDate": "0001-01-01T00:00:00+01:00"}, "a timestamp", "requestDate"),
        ({"operation": 7}, "a word", "operation"),
        ({"operation": [LEAK]}, "a word", "operation"),
        ({"sampleInvalidIdentifiers": 5}, "a list", "sampleInvalidIdentifiers"),
        ({"sampleInvalidIdentifiers": LEAK}, "a list", "sampleInvalidIdentifiers"),
        ({"sampleInvalidIdentifiers": {LEAK: 1}}, "a list", "sampleInvalidIdentifiers"),
        ({"sampleInvalidIdentifiers": ["a", {"x": LEAK}]}, "text", "sampleInvalidIdentifiers[1]"),
    ],
)
def test_an_unreadable_field_is_missing(
    attributes: dict[str, Any], expected: str, place: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A field that cannot be read loses nothing but itself; the log names it as Criteo does, and never shows it."""
    caplog.set_level("DEBUG", "criteo_audiences")
    assert read_one(entity(**attributes), ContactListOperation) == ContactListOperation()
    others = {"contactListId": "5", "operation": "add", "nbValidIdentifiers": 3, "nbInvalidIdentifiers": 4}
    beside = {name: value for name, value in others.items() if name.casefold() not in map(str.casefold, attributes)}
    kept = read_one(entity(**beside), ContactListOperation)
    assert read_one(entity(**beside, **attributes), ContactListOperation) == kept
    assert caplog.messages == [f"left out of an answer: expected {expected} @ ContactListOperation.{place}"] * 2


def test_nothing_is_said_of_what_can_be_read(caplog: pytest.LogCaptureFixture) -> None:
    """An answer without fault leaves no line in the log."""
    caplog.set_level("DEBUG", "criteo_audiences")
    read_one(entity(operation="add", requestDate=None, novelty=LEAK), ContactListOperation)
    assert not caplog.messages


def test_a_null_in_a_list_is_no_item() -> None:
    """`null` among the items of a list, or among the results of a bulk call, is skipped and the others are kept."""
    receipt = read_one(entity(sampleInvalidIdentifiers=[None, "a", None]), ContactListOperation)
    assert receipt.sample_invalid == ("a",)
    document = {"data": [None, {"id": "1"}, None, {"id": "2"}], "errors": [None, {"code": "x"}], "warnings": [None, 5]}
    result = read_bulk(document, AudienceSegment)
    assert [segment.id for segment in result.items] == ["1", "2"]
    assert ([problem.code for problem in result.errors], result.warnings) == (["x"], ())


@pytest.mark.parametrize("warnings", [5, LEAK, {"code": LEAK}, [LEAK]])
def test_unreadable_warnings_lose_no_answer(warnings: object) -> None:
    """Warnings that cannot be read are none."""
    assert read_bulk({"data": [{"id": "1"}], "warnings": warnings}, AudienceSegment).one().id == "1"


@pytest.mark.parametrize("meta", [None, 5, [LEAK], {"totalItems": LEAK}, {"totalItems": [1]}])
def test_unreadable_meta_loses_no_page(meta: object) -> None:
    """A page whose total cannot be read has none."""
    page = read_page({"data": [{"id": "1"}], "meta": meta}, AudienceSegment)
    assert (page.items[0].id, page.total_items) == ("1", None)


@pytest.mark.parametrize(
    ("data", "identity", "name"),
    [
        ({"id": "1", "attributes": {"id": None, "name": "a"}}, "1", "a"),
        ({"id": "1", "attributes": {"id": "2", "name": "a"}}, "1", "a"),
        ({"attributes": {"id": "2", "name": "a"}}, "2", "a"),
        ({"id": None, "attributes": {"id": "2", "NAME": None, "name": "a"}}, "2", "a"),
        ({"id": "1", "attributes": {"name": "a", "NAME": "b"}}, "1", "a"),
        ({"id": "1", "attributes": {"NAME": "b", "name": "a"}}, "1", "a"),
        ({"id": "1", "attributes": None, "name": "a"}, "1", "a"),
    ],
)
def test_one_of_two_spellings_is_taken(data: dict[str, Any], identity: str, name: str) -> None:
    """Whatever is given twice is read once: an entity's own id, Criteo's own spelling, and never a `null` instead."""
    segment = read_one({"data": data}, AudienceSegment)
    assert (segment.id, segment.name) == (identity, name)


@pytest.mark.parametrize("value", ["yes", 1, 0, LEAK, []])
def test_what_is_no_bool_is_missing(value: object) -> None:
    """Only a bool or its text is a bool; what surrounds it is read."""
    assert read_one(entity(contactList={"isReadOnly": value}), AudienceSegment).contact_list == ContactList()


@pytest.mark.parametrize("value", ["half", True, [LEAK], 10**400])
def test_what_is_no_number_is_missing(value: object) -> None:
    """Only a number is a rate."""
    statistics = read_one(entity(matchRate=value, numberOfMatches=5), ContactListStatistics)
    assert statistics == ContactListStatistics(number_of_matches=5)


def test_problems_of_any_kind_are_read() -> None:
    """A problem's fields of the wrong kind are left out, and its stack trace is not kept."""
    (problem,) = read_problems(
        [
            {
                "type": 5,
                "code": ["x"],
                "instance": None,
                "title": 1,
                "traceId": {},
                "stackTrace": [LEAK],
                "source": {LEAK: LEAK},
            }
        ]
    )
    assert (problem.type, problem.code, problem.instance, problem.title, problem.trace_id) == (None,) * 5
    assert LEAK not in repr(problem)


COMMON = {"advertiserId": "5", "name": "crm"}


@pytest.mark.parametrize(
    ("settings", "wire"),
    [
        ({"contact_list": ContactListCreate()}, {"contactList": {}}),
        (
            {"in_market": InMarketCreate(country="US")},
            {"inMarket": {"country": "US"}},
        ),
        (
            {
                "in_market": InMarketCreate(
                    country="FR",
                    interest_ids=["632"],
                    brand_ids=("1", "2"),
                    gender="female",
                    buying_power=["very_high", BuyingPower.LOW],
                    price_range=["Medium"],
                )
            },
            {
                "inMarket": {
                    "country": "FR",
                    "interestIds": ["632"],
                    "brandIds": ["1", "2"],
                    "gender": "Female",
                    "buyingPower": ["VeryHigh", "Low"],
                    "priceRange": ["Medium"],
                }
            },
        ),
        (
            {
                "location": LocationCreate(
                    points_of_interest=[PointOfInterest(name="Eiffel", latitude=48.85837, longitude=2.29448)],
                    radius_in_km=3,
                )
            },
            {
                "location": {
                    "pointsOfInterest": [{"name": "Eiffel", "latitude": 48.85837, "longitude": 2.29448}],
                    "radiusInKm": 3,
                }
            },
        ),
        (
            {"lookalike": LookalikeCreate(seed_segment_id="12", target_size=100_000)},
            {"lookalike": {"seedSegmentId": "12", "targetSize": 100_000}},
        ),
        ({"lookalike": LookalikeCreate(seed_segment_id="12")}, {"lookalike": {"seedSegmentId": "12"}}),
        (
            {"prospecting": ProspectingCreate(users_type="prospects_or_non_buyers", days_since_last_visit_min=1)},
            {"prospecting": {"usersType": "ProspectsOrNonBuyers", "daysSinceLastVisitMin": 1}},
        ),
        (
            {
                "retargeting": RetargetingCreate(
                    visitors_type="NonBuyers", days_since_last_visit_min=0, days_since_last_visit_max=30
                )
            },
            {"retargeting": {"visitorsType": "NonBuyers", "daysSinceLastVisitMin": 0, "daysSinceLastVisitMax": 30}},
        ),
    ],
    ids=[
        "contact list",
        "in-market",
        "in-market full",
        "location",
        "lookalike",
        "lookalike short",
        "prospecting",
        "retargeting",
    ],
)
def test_create_is_spelled_as_in_the_schema(settings: dict[str, Any], wire: dict[str, Any]) -> None:
    """A segment to create is written exactly as Criteo's OpenAPI spells it, and nothing that was not given is sent."""
    assert unstructure(AudienceSegmentCreate(advertiser_id="5", name="crm", **settings)) == COMMON | wire


def test_description_is_plain_text_on_create() -> None:
    """The description of a segment to create is plain text, unlike that of an update."""
    segment = AudienceSegmentCreate(advertiser_id="5", name="crm", description="x", contact_list=ContactListCreate())
    assert unstructure(segment) == COMMON | {"description": "x", "contactList": {}}


@frozen(kw_only=True)
class Change:
    """A model whose fields may be left alone or set to null."""

    plain_name: str | Unset = UNSET
    may_be_null: str | Unset | None = UNSET
    small_count: int = 3


@pytest.mark.parametrize(
    ("change", "wire"),
    [
        (Change(), {"smallCount": 3}),
        (Change(may_be_null=None), {"mayBeNull": None, "smallCount": 3}),
        (Change(plain_name="x", may_be_null="y"), {"plainName": "x", "mayBeNull": "y", "smallCount": 3}),
    ],
)
def test_unset_is_left_out_and_null_is_sent(change: Change, wire: dict[str, Any]) -> None:
    """`UNSET` leaves a field out, `None` where it is not the default sends `null`."""
    assert unstructure(change) == wire


def test_required_field_is_demanded() -> None:
    """A field without a default must come, and `null` is no value for it."""

    @frozen(kw_only=True)
    class Strict:
        some_name: str

    assert structure({"someName": 5}, Strict) == Strict(some_name="5")
    with pytest.raises(InvalidResponseError, match=r"required field missing @ \$\.someName"):
        structure({}, Strict)
    with pytest.raises(InvalidResponseError, match=r"required field missing @ \$\.someName"):
        structure({"someName": None}, Strict)
    with pytest.raises(InvalidResponseError, match=r"expected text @ \$\.data\.attributes\.someName") as caught:
        read_one(entity(someName=[LEAK]), Strict)
    assert caught.value.__suppress_context__


values: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.just(LEAK) | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["id", "attributes", LEAK]), inner, max_size=3)
    ),
    max_leaves=8,
)
FIELDS = [
    "advertiserId",
    "name",
    "type",
    "createdAt",
    "contactList",
    "inMarket",
    "location",
    "isReadOnly",
    "pointsOfInterest",
]


@given(attributes=st.dictionaries(st.sampled_from(FIELDS), values | st.dictionaries(st.sampled_from(FIELDS), values)))
def test_any_document_is_read_or_refused_without_its_values(attributes: dict[str, Any]) -> None:
    """Whatever an entity holds, it is read, or refused without showing a value."""
    try:
        segment = read_one(entity(**attributes), AudienceSegment)
    except InvalidResponseError as error:
        assert LEAK not in str(error)  # noqa: PT017 - either outcome is right
    else:
        assert segment.id == "7"


def test_a_page_with_problems_is_not_lost() -> None:
    """What a search found next to an error is the receipt of the exception; a page without anything is none."""
    document = {"data": [{"id": "1", "attributes": {}}], "meta": {"totalItems": 9}, "errors": [{"code": "c"}]}
    with pytest.raises(PartialFailureError) as caught:
        read_page(document, AudienceSegment)
    assert ([each.id for each in caught.value.receipt.items], caught.value.receipt.total_items) == (["1"], 9)
    with pytest.raises(PartialFailureError) as caught:
        read_page({**document, "data": []}, AudienceSegment)
    assert caught.value.receipt is None
