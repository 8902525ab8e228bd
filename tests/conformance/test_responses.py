from collections.abc import Awaitable, Iterator
from contextlib import suppress
from typing import Any, Final

import pytest
from attrs import evolve
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from criteo_audiences import CriteoClient, CriteoError
from criteo_audiences.results import BulkResult
from criteo_audiences.sandbox import Sandbox

from .calls import Call, Draw, each_version
from .exchanges import answered
from .judge import Document
from .strategies import World, ms_audience_creations, ms_creations, rm_audience_creations, rm_creations, some

Documents = dict[tuple[str, str], Document]

_OWNERS: Final = st.sampled_from(["1", "1", "1", "2"])
_UNKNOWN_ID: Final = "404404"


@pytest.fixture
def statuses() -> Iterator[set[int]]:
    """Collects the statuses of a test's answers, over all its examples; one at least must be a declared one.

    Hypothesis begins with the simplest example, for which every strategy gives its first choice: something that exists.
    """
    seen: set[int] = set()
    yield seen
    assert any(status < 300 for status in seen), f"no answer was judged, only {sorted(seen)} came"


async def _ids(make: Awaitable[BulkResult[Any]]) -> list[str]:
    return [item.id for item in (await make).items]


async def _stage(call: Call, sandbox: Sandbox, criteo: CriteoClient, documents: Documents, draw: Draw) -> World:
    """Makes a sandbox hold lists that have people, are read-only, in use or another's, and drawn things beside them.

    Drawn segments and audiences are made by calls, which are judged like any other.
    """
    lists = [
        sandbox.add_contact_list("list", service=call.service, owner_id="1"),
        sandbox.add_contact_list("read-only", service=call.service, owner_id="1", read_only=True),
        sandbox.add_contact_list("in use", service=call.service, owner_id="1"),
        sandbox.add_contact_list("another's", service=call.service, owner_id="2"),
    ]
    sandbox.use_in_audience(lists[2])
    service = getattr(criteo, call.service.replace("-", "_"))
    people = [f"user{number}@example.com" for number in range(9)]
    await service.amend_contact_list(lists[0], operation="add", identifiers=people)
    numbers = st.sampled_from(["1", "2", _UNKNOWN_ID])
    segments = st.sampled_from([lists[0], *lists, _UNKNOWN_ID])
    world = World(segments=segments, owners=_OWNERS, audiences=numbers, ad_sets=numbers, line_items=numbers)
    made: list[str] = []
    formed: list[str] = []
    if call.service == "marketing-solutions":
        made = await _ids(service.create_audience_segments(draw(some(ms_creations(world), least=1))))
        formed = await _ids(service.create_audiences(draw(some(ms_audience_creations(world), least=1))))
    elif call.service == "retail-media":
        made = await _ids(service.create_audience_segments("1", draw(some(rm_creations(world), least=1))))
        # Only this version makes audiences; all versions see them.
        async with answered(documents["retail-media", "experimental"], "experimental", sandbox) as (other, _):
            creations = draw(some(rm_audience_creations(world), least=1))
            formed = await _ids(other.retail_media.create_audiences("1", creations))
    return evolve(
        world,
        segments=st.sampled_from([lists[0], *lists, *made, _UNKNOWN_ID]),
        audiences=st.sampled_from([*formed, *formed, _UNKNOWN_ID]),
    )


@pytest.mark.parametrize(
    ("version", "call"),
    [pytest.param(version, call, id=f"{version}-{call.service}-{call.method}") for version, call in each_version()],
)
@settings(
    max_examples=10,
    deadline=None,
    # `statuses` is there for the whole test: it collects over the examples.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
async def test_every_answer_is_declared(
    version: str, call: Call, documents: Documents, statuses: set[int], data: st.DataObject
) -> None:
    """Whatever the sandbox is asked by a call, its answer is what the document declares, if it is no error."""
    async with (
        Sandbox(rate_limit=None) as sandbox,
        answered(documents[call.service, version], version, sandbox) as (criteo, transport),
    ):
        world = await _stage(call, sandbox, criteo, documents, data.draw)
        transport.statuses.clear()
        with suppress(CriteoError):
            await call.make(criteo, world, data.draw)
    statuses.update(transport.statuses)
