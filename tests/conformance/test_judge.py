import copy
import json
from pathlib import Path
from typing import Any, Final

import pytest

from criteo_audiences.session import Exchange, Response

from .judge import WANTED, Document, NonconformingError, documents_in

Documents = dict[tuple[str, str], Document]

_SEGMENTS: Final = "/2026-07/marketing-solutions/audience-segments"


def _exchange(method: str, path: str, body: object = None, **headers: str) -> Exchange:
    given = {"Authorization": "Bearer token", "Content-Type": "application/json", **headers}
    pieces = () if body is None else (json.dumps(body).encode(),)
    return Exchange(method=method, url=f"https://api.criteo.com{path}", headers=given, body=pieces)


def _create(attributes: dict[str, Any], **entity: Any) -> Exchange:
    return _exchange("POST", f"{_SEGMENTS}/create", {"data": [{"attributes": attributes, **entity}]})


def _response(body: object, status: int = 200) -> Response:
    return Response(status=status, headers={"content-type": "application/json"}, body=json.dumps(body).encode())


@pytest.fixture
def judge(documents: Documents) -> Document:
    """The judge of Marketing Solutions."""
    return documents["marketing-solutions", "2026-07"]


_GOOD: Final = {"advertiserId": "1", "name": "crm", "prospecting": {"usersType": "Prospects"}}
_SEARCH: Final = {"data": {"attributes": {}}}


def test_a_good_request_is_named(judge: Document) -> None:
    """A request that is as declared is named by its operation."""
    assert judge.check_request(_create(_GOOD, type="AudienceSegment")) == f"POST {_SEGMENTS}/create"
    assert judge.check_request(_exchange("POST", f"{_SEGMENTS}/search?limit=100&offset=0", _SEARCH))


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (_create(_GOOD | {"descripton": "x"}), "descripton"),
        (_create(_GOOD, typ="AudienceSegment"), "typ"),
        (_create(_GOOD | {"contactList": {"isReadOnly": False}}), "isReadOnly"),
        (_create(_GOOD | {"prospecting": {"usersType": "prospects"}}), "is not one of"),
        (_create(_GOOD | {"prospecting": {}}), "usersType"),
        (_create({"advertiserId": "1"}), "name"),
        (_create(_GOOD | {"name": None}), "nullable"),
        (_create(_GOOD | {"advertiserId": 1}), "is not of type"),
        (_create(_GOOD | {"lookalike": {"seedSegmentId": "1", "targetSize": 2**63}}), "int64"),
        (_create(_GOOD | {"inMarket": {"country": "FR", "brandIds": ["1", "1"]}}), "non-unique"),
        (_exchange("POST", f"{_SEGMENTS}/create"), "body"),
        (_exchange("POST", f"{_SEGMENTS}/search?limit=101", _SEARCH), "101"),
        (_exchange("POST", f"{_SEGMENTS}/search?limit=ten", _SEARCH), "ten"),
        (_exchange("POST", f"{_SEGMENTS}/search?ofset=0", _SEARCH), "ofset"),
        (_exchange("GET", f"{_SEGMENTS}/in-market-brands?advertiser-id=1"), "country"),
        (_exchange("GET", "/2026-07/marketing-solutions/me", {"data": {}}), "no body"),
        (_exchange("PUT", f"{_SEGMENTS}/create", {"data": []}), "not found"),
        (_exchange("GET", "/2026-01/marketing-solutions/me"), "not found"),
        (_exchange("GET", "/2026-07/marketing-solutions/me", Authorization="Basic x"), "Security"),
        (_exchange("POST", f"{_SEGMENTS}/search", _SEARCH, **{"Content-Type": "text/plain"}), "text/plain"),
    ],
)
def test_a_wrong_request_is_refused(judge: Document, wrong: Exchange, why: str) -> None:
    """A misspelled property, a wrong word, a missing field and every other fault of a request is refused for itself."""
    with pytest.raises(NonconformingError, match=why):
        judge.check_request(wrong)


_FOUND: Final = {"data": [{"id": "1", "type": "AudienceSegment", "attributes": {"type": "ContactList"}}], "errors": []}


def _with(path: tuple[str | int, ...], value: object) -> dict[str, Any]:
    changed: Any = copy.deepcopy(_FOUND)
    place = changed
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return changed


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (_response(_with(("data", 0, "attributes", "nam"), "crm")), "nam"),
        (_response(_with(("warning",), [])), "warning"),
        (_response(_with(("data", 0, "attributes", "type"), "contactList")), "is not one of"),
        (_response(_with(("data", 0, "id"), 1)), "is not of type"),
        (_response(_with(("data", 0, "attributes", "createdAt"), "yesterday")), "date-time"),
        (_response(_with(("meta",), {"totalItems": 2**31})), "int32"),
        (_response(_with(("errors",), [{"type": "validaton"}])), "is not one of"),
        (_response(_FOUND, status=201), "201"),
        (Response(status=200, headers={"content-type": "application/json"}), "Missing"),
    ],
)
def test_a_wrong_answer_is_refused(judge: Document, wrong: Response, why: str) -> None:
    """Every fault of an answer is refused for itself, while the answer without it is accepted."""
    asked = _exchange("POST", f"{_SEGMENTS}/search", _SEARCH)
    judge.check_answer(asked, _response(_FOUND))
    with pytest.raises(NonconformingError, match=why):
        judge.check_answer(asked, wrong)


def test_a_missing_field_of_an_answer_is_refused(judge: Document) -> None:
    """An amendment's answer without the operation, which is required, is refused."""
    amend = {"data": {"type": "x", "attributes": {"operation": "add", "identifiers": []}}}
    asked = _exchange("PATCH", f"{_SEGMENTS}/1/contact-list", amend)
    answer: dict[str, Any] = {"data": {"type": "x", "attributes": {"operation": "add"}}, "errors": [], "warnings": []}
    judge.check_answer(asked, _response(answer))
    del answer["data"]["attributes"]["operation"]
    with pytest.raises(NonconformingError, match="operation"):
        judge.check_answer(asked, _response(answer))


def test_a_204_has_no_body(documents: Documents) -> None:
    """What is declared as an answer without a body is refused with one."""
    asked = _exchange("POST", "/2026-07/commerce-grid/audience-segments/1/contact-list/clear")
    judge = documents["commerce-grid", "2026-07"]
    judge.check_answer(asked, Response(status=204))
    with pytest.raises(NonconformingError, match="no body"):
        judge.check_answer(asked, _response({}, status=204))


def test_documents_are_found_by_content(folder: Path, tmp_path: Path) -> None:
    """Names of files do not matter, files of others are passed over; a missing or a second document is an error."""
    for number, path in enumerate(sorted(folder.glob("*.json"))):
        (tmp_path / f"{number}.json").write_bytes(path.read_bytes())
    (tmp_path / "other.json").write_text(
        '{"openapi": "3.0.1", "info": {"title": "Other", "version": "1"}, "paths": {}}'
    )
    (tmp_path / "list.json").write_text("[]")
    assert documents_in(tmp_path).keys() == WANTED
    (tmp_path / "4.json").write_bytes((tmp_path / "0.json").read_bytes())
    with pytest.raises(LookupError, match="two documents"):
        documents_in(tmp_path)
    (tmp_path / "4.json").unlink()
    (tmp_path / "0.json").unlink()
    with pytest.raises(LookupError, match="no document"):
        documents_in(tmp_path)
