import json
from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from criteo_audiences import CriteoError
from criteo_audiences.commerce_grid import CommerceGrid
from criteo_audiences.errors import ConfigurationError
from criteo_audiences.marketing_solutions import MarketingSolutions
from criteo_audiences.retail_media import RetailMedia
from tests.endpoints_page import rows

from .calls import CALLS, Call, each_version
from .exchanges import JudgedTransport, unanswered
from .judge import Document
from .strategies import IDS, World

Documents = dict[tuple[str, str], Document]

ANYTHING: Final = World(segments=IDS, owners=IDS, audiences=IDS, ad_sets=IDS, line_items=IDS)

NOT_COVERED_YET: Final[dict[str, str]] = {}
"""Operations that no call asks for, such as `GET /2026-07/retail-media/me`, each with the reason."""


async def _make(call: Call, version: str, documents: Documents, data: st.DataObject) -> JudgedTransport:
    async with unanswered(documents[call.service, version], version) as (criteo, transport):
        try:
            await call.make(criteo, ANYTHING, data.draw)
        except ConfigurationError:
            raise  # a strategy that draws what the client refuses would prove nothing
        except CriteoError:
            pass  # the 400 that ends every call
    return transport


@pytest.mark.parametrize(
    ("version", "call"),
    [pytest.param(version, call, id=f"{version}-{call.service}-{call.method}") for version, call in each_version()],
)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
async def test_every_request_is_declared(version: str, call: Call, documents: Documents, data: st.DataObject) -> None:
    """Whatever a call is given, its request is what the document of its service and version declares."""
    transport = await _make(call, version, documents, data)
    assert transport.operations


@settings(max_examples=1, deadline=None, database=None, phases=[Phase.generate])
@given(data=st.data())
async def test_every_operation_is_called_or_listed(documents: Documents, data: st.DataObject) -> None:
    """The operations that no call asks for are exactly those written down with a reason."""
    called = set()
    for version, call in each_version():
        called |= (await _make(call, version, documents, data)).operations
    declared = {each for document in documents.values() for each in document.operations}
    assert sorted(declared - called) == sorted(NOT_COVERED_YET)


def test_every_method_has_a_call() -> None:
    """The table of calls names every public method of the three services."""
    services = {"marketing-solutions": MarketingSolutions, "retail-media": RetailMedia, "commerce-grid": CommerceGrid}
    offered = {
        (name, method)
        for name, kind in services.items()
        for method in dir(kind)
        if not method.startswith("_") and callable(getattr(kind, method))
    }
    assert {(call.service, call.method) for call in CALLS} == offered


@settings(max_examples=1, deadline=None, database=None, phases=[Phase.generate])
@given(data=st.data())
async def test_the_page_of_endpoints_says_what_each_call_asks_for(documents: Documents, data: st.DataObject) -> None:
    """Each row's first coroutine calls the row's endpoint, under the row's versions, and there are no other operations."""
    asked = {
        (call.service, call.method, version): (await _make(call, version, documents, data)).operations
        for version, call in each_version()
    }
    listed = set()
    for row in rows():
        for version in row.versions:
            operation = f"{row.method} /{version}{row.path}"
            assert asked[row.service, row.coroutines[0], version] == {operation}
            listed.add(operation)
    assert listed == {each for document in documents.values() for each in document.operations}


def test_the_page_of_endpoints_names_the_permissions(folder: Path) -> None:
    """Those that the documents declare; an endpoint that any application may call has none."""
    contents = [json.loads(path.read_text("utf-8")) for path in folder.glob("*.json")]
    operations = {
        f"{method.upper()} {path}": operation
        for content in contents
        for path, item in content["paths"].items()
        for method, operation in item.items()
        if isinstance(operation, dict)
    }
    for row in rows():
        for version in row.versions:
            security = operations[f"{row.method} /{version}{row.path}"]["security"]
            scopes = {scope for each in security for scopes in each.values() for scope in scopes}
            assert scopes == ({row.permission} - {"none"}), row
