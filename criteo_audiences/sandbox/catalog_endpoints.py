"""Answer read-only calls: on the calling application, on consented owners, and on the catalog for in-market segments.

The application, and the interests and brands of the catalog, are the same for every advertiser.
"""

from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web

from criteo_audiences.sandbox import calls
from criteo_audiences.sandbox.attributes import read_number
from criteo_audiences.sandbox.calls import answer, scope
from criteo_audiences.sandbox.kinds import scattered
from criteo_audiences.sandbox.problems import invalid, is_country
from criteo_audiences.sandbox.services import ANY_VERSION, MARKETING_SOLUTIONS, RETAIL_MEDIA, STABLE_VERSION, Service

_APPLICATION_ID = 1
_ORGANIZATION_ID = 1
_DEFAULT_OWNER = "1"
_DEFAULT_PAGE_SIZE = 25
# Ids of the Google product taxonomy, each with its parent: apparel and electronics, down to mobile phones.
_INTERESTS: Final[Mapping[str, str | None]] = {
    "166": None,
    "1604": "166",
    "187": "166",
    "222": None,
    "262": "222",
    "270": "262",
    "267": "270",
}
_BRANDS: Final[Mapping[str, str]] = {"101": "Acme", "102": "Globex", "103": "Initech", "104": "Umbrella"}


def routes(service: Service) -> list[web.RouteDef]:
    """Returns the routes of a service for its application, for the owners that have consented, and for its catalog."""
    base = f"/{service.name}"
    rows: list[calls.Route] = [("me", "GET", f"{base}/me", get_application)]
    if service.name == MARKETING_SOLUTIONS.name:
        rows += [
            # The advertisers belong to no service.
            ("advertisers", "GET", "/advertisers/me", get_advertisers),
            ("interests", "GET", f"{base}/{service.segments}/in-market-interests", get_interests),
            ("brands", "GET", f"{base}/{service.segments}/in-market-brands", get_brands),
        ]
    accounts: calls.Route = ("accounts", "GET", f"{base}/accounts", get_accounts)
    return [
        *calls.routes(service, rows, ANY_VERSION),
        # OpenAPI does not have it under "experimental".
        *calls.routes(service, [accounts] if service.name == RETAIL_MEDIA.name else [], STABLE_VERSION),
    ]


async def get_application(request: web.Request) -> web.Response:
    """Answers the one application that the server knows."""
    attributes = {
        "applicationId": _APPLICATION_ID,
        "organizationId": _ORGANIZATION_ID,
        "name": "sandbox",
        "description": "The one application of the sandbox.",
        "criteoService": scope(request).service.name,
    }
    return answer({"type": "Application", "attributes": attributes})


async def get_advertisers(request: web.Request) -> web.Response:
    """Answers every advertiser."""
    return answer(
        [
            {"id": each, "type": "advertiser", "attributes": {"advertiserName": f"advertiser {each}"}}
            for each in _owners(request)
        ]
    )


async def get_accounts(request: web.Request) -> web.Response:
    """Answers a page of the accounts."""
    index = read_number(request.query, "pageIndex", 0)
    size = read_number(request.query, "pageSize", _DEFAULT_PAGE_SIZE)
    if not size:
        raise invalid("pageSize must be at least 1.", code="invalid-range")
    wanted = request.query.getall("limitToId", [])
    found = [each for each in _owners(request) if not wanted or each in wanted]
    page = found[index * size :][:size]
    return answer([_account(each) for each in page], metadata=_metadata(request.path, index, size, len(found)))


def _owners(request: web.Request) -> list[str]:
    """Returns every owner that has a segment or an audience, and the default owner."""
    reach = scope(request)
    owners = {each.owner_id for entities in (reach.segments, reach.audiences) for each in entities}
    return sorted({_DEFAULT_OWNER} | owners, key=lambda owner: (len(owner), owner))


def _account(account_id: str) -> dict[str, Any]:
    attributes = {
        "name": f"account {account_id}",
        "type": "demand",
        "subtype": "brand",
        "countries": ["FR"],
        "currency": "EUR",
        "timeZone": "Europe/Paris",
        "parentAccountLabel": f"account {account_id}",
        "companyName": None,
        "onBehalfCompanyName": None,
    }
    return {"id": account_id, "type": "RetailMediaAccount", "attributes": attributes}


def _metadata(path: str, index: int, size: int, total: int) -> dict[str, Any]:
    """Returns the ``PageMetadata`` of OpenAPI."""
    pages = -(-total // size)

    def address(page: int) -> str | None:
        return f"{path}?pageIndex={page}&pageSize={size}" if 0 <= page < pages else None

    return {
        "totalItemsAcrossAllPages": total,
        "totalPages": pages,
        "currentPageIndex": index,
        "currentPageSize": size,
        "previousPage": address(index - 1),
        "nextPage": address(index + 1),
    }


async def get_interests(request: web.Request) -> web.Response:
    """Answers every interest with its parent."""
    _country(request)
    return answer([_catalog_entity("Interest", each, parentId=parent) for each, parent in _INTERESTS.items()])


async def get_brands(request: web.Request) -> web.Response:
    """Answers every brand, and how many users it has in the country."""
    country = _country(request)
    return answer(
        [_catalog_entity("Brand", each, name=name, size=scattered(country, each)) for each, name in _BRANDS.items()]
    )


def _catalog_entity(word: str, entity_id: str, **attributes: Any) -> dict[str, Any]:
    return {"id": entity_id, "type": f"InMarketAudienceSegment{word}", "attributes": attributes}


def _country(request: web.Request) -> str:
    if not request.query.get("advertiser-id"):
        raise invalid("advertiser-id is missing.", code="required-field")
    country = request.query.get("country")
    if not country:
        raise invalid("country is missing.", code="country-code-is-required")
    if not is_country(country):
        raise invalid("country is not valid.", code="country-code-must-be-valid")
    return country
