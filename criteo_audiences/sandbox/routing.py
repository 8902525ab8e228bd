"""All routes of a service."""

from collections.abc import Callable, Mapping

from aiohttp import web

from criteo_audiences.sandbox import (
    audience_endpoints,
    calls,
    catalog_endpoints,
    contact_list_endpoints,
    segment_endpoints,
    size_endpoints,
    versions,
)
from criteo_audiences.sandbox.services import MARKETING_SOLUTIONS, RETAIL_MEDIA, Service


def routes(service: Service) -> list[web.RouteDef]:
    """Returns every route of a service."""
    base = f"/{service.name}"
    return [
        *segment_endpoints.routes(service),
        *contact_list_endpoints.routes(service),
        *((*audience_endpoints.routes(service), *size_endpoints.routes(service)) if service.audiences else ()),
        *calls.routes(service, catalog_endpoints._application_rows(base), versions.ANY),
        *(_OWN[service.name](service, base) if service.name in _OWN else ()),
    ]


def _marketing_solutions(service: Service, base: str) -> list[web.RouteDef]:
    rows = [
        *catalog_endpoints._in_market_rows(f"{base}/{service.segments}"),
        *audience_endpoints._ad_set_rows(base),
        *catalog_endpoints._advertiser_rows(),
    ]
    return calls.routes(service, rows, versions.ANY)


def _retail_media(service: Service, base: str) -> list[web.RouteDef]:
    # OpenAPI has none of these under "experimental".
    return calls.routes(
        service, [*audience_endpoints._line_item_rows(base), *catalog_endpoints._account_rows(base)], versions.STABLE
    )


_OWN: Mapping[str, Callable[[Service, str], list[web.RouteDef]]] = {
    MARKETING_SOLUTIONS.name: _marketing_solutions,
    RETAIL_MEDIA.name: _retail_media,
}
