"""Who is calling: the application, and the advertisers or accounts that have consented to it."""

from typing import Any

from aiohttp import web

from criteo_audiences.sandbox.calls import Route, answer, scope
from criteo_audiences.sandbox.problems import invalid
from criteo_audiences.sandbox.search import read_number

_APPLICATION_ID = 1
_ORGANIZATION_ID = 1
_DEFAULT_OWNER = "1"
_DEFAULT_PAGE_SIZE = 25


def application_rows(base: str) -> list[Route]:
    """Returns the endpoint that every service has, below its path."""
    return [("me", "GET", f"{base}/me", get_application)]


def advertiser_rows() -> list[Route]:
    """Returns the endpoint of the advertisers, which belong to no service."""
    return [("advertisers", "GET", "/advertisers/me", get_advertisers)]


def account_rows(base: str) -> list[Route]:
    """Returns the endpoint of the accounts, below the path of their service."""
    return [("accounts", "GET", f"{base}/accounts", get_accounts)]


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
    """Returns everyone that has a segment or an audience, and the one that always consents."""
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
