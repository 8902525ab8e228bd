"""The blocking client beside the async one: the same names, arguments and docstrings, and the same results."""

import asyncio
import inspect
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from queue import SimpleQueue
from typing import Any

import pytest
from attrs import frozen

from criteo_audiences import (
    ConfigurationError,
    CriteoClient,
    NotFoundError,
    Progress,
    StaticToken,
    blocking,
    uploads,
)
from criteo_audiences.blocking import portal, services
from criteo_audiences.commerce_grid import CommerceGrid
from criteo_audiences.marketing_solutions import MarketingSolutions
from criteo_audiences.retail_media import RetailMedia
from criteo_audiences.sandbox import Sandbox
from criteo_audiences.session import endpoints
from tests.kit import assert_adds_up

TWINS: dict[type, type] = {
    CriteoClient: blocking.CriteoClient,
    MarketingSolutions: services.MarketingSolutions,
    RetailMedia: services.RetailMedia,
    CommerceGrid: services.CommerceGrid,
    endpoints.Search: blocking.Search,
    uploads.UploadStream: blocking.UploadStream,
}
NAMES = {"aclose": "close"}
"""What has another name, as elsewhere: `httpx.AsyncClient.aclose` is `httpx.Client.close`."""


def members(kind: type) -> dict[str, Any]:
    """Returns the public methods and properties of a class, inherited ones included."""
    return {name: member for name, member in inspect.getmembers_static(kind) if not name.startswith("_")}


def parameters(method: Any) -> list[tuple[str, Any, Any]]:
    """Returns the name, kind and default of each parameter but those that a blocking client cannot have."""
    found = inspect.signature(method).parameters.values()
    return [(each.name, each.kind, each.default) for each in found if each.name not in {"self", "http"}]


def words(documented: object) -> str:
    """Returns a docstring without `async`."""
    return (inspect.getdoc(documented) or "").replace("`async ", "`")


@pytest.mark.parametrize("kind", TWINS, ids=lambda kind: kind.__name__)
def test_everything_has_its_counterpart(kind: type) -> None:
    """Both sides have the same names; a method has the same parameters and says the same of itself."""
    asynchronous, twin = members(kind), members(TWINS[kind])
    assert twin.keys() == {NAMES.get(name, name) for name in asynchronous}
    for name in asynchronous:
        one, other = getattr(kind, name), getattr(TWINS[kind], NAMES.get(name, name))
        assert not inspect.iscoroutinefunction(other)
        if callable(one):
            assert parameters(one) == parameters(other), name
        if name not in NAMES:
            assert words(other) == words(one) != "", name


def test_clients_are_built_alike() -> None:
    """The constructors take the same arguments, but for the session of an event loop."""
    assert parameters(CriteoClient) == parameters(blocking.CriteoClient)
    assert "http" in inspect.signature(CriteoClient).parameters
    assert "http" not in inspect.signature(blocking.CriteoClient).parameters


def test_what_has_no_await_is_a_search_an_iterator_or_a_block() -> None:
    """What is no coroutine on one side has its counterpart in the signature of the other."""
    returned = {
        name: inspect.signature(getattr(TWINS[kind], name)).return_annotation
        for kind in (MarketingSolutions, RetailMedia, CommerceGrid)
        for name, member in members(kind).items()
        if inspect.isfunction(member) and not inspect.iscoroutinefunction(member)
    }
    assert set(returned) == {"search_audience_segments", "search_audiences", "stream_contact_list", "list_accounts"}
    assert all("sync" not in str(each).lower().replace("async_", "") for each in returned.values())


@frozen
class Stage:
    """A sandbox with a contact list, and a blocking client of it."""

    sandbox: Sandbox
    criteo: blocking.CriteoClient
    segment_id: str


@pytest.fixture
def stage(criteo_sandbox: Sandbox, criteo_blocking_client: blocking.CriteoClient) -> Stage:
    """A blocking client at work."""
    return Stage(criteo_sandbox, criteo_blocking_client, criteo_sandbox.add_contact_list(name="crm"))


def test_upload_reads_its_source_and_tells_of_progress_in_the_calling_thread(stage: Stage) -> None:
    """Source, opt-outs and `on_progress` are at home in the thread that calls, as database connections are."""
    here, seen = threading.get_ident(), set[int]()

    def rows(*found: str) -> Iterator[str]:
        for row in found:
            seen.add(threading.get_ident())
            yield row

    def watch(progress: Progress) -> None:
        seen.add(threading.get_ident())
        told.append(progress.read)

    told: list[int] = []
    report = stage.criteo.marketing_solutions.upload_contact_list(
        stage.segment_id,
        rows(*(f"{number}@example.com" for number in range(2_500))),
        hash=None,
        batch_size=1_000,
        suppress=rows("7@example.com"),
        on_progress=watch,
    )
    assert (report.ok, report.valid, report.suppressed, len(report.failures)) == (True, 2_499, 1, 0)
    assert_adds_up(report)
    assert seen == {here}
    assert told[-1] == 2_500
    assert len(stage.sandbox.contact_list(stage.segment_id)) == 2_499


def test_lists_are_made_in_the_calling_thread(stage: Stage) -> None:
    """A generator that goes into a plain call is read in the thread that calls."""
    here, seen = threading.get_ident(), set[int]()

    def ids() -> Iterator[str]:
        seen.add(threading.get_ident())
        yield stage.segment_id

    assert stage.criteo.marketing_solutions.delete_audience_segments(ids()).items == (stage.segment_id,)
    assert seen == {here}


def test_error_of_the_source_ends_the_upload_as_it_is(stage: Stage) -> None:
    """What the source raises is raised, and a generator is closed in its thread, as is one that is left early."""
    closed: list[int] = []

    def rows(error: Exception | None) -> Iterator[str]:
        try:
            for number in range(5_000):
                yield f"{number}@example.com"
            if error is not None:
                raise error
            while True:
                yield "0@example.com"
        finally:
            closed.append(threading.get_ident())

    ms = stage.criteo.marketing_solutions
    with pytest.raises(LookupError, match="no more") as caught:
        ms.upload_contact_list(stage.segment_id, rows(LookupError("no more")), hash=None)
    assert any("5,000 rows read" in note for note in caught.value.__notes__)
    with ms.stream_contact_list(stage.segment_id, rows(None), hash=None, batch_size=10) as results:
        next(results)
    assert closed == [threading.get_ident()] * 2
    assert_adds_up(results.report)


@pytest.mark.parametrize(("source", "said"), [("a@example.com", "single str"), ({}, "mapping"), (3, "int")])
def test_what_is_no_source_is_refused(stage: Stage, source: Any, said: str) -> None:
    """What the async client refuses is refused in the same words."""
    with pytest.raises(TypeError, match=said):
        stage.criteo.marketing_solutions.upload_contact_list(stage.segment_id, source, hash=None)
    with pytest.raises(TypeError, match="missing"):
        stage.criteo.marketing_solutions.upload_contact_list(stage.segment_id)  # type: ignore[call-arg]
    with pytest.raises(ConfigurationError, match="on_progress"):
        stage.criteo.marketing_solutions.upload_contact_list(
            stage.segment_id, ["a@example.com"], hash=None, on_progress=asyncio.sleep
        )


def test_error_of_a_callback_ends_the_upload(stage: Stage) -> None:
    """What `on_progress` raises cancels the upload and is raised."""

    def watch(_: Progress) -> None:
        raise LookupError("the screen is gone")

    with pytest.raises(LookupError, match="the screen is gone"):
        stage.criteo.marketing_solutions.upload_contact_list(
            stage.segment_id, (f"{number}@example.com" for number in range(100)), hash=None, on_progress=watch
        )


def test_stream_hands_out_each_batch(stage: Stage) -> None:
    """An upload as a `with` block yields its results, and its report is complete afterwards."""
    stream = stage.criteo.marketing_solutions.stream_contact_list
    with stream(stage.segment_id, (f"{n}@example.com" for n in range(95)), hash=None, batch_size=10) as results:
        assert (results.journal, results.resumes, results.set_aside, results.resumable) == (None, False, None, False)
        assert results.upload_id
        sizes = [batch.sent for batch in results]
    assert sorted(sizes) == [5] + [10] * 9
    assert (results.report.ok, results.report.valid) == (True, 95)
    with pytest.raises(ZeroDivisionError), stream(stage.segment_id, ["a@example.com"], hash=None):
        raise ZeroDivisionError


def test_searches_and_iterators_are_read_with_for(stage: Stage) -> None:
    """A search gives pages and items; one that is left early can be begun anew."""
    ids = [stage.segment_id, *(stage.sandbox.add_contact_list() for _ in range(120))]
    search = stage.criteo.marketing_solutions.search_audience_segments()
    assert len(search.page(limit=7).items) == 7
    for segment in search:
        assert segment.id in ids
        break
    assert {segment.id for segment in search} == set(ids)
    assert len(list(stage.criteo.retail_media.list_accounts())) >= 1
    with pytest.raises(NotFoundError):
        stage.criteo.marketing_solutions.get_contact_list_statistics("404")


def test_hundred_threads_share_one_client(stage: Stage) -> None:
    """Each thread gets its own result, over one connection pool, token and quota."""
    lists = [stage.sandbox.add_contact_list() for _ in range(100)]
    together, sent = threading.Barrier(100), dict[str, int | None]()

    def work(number: int) -> None:
        together.wait()
        rows = (f"{each}@example.com" for each in range(number + 1))
        report = stage.criteo.marketing_solutions.upload_contact_list(lists[number], rows, hash=None)
        sent[lists[number]] = report.valid

    threads = [threading.Thread(target=work, args=(number,)) for number in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sent == {segment_id: number + 1 for number, segment_id in enumerate(lists)}
    assert [len(stage.sandbox.contact_list(segment_id)) for segment_id in lists] == list(range(1, 101))
    assert sum("oauth2" in call.path for call in stage.sandbox.requests) == 1


async def test_usable_where_an_event_loop_runs(stage: Stage) -> None:
    """A notebook's cell, whose loop runs already, may call it like any function."""
    report = stage.criteo.marketing_solutions.upload_contact_list(stage.segment_id, ["a@example.com"], hash=None)
    assert report.ok


def test_closing_cancels_what_other_threads_wait_for(stage: Stage) -> None:
    """A thread whose client is closed meanwhile is told so; a closed client says so at once."""
    stage.sandbox.fail_next(delay=30, on="contact-list")
    told: list[str] = []

    def work() -> None:
        with pytest.raises(ConfigurationError) as caught:
            stage.criteo.marketing_solutions.clear_contact_list(stage.segment_id)
        told.append(str(caught.value))

    thread = threading.Thread(target=work)
    thread.start()
    wait_for(lambda: any("contact-list" in call.path for call in stage.sandbox.requests))
    stage.criteo.close()
    thread.join()
    stage.criteo.close()
    with pytest.raises(ConfigurationError) as caught:
        stage.criteo.authenticate()
    assert [*told, str(caught.value)] == ["This client is closed; make a new one."] * 2


def wait_for(condition: Callable[[], bool]) -> None:
    """Waits until something is true that another thread does."""
    for _ in range(1_000):
        if condition():
            return
        threading.Event().wait(0.01)
    raise AssertionError("it did not come true within ten seconds")


def test_client_that_nobody_closed_ends_its_thread(criteo_sandbox: Sandbox) -> None:
    """The thread of a client that was forgotten ends; one that was never used has none."""

    def running() -> int:
        return sum(thread.name == "criteo-audiences portal" for thread in threading.enumerate())

    before = running()
    criteo = blocking.CriteoClient(criteo_sandbox.credentials, base_url=criteo_sandbox.url)
    assert running() == before
    criteo.authenticate()
    assert running() == before + 1
    del criteo
    wait_for(lambda: running() == before)


def test_client_from_the_environment(criteo_sandbox: Sandbox) -> None:
    """`from_env` reads what the async one reads, and knows no session of an event loop."""
    with blocking.CriteoClient.from_env(timeout=5.0) as criteo:
        criteo.authenticate()
        assert (criteo.host, criteo.rate_limit) == (criteo_sandbox.url.removeprefix("http://"), None)
        assert criteo.quota is not None
    with pytest.raises(ConfigurationError, match="http belongs to an event loop"):
        blocking.CriteoClient.from_env(http=object())
    blocking.CriteoClient(StaticToken("token")).close()


def test_docs_say_no_await(stage: Stage) -> None:
    """A docstring shows the block and the loop of this side."""
    described = inspect.getdoc(stage.criteo.marketing_solutions.stream_contact_list) or ""
    assert "`with ms.stream_contact_list(...) as results:`" in described
    assert inspect.getdoc(blocking.Search.__iter__) == inspect.getdoc(endpoints.Search.__aiter__)


def test_closing_a_client_leaves_what_was_entered() -> None:
    """A stream that nobody left is canceled in its event loop, before the loop closes its generators."""
    ends: list[type[BaseException]] = []

    @asynccontextmanager
    async def block() -> AsyncIterator[None]:
        try:
            yield
        except BaseException as error:
            ends.append(type(error))
            raise

    opened = portal.Portal(partial(asyncio.sleep, 0))
    opened.enter(block(), portal.Caller())
    opened.close()
    assert ends == [asyncio.CancelledError]


def test_ctrl_c_while_a_call_ends_is_raised_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when it comes after the waiting thread has taken note of the end: nothing waits for that twice."""

    class Interrupted(SimpleQueue[Any]):
        def get(self, *arguments: Any) -> Any:
            taken = super().get(*arguments)
            if taken is call:
                raise KeyboardInterrupt
            return taken

    monkeypatch.setattr(portal, "SimpleQueue", Interrupted)
    caller, ends = portal.Caller(), list[str]()
    call = caller.call(list)
    with pytest.raises(KeyboardInterrupt):
        caller.wait(call, call.end, lambda: ends.append("cancel"), lambda: ends.append("cut"))
    assert ends == ["cancel"]


def test_second_ctrl_c_cancels_what_the_first_one_had_no_time_to() -> None:
    """It may come while the event loop is being asked to cancel the call."""
    caller, asked = portal.Caller(), list[str]()
    call = caller.call(list)

    def cancel() -> None:
        asked.append("cancel")
        if len(asked) == 1:
            raise KeyboardInterrupt
        call.end()

    caller.calls_back(lambda _: _press())(None)
    with pytest.raises(KeyboardInterrupt):
        caller.wait(call, lambda: None, cancel, lambda: asked.append("cut"))
    assert asked == ["cancel", "cancel", "cut"]


def _press() -> None:
    raise KeyboardInterrupt
