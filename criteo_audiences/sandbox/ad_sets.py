"""Which audience an ad set of Marketing Solutions reaches. Any id will do for an ad set."""

from aiohttp import web

from criteo_audiences.sandbox.calls import Route, answer, document, scope
from criteo_audiences.sandbox.problems import invalid
from criteo_audiences.sandbox.schema import attributes_of, required_value


def rows(base: str) -> list[Route]:
    """Returns the endpoint, below the path of the service."""
    return [("ad-set", "PUT", f"{base}/ad-sets/{{ad_set_id}}/audience", link_audience)]


async def link_audience(request: web.Request) -> web.Response:
    """Puts an audience in the place of the one that the ad set had; null leaves it without one."""
    ad_set_id, audiences = request.match_info["ad_set_id"], scope(request).audiences
    body = await document(request)
    attributes = attributes_of(body)
    if body["data"].get("id") not in {None, ad_set_id}:
        raise invalid("id must be that of the ad set in the path.")
    audience_id = required_value(attributes, "audienceId", lambda value: value is None or isinstance(value, str))
    chosen = None if audience_id is None else audiences[audience_id]
    for audience in audiences.store:
        audience.ad_set_ids = [each for each in audience.ad_set_ids if each != ad_set_id]
    if chosen is not None:
        chosen.ad_set_ids.append(ad_set_id)
    return answer({"id": ad_set_id, "type": "AdSetAudienceLink", "attributes": {"audienceId": audience_id}})
