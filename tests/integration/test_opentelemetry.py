"""What OpenTelemetry gets of uploads, batches and calls."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import suppress
from typing import Any

import aiohttp
import anyio
import pytest
from aiohttp import web
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from criteo_audiences import CriteoClient, CriteoError, Quota, RetryPolicy
from criteo_audiences.integrations.opentelemetry import opentelemetry
from criteo_audiences.loops import run_apart
from criteo_audiences.sandbox import Fault, Sandbox

PLANTED = "planted.person@example.com"
NAME = "Planted list of secret buyers"
FORMS = (PLANTED, hashlib.sha256(PLANTED.encode()).hexdigest(), hashlib.md5(PLANTED.encode()).hexdigest(), NAME)  # noqa: S324
PATCH = "PATCH /marketing-solutions/audience-segments/{segment_id}/contact-list"


class Recorder:
    """An SDK that keeps what it is told."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.reader = InMemoryMetricReader()
        self.meters = MeterProvider([self.reader])
        self.observe = opentelemetry(tracer_provider=self.provider, meter_provider=self.meters)

    def spans(self, name: str | None = None) -> list[ReadableSpan]:
        """Returns the spans that have ended, in the order of their ends."""
        return [span for span in self.exporter.get_finished_spans() if name in {None, span.name}]

    def points(self, name: str) -> list[Any]:
        """Returns the data points of a metric."""
        data: Any = self.reader.get_metrics_data()
        metrics = [metric for each in data.resource_metrics for scope in each.scope_metrics for metric in scope.metrics]
        return [point for metric in metrics if metric.name == name for point in metric.data.data_points]

    def everything(self) -> str:
        """Returns all that was told, as text."""
        return json.dumps([json.loads(span.to_json()) for span in self.spans()]) + self.metrics()

    def metrics(self) -> str:
        """Returns all metrics, as text."""
        data: Any = self.reader.get_metrics_data()
        return str(data.to_json())


@pytest.fixture
def recorder() -> Recorder:
    """An SDK that keeps what it is told."""
    return Recorder()


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """A local Criteo."""
    async with Sandbox() as running:
        yield running


def client(sandbox: Sandbox, recorder: Recorder, **options: Any) -> CriteoClient:
    """Returns a client that is observed."""
    return CriteoClient(sandbox.credentials, base_url=sandbox.url, on_event=recorder.observe, **options)


def ids(spans: Iterable[ReadableSpan]) -> set[int]:
    """Returns what names spans."""
    return {span.context.span_id for span in spans if span.context is not None}


def parents(spans: Iterable[ReadableSpan]) -> set[int]:
    """Returns what names the spans above."""
    return {span.parent.span_id for span in spans if span.parent is not None}


def outcomes(points: Iterable[Any]) -> dict[str, int]:
    """Returns counts by outcome."""
    return {point.attributes["criteo.outcome"]: point.value for point in points}


async def test_requests_are_below_batches_and_these_below_the_upload(sandbox: Sandbox, recorder: Recorder) -> None:
    """Which is below what the caller does; each has its numbers."""
    segment_id = sandbox.add_contact_list(NAME)
    async with client(sandbox, recorder) as criteo:
        with recorder.provider.get_tracer("program").start_as_current_span("nightly"):
            people = [PLANTED, "a@example.com", "b@example.com"]
            await criteo.marketing_solutions.upload_contact_list(segment_id, people, hash="sha256", batch_size=1)
    (nightly,), (upload,) = recorder.spans("nightly"), recorder.spans("upload")
    batches = recorder.spans("batch")
    requests = recorder.spans(PATCH)
    assert parents([upload]) == ids([nightly])
    assert parents(batches) == ids([upload])
    assert parents(requests) == ids(batches)
    assert len(batches) == len(ids(batches)) == 3
    assert upload.attributes is not None
    assert upload.attributes["criteo.segment.id"] == segment_id
    assert upload.attributes["criteo.identifiers.valid"] == 3
    assert outcomes(recorder.points("criteo.identifiers")) == {"valid": 3}
    (size,) = [
        p for p in recorder.points("http.client.request.body.size") if p.attributes["http.request.method"] == "PATCH"
    ]
    assert size.count == 3
    assert sum(point.value for point in recorder.points("http.client.active_requests")) == 0


async def test_work_apart_is_below_the_span_of_who_waits_for_it(recorder: Recorder) -> None:
    """As the uploads of queues and clusters are, which have a thread and an event loop of their own."""
    tracer = recorder.provider.get_tracer("program")

    async def work() -> None:
        tracer.start_span("work").end()

    with tracer.start_as_current_span("job"):
        run_apart(work, "apart")
    assert parents(recorder.spans("work")) == ids(recorder.spans("job"))


async def test_a_repeated_request_is_a_span_of_its_own(sandbox: Sandbox, recorder: Recorder) -> None:
    """The first ends with its status and an error, the second says that it is a repeat, and the batch is fine."""
    sandbox.fail_next(status=503, on="contact-list")
    async with client(sandbox, recorder, retry=RetryPolicy(first_delay=0.001)) as criteo:
        await criteo.marketing_solutions.upload_contact_list(sandbox.add_contact_list(), [PLANTED], hash=None)
    first, second = recorder.spans(PATCH)
    assert first.attributes is not None
    assert second.attributes is not None
    assert (first.attributes["http.response.status_code"], first.attributes["error.type"]) == (503, "503")
    assert first.status.status_code is StatusCode.ERROR
    assert (second.attributes["http.request.resend_count"], second.attributes["http.response.status_code"]) == (1, 200)
    assert recorder.spans("batch")[0].status.status_code is StatusCode.UNSET
    assert [point.value for point in recorder.points("criteo.retries")] == [1]


async def test_a_wait_for_the_quota_is_measured_and_is_part_of_its_batch(recorder: Recorder) -> None:
    """Which begins with it, and so lasts longer than its request."""
    async with (
        Sandbox(rate_limit=(2, 0.3)) as sandbox,
        client(sandbox, recorder, quota=Quota(2, period=0.3)) as criteo,
    ):
        people = [f"{number}@example.com" for number in range(3)]
        await criteo.marketing_solutions.upload_contact_list(
            sandbox.add_contact_list(), people, hash="sha256", batch_size=1, max_concurrency=3
        )
    assert sum(point.count for point in recorder.points("criteo.quota.wait")) >= 1

    def seconds(span: ReadableSpan) -> float:
        assert span.start_time is not None
        assert span.end_time is not None
        return (span.end_time - span.start_time) / 1e9

    assert max(map(seconds, recorder.spans("batch"))) > max(map(seconds, recorder.spans(PATCH))) + 0.1


async def test_requests_carry_the_context_of_their_trace(sandbox: Sandbox, recorder: Recorder) -> None:
    """To Criteo, and nothing else that a function may put into an event, nor what no header can hold."""
    sent: list[Any] = []
    config = aiohttp.TraceConfig()

    async def note(_session: object, _context: object, told: aiohttp.TraceRequestStartParams) -> None:
        sent.append(dict(told.headers))

    config.on_request_start.append(note)

    def observe(event: Any) -> None:
        recorder.observe(event)
        event.headers["authorization"] = "Bearer other"
        event.headers["x-mine"] = "1"
        event.headers["baggage"] = "a=1\r\nx-mine: 2"
        event.headers["tracestate"] = 1

    async with (
        aiohttp.ClientSession(trace_configs=[config]) as http,
        CriteoClient(sandbox.credentials, base_url=sandbox.url, on_event=observe, http=http) as criteo,
    ):
        await criteo.marketing_solutions.list_advertisers()
    (call,) = [span for span in recorder.spans() if span.name.startswith("GET")]
    assert call.context is not None
    assert sent[-1]["traceparent"].startswith(f"00-{call.context.trace_id:032x}-{call.context.span_id:016x}-")
    assert {"x-mine", "baggage", "tracestate"}.isdisjoint(sent[-1])
    assert sent[-1]["Authorization"] != "Bearer other"


CASES: dict[str, Callable[[Sandbox], object]] = {
    "accepted": lambda _: None,
    "refused": lambda sandbox: sandbox.fail_next(status=400, on="contact-list", times=9),
    "echoed": lambda sandbox: sandbox.fail_next(
        status=400, on="contact-list", code=FORMS[1], headers={"x-request-id": PLANTED, "traceparent": PLANTED}, times=9
    ),
    "cut off": lambda sandbox: sandbox.fail_with(lambda _: Fault(lose_reply=True)),
    "login refused": lambda sandbox: sandbox.fail_next(status=401, on="oauth2", times=9),
}


@pytest.mark.parametrize("case", CASES)
async def test_nobody_is_in_a_trace(case: str, recorder: Recorder) -> None:
    """No identifier in any form, no name of a segment, no token and no secret, whatever happens; and every span ends."""
    async with Sandbox() as sandbox:
        segment_id = sandbox.add_contact_list(NAME)
        async with client(sandbox, recorder, retry=RetryPolicy(attempts=2, first_delay=0.001)) as criteo:
            CASES[case](sandbox)
            service = criteo.marketing_solutions
            for call in (
                service.upload_contact_list(segment_id, [PLANTED, NAME], hash="sha256"),
                service.amend_contact_list(segment_id, operation="add", identifiers=[PLANTED]),
                service.ensure_contact_list(advertiser_id="1", name=NAME),
            ):
                with suppress(CriteoError):
                    await call
        told = recorder.everything()
        assert recorder.spans()
        assert [form for form in (*FORMS, sandbox.client_secret, sandbox.client_id) if form in told] == []
    assert sum(point.value for point in recorder.points("http.client.active_requests")) == 0


async def test_a_canceled_upload_leaves_no_span_open(recorder: Recorder) -> None:
    """Its requests are said to be canceled."""
    async with Sandbox(latency=30) as sandbox, client(sandbox, recorder) as criteo:
        people = [f"{number}@example.com" for number in range(4)]
        upload = asyncio.ensure_future(
            criteo.marketing_solutions.upload_contact_list(
                sandbox.add_contact_list(), people, hash=None, batch_size=1, drain_timeout=0.0
            )
        )
        with anyio.fail_after(20):
            while not sandbox.requests:  # noqa: ASYNC110 - the sandbox has no event for it
                await asyncio.sleep(0)
        upload.cancel()
        with pytest.raises(asyncio.CancelledError):
            await upload
    assert recorder.spans("upload")
    assert sum(point.value for point in recorder.points("http.client.active_requests")) == 0


async def test_a_collector_gets_the_spans(sandbox: Sandbox) -> None:
    """Over OTLP, without a person in the bytes."""
    got: list[bytes] = []

    async def take(request: web.Request) -> web.Response:
        got.append(await request.read())
        return web.Response(content_type="application/x-protobuf")

    app = web.Application()
    app.router.add_post("/v1/traces", take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1/traces"
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(url)))
    observe = opentelemetry(tracer_provider=provider)
    async with CriteoClient(sandbox.credentials, base_url=sandbox.url, on_event=observe) as criteo:
        await criteo.marketing_solutions.upload_contact_list(sandbox.add_contact_list(NAME), [PLANTED], hash="sha256")
    await asyncio.to_thread(provider.shutdown)
    await runner.cleanup()
    arrived = b"".join(got)
    assert b"upload" in arrived
    assert PATCH.encode() in arrived
    assert [form for form in FORMS if form.encode() in arrived] == []
