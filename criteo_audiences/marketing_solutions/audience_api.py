"""Marketing Solutions: audiences, sizes, in-market catalogs, and who is asking (OpenAPI 2026-07)."""

from collections.abc import Iterable
from typing import Final

from criteo_audiences.marketing_solutions.audience_models import (
    AdSetAudience,
    Advertiser,
    Audience,
    AudienceCreate,
    AudienceEstimate,
    AudienceSegmentEstimate,
    AudienceUpdate,
    InMarketBrand,
    InMarketInterest,
    Size,
)
from criteo_audiences.marketing_solutions.words import to_country
from criteo_audiences.models import Application
from criteo_audiences.results import BulkResult
from criteo_audiences.session.codec import unstructure
from criteo_audiences.session.endpoints import (
    Search,
    entities,
    id_list,
    identities,
    search,
    send_bulk,
    send_deletion,
    send_for_list,
    send_for_one,
)
from criteo_audiences.session.protocol import Request, json_request
from criteo_audiences.session.session import Session
from criteo_audiences.validation import require_ids, require_kind, require_models, require_text

_SERVICE: Final = "/marketing-solutions"
_AUDIENCES: Final = f"{_SERVICE}/audiences"
_SEGMENTS: Final = f"{_SERVICE}/audience-segments"
_AUDIENCE: Final = "Audience"
_SEGMENT: Final = "AudienceSegment"
_PAGE_MAXIMUM: Final = 100


class Audiences:
    """The part of Marketing Solutions around audiences."""

    _session: Session

    async def compute_audience_segment_sizes(self, ids: Iterable[str]) -> BulkResult[Size]:
        """Computes how many people segments hold.

        Args:
            ids: the segments.

        Raises:
            ConfigurationError: when there is none.
            CriteoError: when the call as a whole failed.
        """
        wanted = require_ids(ids, "ids")
        request = json_request("POST", f"{_SEGMENTS}/compute-sizes", identities(wanted, _SEGMENT))
        return await send_bulk(self._session, request, Size, wanted)

    async def estimate_audience_segment_size(self, definition: AudienceSegmentEstimate) -> Size:
        """Estimates how many people a segment would hold; costly for Criteo, so one at a time.

        Args:
            definition: in-market or location settings.

        Raises:
            CriteoError: when the call failed.
        """
        attributes = unstructure(require_kind(definition, AudienceSegmentEstimate, "definition"))
        body = {"data": {"type": _SEGMENT, "attributes": attributes}}
        return await send_for_one(self._session, json_request("POST", f"{_SEGMENTS}/estimate-size", body), Size)

    async def list_in_market_interests(self, advertiser_id: str, country: str) -> tuple[InMarketInterest, ...]:
        """Returns the interests that an in-market segment can be made of.

        Args:
            advertiser_id: for whom.
            country: ISO 3166-1 alpha-2 code.

        Raises:
            CriteoError: when the call failed.
        """
        return await send_for_list(self._session, _catalog("interests", advertiser_id, country), InMarketInterest)

    async def list_in_market_brands(self, advertiser_id: str, country: str) -> tuple[InMarketBrand, ...]:
        """Returns the brands that an in-market segment can be made of.

        Args:
            advertiser_id: for whom.
            country: ISO 3166-1 alpha-2 code.

        Raises:
            CriteoError: when the call failed.
        """
        return await send_for_list(self._session, _catalog("brands", advertiser_id, country), InMarketBrand)

    async def create_audiences(self, audiences: Iterable[AudienceCreate]) -> BulkResult[Audience]:
        """Creates audiences; never repeated after a lost answer, because names are unique.

        Args:
            audiences: what to create.

        Raises:
            ConfigurationError: when there is nothing to create.
            CriteoError: when the call as a whole failed.
        """
        wanted = require_models(audiences, AudienceCreate, "audiences")
        body = entities(wanted, _AUDIENCE, "audiences")
        request = json_request("POST", f"{_AUDIENCES}/create", body, repeatable=False)
        return await send_bulk(self._session, request, Audience, wanted)

    async def update_audiences(self, audiences: Iterable[AudienceUpdate]) -> BulkResult[Audience]:
        """Changes audiences: what an update leaves out stays, what it sets to `None` is taken away.

        Args:
            audiences: the changes.

        Raises:
            ConfigurationError: when there is nothing to change.
            CriteoError: when the call as a whole failed.
        """
        wanted = require_models(audiences, AudienceUpdate, "audiences")
        body = entities(wanted, _AUDIENCE, "audiences")
        request = json_request("PATCH", _AUDIENCES, body)
        return await send_bulk(self._session, request, Audience, wanted)

    async def delete_audiences(self, ids: Iterable[str]) -> BulkResult[str]:
        """Deletes audiences.

        Args:
            ids: the audiences.

        Returns:
            The ids deleted; all of them when Criteo answers 204, which it also may (OpenAPI declares both).

        Raises:
            ConfigurationError: when there is none.
            CriteoError: when the call as a whole failed.
        """
        wanted = require_ids(ids, "ids")
        request = json_request("POST", f"{_AUDIENCES}/delete", identities(wanted, _AUDIENCE))
        return await send_deletion(self._session, request, wanted)

    def search_audiences(
        self,
        *,
        audience_ids: Iterable[str] | None = None,
        advertiser_ids: Iterable[str] | None = None,
        ad_set_ids: Iterable[str] | None = None,
        audience_segment_ids: Iterable[str] | None = None,
    ) -> Search[Audience]:
        """Searches audiences that match all given filters.

        Args:
            audience_ids: only these.
            advertiser_ids: only audiences of these advertisers.
            ad_set_ids: only audiences of these ad sets.
            audience_segment_ids: only audiences made of these segments.

        Raises:
            ConfigurationError: when a filter is no list of ids.
        """
        filters = {
            "audienceIds": id_list(audience_ids, "audience_ids"),
            "advertiserIds": id_list(advertiser_ids, "advertiser_ids"),
            "adSetIds": id_list(ad_set_ids, "ad_set_ids"),
            "audienceSegmentIds": id_list(audience_segment_ids, "audience_segment_ids"),
        }
        path = Request(method="POST", path=f"{_AUDIENCES}/search")
        return search(self._session, path, filters, Audience, page_maximum=_PAGE_MAXIMUM)

    async def compute_audience_sizes(self, ids: Iterable[str]) -> BulkResult[Size]:
        """Computes how many people audiences hold.

        Args:
            ids: the audiences.

        Raises:
            ConfigurationError: when there is none.
            CriteoError: when the call as a whole failed.
        """
        wanted = require_ids(ids, "ids")
        request = json_request("POST", f"{_AUDIENCES}/compute-sizes", identities(wanted, _AUDIENCE))
        return await send_bulk(self._session, request, Size, wanted)

    async def estimate_audience_size(self, definition: AudienceEstimate) -> Size:
        """Estimates how many people an audience would hold.

        Args:
            definition: the algebra and its owner.

        Raises:
            CriteoError: when the call failed.
        """
        attributes = unstructure(require_kind(definition, AudienceEstimate, "definition"))
        body = {"data": {"type": _AUDIENCE, "attributes": attributes}}
        return await send_for_one(self._session, json_request("POST", f"{_AUDIENCES}/estimate-size", body), Size)

    async def set_ad_set_audience(self, ad_set_id: str, audience_id: str | None) -> AdSetAudience:
        """Links an audience to an ad set, or takes its audience away; needs the Campaign permission.

        Args:
            ad_set_id: the ad set.
            audience_id: the audience, `None` for none.

        Raises:
            CriteoError: when the call failed.
        """
        ad_set_id = require_text(ad_set_id, "ad_set_id")
        audience_id = None if audience_id is None else require_text(audience_id, "audience_id")
        body = {"data": {"id": ad_set_id, "type": "AdSetAudience", "attributes": {"audienceId": audience_id}}}
        request = json_request(
            "PUT", f"{_SERVICE}/ad-sets/{{ad_set_id}}/audience", body, path_parameters={"ad_set_id": ad_set_id}
        )
        return await send_for_one(self._session, request, AdSetAudience)

    async def get_application(self) -> Application:
        """Returns the application that the credentials belong to.

        Raises:
            CriteoError: when the call failed.
        """
        return await send_for_one(self._session, Request(method="GET", path=f"{_SERVICE}/me"), Application)

    async def list_advertisers(self) -> tuple[Advertiser, ...]:
        """Returns the advertisers that the application may work for.

        Raises:
            CriteoError: when the call failed.
        """
        return await send_for_list(self._session, Request(method="GET", path="/advertisers/me"), Advertiser)


def _catalog(kind: str, advertiser_id: str, country: str) -> Request:
    query = {
        "advertiser-id": require_text(advertiser_id, "advertiser_id"),
        "country": to_country(country),
    }
    return Request(method="GET", path=f"{_SEGMENTS}/in-market-{kind}", query=query)
