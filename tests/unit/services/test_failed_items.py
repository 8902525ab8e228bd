"""Which items of a bulk call failed: one rule for `errors` and `warnings`, in a 200 and in a 400."""

import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from criteo_audiences import BulkResult, InvalidRequestError, PartialFailureError, Problem, Segment
from criteo_audiences import marketing_solutions as ms
from criteo_audiences import retail_media as rm

IDS = ["11", "12", "13"]


def failed(index: int, code: str = "segment-must-not-be-used-in-audience") -> dict[str, Any]:
    """Returns a problem of an item."""
    return {"type": "validation", "code": code, "instance": f"@data/{index}"}


NOTICE = {"type": "deprecation", "code": "endpoint-deprecated", "instance": "/audience-segments/delete"}
NOTICE_OF_AN_ITEM = {"type": "deprecation", "code": "deprecated-field", "instance": "@data/1"}
OF_THE_CALL = {"type": "availability", "code": "internal-error", "instance": "/audience-segments/delete"}
OTHER = {"type": "validation", "code": "name-is-long", "instance": "/somewhere"}


def deleted(*ids: str, **problems: Any) -> dict[str, Any]:
    """Returns the answer to a call that deletes."""
    return {"data": [{"id": each, "type": "AudienceSegment"} for each in ids], **problems}


ANSWERS: dict[str, tuple[dict[str, Any], list[int], bool]] = {
    "all done": (deleted(*IDS, errors=[], warnings=[]), [], True),
    "in errors": (deleted("11", "13", errors=[failed(1)]), [1], False),
    "in warnings": (deleted("11", "13", warnings=[failed(1)]), [1], False),
    "one in each": (deleted("12", errors=[failed(2)], warnings=[failed(0)]), [0, 2], False),
    "the same in both": (deleted("11", "13", errors=[failed(1)], warnings=[failed(1)]), [1], False),
    "two problems of one item": (deleted("11", "13", errors=[failed(1), failed(1, "x-1")]), [1], False),
    "with deprecations": (deleted("11", "13", errors=[failed(1)], warnings=[NOTICE, NOTICE_OF_AN_ITEM]), [1], False),
    "deprecations only": (deleted(*IDS, warnings=[NOTICE, NOTICE_OF_AN_ITEM]), [], True),
    "deprecations among errors": (deleted(*IDS, errors=[NOTICE, NOTICE_OF_AN_ITEM]), [], True),
    "a warning of no item": (deleted(*IDS, warnings=[OTHER]), [], True),
    "an error of no item": (deleted(*IDS, errors=[OF_THE_CALL]), [], False),
    "an error of no item with a failed one": (deleted("11", errors=[OF_THE_CALL], warnings=[failed(1)]), [1], False),
    "a part of an item": (deleted("11", "13", errors=[{**failed(1), "instance": "@data/1/attributes/name"}]), [1], False),
    "nothing at all": ({}, [], False),
    "no data": ({"data": None, "errors": None}, [], False),
    "empty data": (deleted(errors=[]), [], False),
    "some of them": (deleted("11"), [], False),
}  # fmt: skip

Call = Callable[[Any], Awaitable[BulkResult[Any]]]
CALLS: dict[str, Call] = {
    "ms.segments": lambda criteo: criteo.ms.delete_audience_segments(IDS),
    "ms.audiences": lambda criteo: criteo.ms.delete_audiences(IDS),
    "ms.sizes": lambda criteo: criteo.ms.compute_audience_segment_sizes(IDS),
    "rm.segments": lambda criteo: criteo.rm.delete_audience_segments("7", IDS),
    "cg.segments": lambda criteo: criteo.cg.delete_audience_segments(IDS),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize(("answer", "indexes", "ok"), ANSWERS.values(), ids=ANSWERS)
async def test_an_item_failed_when_a_problem_names_it(
    criteo, call: Call, answer: dict[str, Any], indexes: list[int], *, ok: bool
) -> None:
    """In `errors` or `warnings`, but for deprecations; whatever is not certain is not `ok`, and raises when asked."""
    criteo.will_answer(answer)
    result = await call(criteo)
    assert [(failure.index, failure.item) for failure in result.failures] == [(n, IDS[n]) for n in indexes]
    assert result.ok is ok
    assert (result.asked, result.done) == (3, len(answer.get("data") or ()))
    assert result.unaccounted == max(0, 3 - result.done - len(indexes))
    if ok:
        assert result.raise_for_failures() is None
        return
    with pytest.raises(PartialFailureError) as caught:
        result.raise_for_failures()
    assert caught.value.outcome_unknown is (result.unaccounted > 0)


@pytest.mark.parametrize(("answer", "indexes", "ok"), ANSWERS.values(), ids=ANSWERS)
async def test_a_400_names_its_items_or_raises(criteo, answer: dict[str, Any], indexes: list[int], *, ok: bool) -> None:
    """A 400 that names a failed item is a result by the same rule; one that names none raises."""
    criteo.will_answer({**answer, "data": None}, status=400)
    if not indexes:
        with pytest.raises(InvalidRequestError):
            await criteo.rm.delete_audience_segments("7", IDS)
        return
    result = await criteo.rm.delete_audience_segments("7", IDS)
    assert [failure.index for failure in result.failures] == indexes
    assert (result.ok, result.done, ok) == (False, 0, False)


@pytest.mark.parametrize("call", [CALLS[name] for name in CALLS if name != "ms.sizes"])
async def test_a_deletion_answered_204_is_done(criteo, call: Call) -> None:
    """No content says that all of it is done."""
    criteo.will_answer(status=204)
    result = await call(criteo)
    assert (result.items, result.ok, result.done, result.asked) == (tuple(IDS), True, 3, 3)


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
async def test_a_200_without_a_body_is_no_success(criteo, call: Call) -> None:
    """It says of no item that it is done."""
    criteo.will_answer(status=200)
    result = await call(criteo)
    assert (result.items, result.ok, result.done, result.unaccounted) == ((), False, 0, 3)


async def test_a_failed_item_is_the_model_that_was_to_be_created(criteo) -> None:
    """Its problems say why, its item is what was given."""
    models = [
        rm.AudienceSegmentCreate(retailer_id="1", name=each, contact_list=rm.ContactListCreate()) for each in "ab"
    ]
    criteo.will_answer({"data": [{"id": "1"}], "warnings": [failed(1, "name-must-be-unique")]})
    result = await criteo.rm.create_audience_segments("7", models)
    [failure] = result.failures
    assert failure.item is models[1]
    assert failure.codes == ("name-must-be-unique",)
    with pytest.raises(PartialFailureError, match="1 of 2 items failed: name-must-be-unique at @data/1"):
        result.raise_for_failures()
    with pytest.raises(PartialFailureError, match="name-must-be-unique") as caught:
        result.one()
    assert caught.value.receipt.id == "1"


async def test_a_problem_beyond_what_was_asked_for_is_not_lost(criteo) -> None:
    """It is a failure of an item that is not known."""
    criteo.will_answer(deleted(*IDS, warnings=[failed(9)]))
    result = await criteo.ms.delete_audience_segments(IDS)
    assert [(failure.index, failure.item) for failure in result.failures] == [(9, None)]
    assert not result.ok


def test_the_message_says_what_is_not_known() -> None:
    """How many were asked for, how many failed, how many the answer does not name."""
    result: BulkResult[str] = BulkResult(
        items=("11",), errors=(Problem(instance="@data/1", code="x"),), requested=(*IDS,)
    )
    with pytest.raises(PartialFailureError) as caught:
        result.raise_for_failures()
    assert str(caught.value) == (
        "1 of 3 items failed; 1 of 3 items may or may not be done, since Criteo's answer does not name them: "
        "x at @data/1."
    )


WARNED = [{"type": "validation", "code": "list-is-small", "instance": "/x"}, NOTICE]
SINGLE: dict[str, Callable[[Any], Awaitable[Any]]] = {
    "receipt": lambda criteo: criteo.ms.amend_contact_list("5", operation="add", identifiers=["a"]),
    "statistics": lambda criteo: criteo.rm.get_contact_list_statistics("7", "5"),
    "application": lambda criteo: criteo.cg.get_application(),
    "size": lambda criteo: criteo.ms.estimate_audience_size(
        ms.AudienceEstimate(advertiser_id="1", algebra=Segment("5"))
    ),
    "ad set": lambda criteo: criteo.ms.set_ad_set_audience("5", "6"),
    "target": lambda criteo: criteo.rm.get_line_item_audiences("5"),
    "page": lambda criteo: criteo.cg.search_audience_segments().page(),
}


@pytest.mark.parametrize("where", ["errors", "warnings"])
@pytest.mark.parametrize("call", SINGLE.values(), ids=SINGLE)
async def test_warnings_next_to_a_single_result_are_kept_and_logged(
    criteo, call: Callable[[Any], Awaitable[Any]], where: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Every single result and every page has `.warnings`; a deprecation among the errors is one of them."""
    data: Any = {"attributes": {"scope": "include", "audienceIds": ["1"]}}
    notice = {"errors": [NOTICE], "warnings": WARNED[:1]} if where == "errors" else {"warnings": WARNED}
    criteo.will_answer({"data": [] if call is SINGLE["page"] else data, **notice})
    with caplog.at_level(logging.WARNING, "criteo_audiences.session"):
        result = await call(criteo)
    assert sorted(str(warning.code) for warning in result.warnings) == ["endpoint-deprecated", "list-is-small"]
    assert "list-is-small" in caplog.text


async def test_a_target_that_came_with_warnings_is_sent_without_them(criteo) -> None:
    """What stands next to a result is no part of a request."""
    target = {"data": {"attributes": {"scope": "include", "audienceIds": ["1"]}}, "warnings": WARNED}
    criteo.will_answer(target)
    criteo.will_answer(target)
    await criteo.rm.set_line_item_audiences("5", await criteo.rm.get_line_item_audiences("5"))
    assert criteo.last[2]["data"]["attributes"] == {"scope": "include", "audienceIds": ["1"]}


async def test_an_upload_counts_the_warnings_of_its_batches(criteo) -> None:
    """By code, in the report, whatever became of the batches."""
    receipt = {"nbValidIdentifiers": 1, "nbInvalidIdentifiers": 0}
    for _ in range(2):
        criteo.will_answer({"data": {"attributes": receipt}, "warnings": WARNED})
    report = await criteo.ms.upload_contact_list("5", ["a@b.example", "b@b.example"], hash=None, batch_size=1)
    assert report.ok
    assert report.warnings == {"list-is-small": 2, "endpoint-deprecated": 2}
    assert (report + report).warnings["list-is-small"] == 4
    assert report.to_dict()["warnings"] == dict(report.warnings)
