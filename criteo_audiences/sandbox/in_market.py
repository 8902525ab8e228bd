"""What an in-market segment can be made of: a small catalog that is the same for every advertiser."""

from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web

from criteo_audiences.sandbox.calls import Route, answer
from criteo_audiences.sandbox.kinds import scattered
from criteo_audiences.sandbox.problems import invalid
from criteo_audiences.sandbox.schema import is_country

# Ids of the Google product taxonomy, each with the one above it: apparel and electronics, down to mobile phones.
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


def rows(base: str) -> list[Route]:
    """Returns the endpoints, below the path of the segments."""
    return [
        ("interests", "GET", f"{base}/in-market-interests", get_interests),
        ("brands", "GET", f"{base}/in-market-brands", get_brands),
    ]


async def get_interests(request: web.Request) -> web.Response:
    """Answers every interest, and which one it is part of."""
    _country(request)
    return answer([_entity("Interest", each, parentId=parent) for each, parent in _INTERESTS.items()])


async def get_brands(request: web.Request) -> web.Response:
    """Answers every brand, and how many users it has in the country."""
    country = _country(request)
    return answer([_entity("Brand", each, name=name, size=scattered(country, each)) for each, name in _BRANDS.items()])


def _entity(word: str, entity_id: str, **attributes: Any) -> dict[str, Any]:
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
