"""Which audiences a preferred line item of Retail Media includes or excludes. Any id will do for a line item."""

import re
from typing import Any

from aiohttp import web

from criteo_audiences.sandbox.calls import Route, answer, document, scope
from criteo_audiences.sandbox.schema import attributes_of, is_list_of, is_one_of, required_value
from criteo_audiences.sandbox.state import STATE, Target


def rows(base: str) -> list[Route]:
    """Returns the endpoints, below the path of the service."""
    path = f"{base}/preferred-line-items/{{line_item_id}}/targeting/audiences"
    return [
        ("target", "GET", path, get_target),
        ("target.set", "PUT", path, set_target),
        ("target.append", "POST", f"{path}/append", append_audiences),
        ("target.delete", "POST", f"{path}/delete", delete_audiences),
    ]


async def get_target(request: web.Request) -> web.Response:
    """Answers the audiences of a line item; of one that was never set, none are included."""
    return _answered(_target(request))


async def set_target(request: web.Request) -> web.Response:
    """Replaces the whole."""
    attributes = attributes_of(await document(request))
    word = required_value(attributes, "scope", is_one_of("unknown", "include", "exclude"))
    return _kept(request, Target(word, _known(request, _audience_ids(attributes))))


async def append_audiences(request: web.Request) -> web.Response:
    """Adds the audiences that are not there yet."""
    target = _target(request)
    new = _known(request, _audience_ids(attributes_of(await document(request))))
    return _kept(request, Target(target.scope, [*dict.fromkeys((*target.audience_ids, *new))]))


async def delete_audiences(request: web.Request) -> web.Response:
    """Takes out the audiences that are there."""
    target = _target(request)
    gone = _audience_ids(attributes_of(await document(request)))
    return _kept(request, Target(target.scope, [each for each in target.audience_ids if each not in gone]))


def _audience_ids(attributes: dict[str, Any]) -> list[str]:
    ids: list[str] = required_value(attributes, "audienceIds", is_list_of(_is_id))
    return ids


def _is_id(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch("[0-9]{1,19}", value) is not None


def _known(request: web.Request, audience_ids: list[str]) -> list[str]:
    audiences = scope(request).audiences
    return [audiences[each].id for each in audience_ids]


def _target(request: web.Request) -> Target:
    return request.app[STATE].line_items.get(request.match_info["line_item_id"], Target())


def _kept(request: web.Request, target: Target) -> web.Response:
    request.app[STATE].line_items[request.match_info["line_item_id"]] = target
    return _answered(target)


def _answered(target: Target) -> web.Response:
    attributes = {"scope": target.scope, "audienceIds": target.audience_ids}
    return answer({"type": "AudienceTarget", "attributes": attributes})
