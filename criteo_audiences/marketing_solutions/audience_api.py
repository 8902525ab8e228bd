"""Marketing Solutions: audiences, sizes, in-market catalogs, application, advertisers, and models (OpenAPI 2026-07)."""

import datetime as dt
from collections.abc import Iterable
from typing import Final

from attrs import field, frozen

from criteo_audiences.algebra import Expression, require_expression, require_expression_or_unset
from criteo_audiences.marketing_solutions.models import InMarketCreate, LocationCreate
from criteo_audiences.marketing_solutions.words import to_country
from criteo_audiences.models import UNSET, Application, Problem, Unset, nullable, of_envelope
from criteo_audiences.rendering import ShownInNotebooks
from criteo_audiences.results import BulkResult, require_naming, require_one_of
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
from criteo_audiences.validation import (
    require_change,
    require_ids,
    require_kind,
    require_models,
    require_text,
)


@frozen(kw_only=True)
class Audience(ShownInNotebooks):
    """An audience as Criteo returns it; timestamps are aware, UTC."""

    id: str | None = None
    advertiser_id: str | None = None
    name: str | None = None
    description: str | None = None
    algebra: Expression | None = None
    ad_set_ids: tuple[str, ...] | None = None
    created_at: dt.datetime | None = None
    updated_at: dt.datetime | None = None


@frozen(kw_only=True)
class AudienceCreate:
    """An audience to create.

    Attributes:
        advertiser_id: its owner.
        name: unique among the advertiser's audiences.
        algebra: whom it contains, such as `Segment("1") & ~Segment("2")`.
        description: free text.

    Raises:
        ConfigurationError: naming the field that is missing or wrong.
    """

    advertiser_id: str
    name: str
    algebra: Expression = field(converter=require_expression)
    description: str | None = None

    def __attrs_post_init__(self) -> None:
        require_text(self.advertiser_id, "advertiser_id")
        require_naming(self.name, self.description)


@frozen(kw_only=True)
class AudienceUpdate:
    """Changes to an audience: fields left out stay unchanged.

    Attributes:
        id: the audience.
        name: unique among the advertiser's audiences.
        description: free text, `None` to remove it.
        algebra: whom it is to contain.

    Raises:
        ConfigurationError: when nothing is to be changed, or a field cannot be removed.
    """

    id: str
    name: str | Unset = UNSET
    description: str | Unset | None = field(default=UNSET, metadata=nullable())
    algebra: Expression | Unset = field(default=UNSET, converter=require_expression_or_unset)

    def __attrs_post_init__(self) -> None:
        require_text(self.id, "id")
        require_change(self)
        require_naming(self.name, self.description)


@frozen(kw_only=True)
class Size:
    """How many people a segment or an audience contains.

    Attributes:
        id: the segment or the audience; `None` for an estimate before it exists.
        size: people.
        warnings: what Criteo warned of in the same answer.
    """

    id: str | None = None
    size: int | None = None
    warnings: tuple[Problem, ...] = field(default=(), eq=False, repr=False, metadata=of_envelope())


@frozen(kw_only=True)
class AudienceSegmentEstimate:
    """A segment for an estimate of its size before it is created.

    Attributes:
        advertiser_id: who would own it.
        in_market, location: its settings, exactly one of them; other kinds cannot be estimated.

    Raises:
        ConfigurationError: when not exactly one settings object is given.
    """

    advertiser_id: str
    in_market: InMarketCreate | None = None
    location: LocationCreate | None = None

    def __attrs_post_init__(self) -> None:
        require_text(self.advertiser_id, "advertiser_id")
        require_one_of(self, {"in_market": InMarketCreate, "location": LocationCreate})


@frozen(kw_only=True)
class AudienceEstimate:
    """An audience for an estimate of its size before it is created.

    Attributes:
        advertiser_id: who would own it.
        algebra: whom it would contain.
    """

    advertiser_id: str
    algebra: Expression = field(converter=require_expression)

    def __attrs_post_init__(self) -> None:
        require_text(self.advertiser_id, "advertiser_id")


@frozen(kw_only=True)
class InMarketInterest:
    """An interest that an in-market segment can be made of; ids follow Google's product taxonomy."""

    id: str | None = None
    parent_id: str | None = None


@frozen(kw_only=True)
class InMarketBrand:
    """A brand that an in-market segment can be made of, and how many people are interested in it."""

    id: str | None = None
    name: str | None = None
    size: int | None = None


@frozen(kw_only=True)
class AdSetAudience:
    """The audience of an ad set; `None` for none.

    Attributes:
        id: the ad set.
        audience_id: its audience.
        warnings: what Criteo warned of in the same answer.
    """

    id: str | None = None
    audience_id: str | None = None
    warnings: tuple[Problem, ...] = field(default=(), eq=False, repr=False, metadata=of_envelope())


@frozen(kw_only=True)
class Advertiser:
    """An advertiser that the application may work for."""

    id: str | None = None
    advertiser_name: str | None = None


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
        """Computes how many people segments contain.

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
        """Estimates how many people a segment would contain; costly for Criteo, so one at a time.

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
        """Changes audiences: fields that an update leaves out stay, fields that it sets to `None` are removed.

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
            ConfigurationError: when a filter is not a list of ids.
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
        """Computes how many people audiences contain.

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
        """Estimates how many people an audience would contain.

        Args:
            definition: the algebra and its owner.

        Raises:
            CriteoError: when the call failed.
        """
        attributes = unstructure(require_kind(definition, AudienceEstimate, "definition"))
        body = {"data": {"type": _AUDIENCE, "attributes": attributes}}
        return await send_for_one(self._session, json_request("POST", f"{_AUDIENCES}/estimate-size", body), Size)

    async def set_ad_set_audience(self, ad_set_id: str, audience_id: str | None) -> AdSetAudience:
        """Links an audience to an ad set, or removes its audience; needs the Campaign permission.

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
