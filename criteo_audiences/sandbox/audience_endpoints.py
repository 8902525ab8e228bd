"""The endpoints of audiences and of sizes, for the services that have them."""

from functools import partial

from aiohttp import web

from criteo_audiences.sandbox import calls, versions
from criteo_audiences.sandbox.audience_actions import CREATE, DELETE, UPDATE
from criteo_audiences.sandbox.calls import answer, bulk, document, full_entity, items, scope
from criteo_audiences.sandbox.search import matching, read_filters, read_page
from criteo_audiences.sandbox.services import Service
from criteo_audiences.sandbox.sizing import (
    COMPUTE_AUDIENCES,
    COMPUTE_SEGMENTS,
    estimate_audience,
    estimate_segment,
    named_items,
)


def routes(service: Service) -> list[web.RouteDef]:
    """Returns the routes of a service for its audiences and for all sizes."""
    traits = service.with_audiences
    audiences, segments = f"/{service.name}/{traits.path}", f"/{service.name}/{service.segments}"
    items_of = partial(named_items, service=service) if traits.channels else items
    rows: list[calls.Route] = [
        ("audiences.create", "POST", f"{audiences}/create", bulk(CREATE)),
        ("audiences.update", "PATCH", audiences, bulk(UPDATE)),
        ("audiences.delete", "POST", f"{audiences}/delete", bulk(DELETE)),
        ("audiences.sizes", "POST", f"{audiences}/compute-sizes", bulk(COMPUTE_AUDIENCES, items_of)),
        ("audiences.estimate", "POST", f"{audiences}/estimate-size", estimate_audience),
        ("sizes", "POST", f"{segments}/compute-sizes", bulk(COMPUTE_SEGMENTS, items_of)),
        ("estimate", "POST", f"{segments}/estimate-size", estimate_segment),
    ]
    search: calls.Route = ("audiences.search", "POST", f"{audiences}/search", search_audiences)
    return [*calls.routes(service, rows, traits.versions), *calls.routes(service, [search], versions.ANY)]


async def search_audiences(request: web.Request) -> web.Response:
    """Answers a page of the audiences that pass the filters, oldest first."""
    reach = scope(request)
    page = read_page(request.query, reach.service)
    found = matching(reach.audiences, read_filters(await document(request), reach.service.with_audiences.filters))
    return answer([full_entity(audience) for audience in page.of(found)], meta=page.meta(len(found)))
