import traceback
from typing import Any

import pytest

from criteo_audiences import ConfigurationError, IdentifierType, InvalidRequestError, NotFoundError, Operation
from criteo_audiences.marketing_solutions import AudienceSegmentCreate, ContactListCreate


@pytest.mark.parametrize("operation", ["add", Operation.ADD])
async def test_an_amendment_adds_and_removes(operation: Any, stage: Any) -> None:
    """One call, sent as it is given, answered with Criteo's counts."""
    ms = stage.criteo.marketing_solutions
    receipt = await ms.amend_contact_list(
        stage.segment_id, operation=operation, identifiers=["A@b.co", "nobody", "c@d.co"]
    )
    assert stage.held == {"A@b.co", "c@d.co"}
    assert (receipt.valid, receipt.invalid, receipt.sample_invalid) == (2, 1, ("nobody",))
    assert receipt.contact_list_id == stage.segment_id
    assert receipt.request_date.tzinfo is not None
    assert receipt.identifier_type is IdentifierType.EMAIL
    receipt = await ms.amend_contact_list(stage.segment_id, operation="remove", identifiers=["A@b.co"])
    assert receipt.operation is Operation.REMOVE
    assert stage.held == {"c@d.co"}


async def test_each_kind_of_identifier_is_spelled_as_the_service_does(stage: Any) -> None:
    """The server refuses a wrong spelling, so that its counts show the right one."""
    ms = stage.criteo.marketing_solutions
    for kind, identifier in [
        ("phone_number", "+33 1 23 45 67 89"),
        (IdentifierType.MADID, "6D92078A-8246-4BA4-AE5B-76104861E7DC"),
        ("identityLink", "Xi1234"),
    ]:
        receipt = await ms.amend_contact_list(
            stage.segment_id, operation="add", identifier_type=kind, identifiers=[identifier]
        )
        assert receipt.valid == 1
        assert receipt.identifier_type is IdentifierType(kind)
    receipt = await ms.amend_contact_list(
        stage.segment_id, operation="add", identifier_type="gum", identifiers=["k-1"], gum_caller_id=5
    )
    assert receipt.valid == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"identifiers": ["a@b.co"] * 50_001}, "at most 50,000 identifiers, not 50,001; upload_contact_list splits"),
        ({"identifiers": []}, "at least one identifier"),
        ({"operation": "replace"}, "operation is not one"),
        ({"identifier_type": "passport"}, "identifier_type is not one"),
        ({"identifier_type": "customer_id"}, "takes no identifier_type='customer_id'"),
        ({"identifier_type": "gum"}, "gum_caller_id goes with"),
        ({"gum_caller_id": 5}, "gum_caller_id goes with"),
        ({"segment_id": " "}, "segment_id must not be empty"),
        ({"segment_id": 5}, "segment_id must be a str, not int"),
    ],
    ids=str,
)
async def test_an_amendment_that_cannot_be_sent_is_not(changes: dict[str, Any], message: str, stage: Any) -> None:
    """A `ConfigurationError` says what is wrong before any call is made."""
    arguments = {"segment_id": stage.segment_id, "operation": "add", "identifiers": ["a@b.co"], **changes}
    segment_id = arguments.pop("segment_id")
    with pytest.raises(ConfigurationError) as caught:
        await stage.criteo.marketing_solutions.amend_contact_list(segment_id, **arguments)
    assert message in str(caught.value)
    assert stage.sandbox.requests == []


@pytest.mark.parametrize(
    ("identifiers", "message"),
    [
        ("planted@example.com", "not a single str"),
        (b"planted@example.com", "not a single bytes"),
        (["planted@example.com", 4_242], "identifier 2: expected a str, found int"),
        (["planted@example.com", None], "identifier 2: expected a str, found NoneType"),
        (["planted\ud800@example.com"], "surrogates"),
    ],
    ids=str,
)
async def test_an_amendment_of_what_is_no_text_is_a_type_error(identifiers: Any, message: str, stage: Any) -> None:
    """It names the position and the type, never the value; nothing is sent."""
    with pytest.raises(TypeError, match=message) as caught:
        await stage.criteo.marketing_solutions.amend_contact_list(
            stage.segment_id, operation="add", identifiers=identifiers
        )
    assert "planted" not in "".join(traceback.format_exception(caught.value))
    assert stage.sandbox.requests == []


async def test_exactly_50_000_identifiers_are_one_call(stage: Any) -> None:
    """Criteo's bound is inclusive."""
    identifiers = [f"{number}@example.com" for number in range(50_000)]
    receipt = await stage.criteo.marketing_solutions.amend_contact_list(
        stage.segment_id, operation="add", identifiers=identifiers
    )
    assert receipt.valid == 50_000
    assert [call.identifiers for call in stage.calls] == [50_000]


async def test_clearing_empties_the_list_and_statistics_count_it(stage: Any) -> None:
    """The segment itself stays."""
    ms = stage.criteo.marketing_solutions
    await stage.upload(["a@b.co", "c@d.co", "e@f.co", "g@h.co", "i@j.co"])
    statistics = await ms.get_contact_list_statistics(stage.segment_id)
    assert (statistics.number_of_identifiers, statistics.number_of_matches, statistics.match_rate) == (5, 3, 0.6)
    assert await ms.clear_contact_list(stage.segment_id) is None
    assert stage.held == frozenset()
    assert (await ms.get_contact_list_statistics(stage.segment_id)).number_of_identifiers == 0


async def test_a_segment_that_is_not_there_is_not_found(stage: Any) -> None:
    """Each call says so with Criteo's code and trace id; ids are quoted, so that none reaches another path."""
    ms = stage.criteo.marketing_solutions
    for segment_id in ("999999", "../../oauth2/token", "1/../2?x=1#y"):
        with pytest.raises(NotFoundError) as caught:
            await ms.get_contact_list_statistics(segment_id)
        assert caught.value.codes in {("segment-not-found",), ("route-not-found",)}
        assert caught.value.trace_id in str(caught.value)
    assert all("/contact-list" in call.path for call in stage.calls)


async def test_a_read_only_list_cannot_be_changed(stage: Any) -> None:
    """Criteo's code says why."""
    read_only = stage.sandbox.add_contact_list(read_only=True)
    with pytest.raises(InvalidRequestError) as caught:
        await stage.criteo.marketing_solutions.clear_contact_list(read_only)
    assert caught.value.codes == ("audience-segment-read-only",)


async def test_segments_are_created_and_a_taken_name_is_a_problem_of_its_item(stage: Any) -> None:
    """A 200 is not a success: the item that failed is named by its position, the others exist."""
    ms = stage.criteo.marketing_solutions
    wanted = [
        AudienceSegmentCreate(name=name, advertiser_id="1", contact_list=ContactListCreate()) for name in ("new", "crm")
    ]
    result = await ms.create_audience_segments(wanted)
    (created,) = result.items
    assert created.name == "new"
    (problem,) = result.errors
    assert (problem.index, problem.code) == (1, "name-must-be-unique")
    receipt = await ms.amend_contact_list(created.id, operation="add", identifiers=["a@b.co"])
    assert receipt.valid == 1


async def test_creating_nothing_is_refused(stage: Any) -> None:
    """Before any call is made."""
    with pytest.raises(ConfigurationError, match="at least one"):
        await stage.criteo.marketing_solutions.create_audience_segments([])
    assert stage.sandbox.requests == []
