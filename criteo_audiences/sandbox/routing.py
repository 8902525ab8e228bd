"""All routes of a service."""

from collections.abc import Callable, Mapping

from aiohttp import web

from criteo_audiences.sandbox import (
    ad_sets,
    audience_endpoints,
    calls,
    contact_list_endpoints,
    identity,
    in_market,
    segment_endpoints,
    targeting,
    versions,
)
from criteo_audiences.sandbox.services import MARKETING_SOLUTIONS, RETAIL_MEDIA, Service


def routes(service: Service) -> list[web.RouteDef]:
    """Returns every route of a service."""
    base = f"/{service.name}"
    return [
        *segment_endpoints.routes(service),
        *contact_list_endpoints.routes(service),
        *(audience_endpoints.routes(service) if service.audiences else ()),
        *calls.routes(service, identity.application_rows(base), versions.ANY),
        *(_OWN[service.name](service, base) if service.name in _OWN else ()),
    ]


def _marketing_solutions(service: Service, base: str) -> list[web.RouteDef]:
    rows = [*in_market.rows(f"{base}/{service.segments}"), *ad_sets.rows(base), *identity.advertiser_rows()]
    return calls.routes(service, rows, versions.ANY)


def _retail_media(service: Service, base: str) -> list[web.RouteDef]:
    # OpenAPI has none of these under "experimental".
    return calls.routes(service, [*targeting.rows(base), *identity.account_rows(base)], versions.STABLE)


_OWN: Mapping[str, Callable[[Service, str], list[web.RouteDef]]] = {
    MARKETING_SOLUTIONS.name: _marketing_solutions,
    RETAIL_MEDIA.name: _retail_media,
}
