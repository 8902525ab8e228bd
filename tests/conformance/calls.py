"""Every call that the client offers, one row each, and how to make one."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from typing import Any, Final

from attrs import frozen
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from criteo_audiences import CriteoClient, IdentifierType
from criteo_audiences.commerce_grid import segment_api as cg
from criteo_audiences.marketing_solutions import models as ms
from criteo_audiences.retail_media import models as rm
from criteo_audiences.session.endpoints import Search

from .strategies import (
    COUNTRIES,
    IDS,
    NAMES,
    TEXTS,
    Arguments,
    World,
    amendments,
    arguments,
    cg_creations,
    cg_updates,
    mirrors,
    ms_audience_creations,
    ms_audience_estimates,
    ms_audience_updates,
    ms_creations,
    ms_segment_estimates,
    ms_updates,
    optional,
    replacements,
    rm_audience_creations,
    rm_audience_estimates,
    rm_audience_updates,
    rm_creations,
    rm_segment_estimates,
    rm_updates,
    some,
    targets,
    uploads,
    words,
)

STABLE: Final = ("2026-07",)
EXPERIMENTAL: Final = ("experimental",)
BOTH: Final = STABLE + EXPERIMENTAL

Draw = Callable[[SearchStrategy[Any]], Any]


@frozen
class Call:
    """A method of a service of the client, and what it can be given."""

    service: str
    """As in a path; the client's attribute has an underscore."""
    method: str
    arguments: Callable[[World], SearchStrategy[Arguments]]
    versions: tuple[str, ...] = STABLE
    """The versions whose document has it."""

    async def make(self, criteo: CriteoClient, world: World, draw: Draw) -> None:
        """Makes the call with drawn arguments, to the end of what it returns."""
        positional, keywords = draw(self.arguments(world))
        service = getattr(criteo, self.service.replace("-", "_"))
        result = getattr(service, self.method)(*positional, **keywords)
        if isinstance(result, Search):
            await _look_through(result, 500 if self.service == "retail-media" else 100, draw)
        elif isinstance(result, AbstractAsyncContextManager):
            async with result as stream:
                _ = [each async for each in stream]
        elif isinstance(result, AsyncIterator):
            _ = [each async for each in result]
        else:
            await result


async def _look_through(found: Search[Any], most: int, draw: Draw) -> None:
    if draw(st.booleans()):
        _ = [each async for each in found]
    else:
        await found.page(draw(optional(st.integers(1, most))), draw(st.integers(0, 3) | st.integers(0, 2**31 - 1)))


_MS: Final = "marketing-solutions"
_RM: Final = "retail-media"
_CG: Final = "commerce-grid"

_MS_KINDS: Final = [
    IdentifierType.EMAIL,
    IdentifierType.MADID,
    IdentifierType.IDENTITY_LINK,
    IdentifierType.PHONE_NUMBER,
]
_CG_KINDS: Final = [
    IdentifierType.EMAIL,
    IdentifierType.MADID,
    IdentifierType.USER_IDENTIFIER,
    IdentifierType.IDENTITY_LINK,
    IdentifierType.BIDSWITCH_ID,
    IdentifierType.FTRACK_ID,
    IdentifierType.PANORAMA_ID,
    IdentifierType.HADRON_ID,
    IdentifierType.IP_ADDRESS_V4,
    IdentifierType.PAGE_URL,
    IdentifierType.PAGE_DOMAIN,
    IdentifierType.APP_ID,
]


def _ms_amendments(world: World) -> SearchStrategy[Arguments]:
    gum = amendments(world, [IdentifierType.GUM], gum_caller_id=st.integers(0, 2**31 - 1))
    return amendments(world, _MS_KINDS) | gum


CALLS: Final = (
    Call(_MS, "create_audience_segments", lambda it: arguments(some(ms_creations(it), least=1))),
    Call(_MS, "update_audience_segments", lambda it: arguments(some(ms_updates(it), least=1))),
    Call(_MS, "delete_audience_segments", lambda it: arguments(some(it.segments, least=1))),
    Call(
        _MS,
        "search_audience_segments",
        lambda it: arguments(
            audience_segment_ids=optional(some(it.segments, least=1)),
            advertiser_ids=optional(some(it.owners, least=1)),
            audience_segment_types=optional(some(words(ms.SegmentType), least=1)),
        ),
    ),
    Call(
        _MS,
        "ensure_contact_list",
        lambda it: arguments(advertiser_id=it.owners, name=NAMES, description=optional(TEXTS)),
    ),
    Call(_MS, "amend_contact_list", _ms_amendments),
    Call(_MS, "clear_contact_list", lambda it: arguments(it.segments)),
    Call(_MS, "get_contact_list_statistics", lambda it: arguments(it.segments)),
    Call(_MS, "upload_contact_list", lambda it: uploads(it, "advertiser_id")),
    Call(_MS, "stream_contact_list", lambda it: uploads(it, "advertiser_id")),
    Call(_MS, "mirror_contact_list", lambda it: mirrors(it, "advertiser_id")),
    Call(_MS, "replace_contact_list", lambda it: replacements(it, "advertiser_id")),
    Call(_MS, "compute_audience_segment_sizes", lambda it: arguments(some(it.segments, least=1))),
    Call(_MS, "estimate_audience_segment_size", lambda it: arguments(ms_segment_estimates(it))),
    Call(_MS, "list_in_market_brands", lambda it: arguments(it.owners, COUNTRIES)),
    Call(_MS, "list_in_market_interests", lambda it: arguments(it.owners, COUNTRIES)),
    Call(_MS, "create_audiences", lambda it: arguments(some(ms_audience_creations(it), least=1))),
    Call(_MS, "update_audiences", lambda it: arguments(some(ms_audience_updates(it), least=1))),
    Call(_MS, "delete_audiences", lambda it: arguments(some(it.audiences, least=1))),
    Call(
        _MS,
        "search_audiences",
        lambda it: arguments(
            audience_ids=optional(some(it.audiences, least=1)),
            advertiser_ids=optional(some(it.owners, least=1)),
            ad_set_ids=optional(some(it.ad_sets, least=1)),
            audience_segment_ids=optional(some(it.segments, least=1)),
        ),
    ),
    Call(_MS, "compute_audience_sizes", lambda it: arguments(some(it.audiences, least=1))),
    Call(_MS, "estimate_audience_size", lambda it: arguments(ms_audience_estimates(it))),
    Call(_MS, "set_ad_set_audience", lambda it: arguments(it.ad_sets, optional(it.audiences))),
    Call(_MS, "list_advertisers", lambda _: arguments()),
    Call(_MS, "get_application", lambda _: arguments()),
    Call(_RM, "create_audience_segments", lambda it: arguments(it.owners, some(rm_creations(it), least=1)), BOTH),
    Call(_RM, "update_audience_segments", lambda it: arguments(it.owners, some(rm_updates(it), least=1)), BOTH),
    Call(_RM, "delete_audience_segments", lambda it: arguments(it.owners, some(it.segments, least=1)), BOTH),
    Call(
        _RM,
        "search_audience_segments",
        lambda it: arguments(
            it.owners,
            audience_segment_ids=optional(some(it.segments, least=1)),
            retailer_ids=optional(some(it.owners, least=1)),
            audience_segment_types=optional(some(words(rm.SegmentType), least=1)),
        ),
        BOTH,
    ),
    Call(
        _RM,
        "ensure_contact_list",
        lambda it: arguments(it.owners, retailer_id=it.owners, name=NAMES, description=optional(TEXTS)),
        BOTH,
    ),
    Call(_RM, "amend_contact_list", lambda it: amendments(it, sorted(rm.WIRE_TYPES)), BOTH),
    Call(_RM, "clear_contact_list", lambda it: arguments(it.segments), BOTH),
    Call(_RM, "get_contact_list_statistics", lambda it: arguments(it.owners, it.segments), BOTH),
    Call(_RM, "upload_contact_list", lambda it: uploads(it, "account_id"), BOTH),
    Call(_RM, "stream_contact_list", lambda it: uploads(it, "account_id"), BOTH),
    Call(_RM, "mirror_contact_list", lambda it: mirrors(it, "account_id"), BOTH),
    Call(_RM, "replace_contact_list", lambda it: replacements(it, "account_id"), BOTH),
    Call(
        _RM,
        "compute_audience_segment_sizes",
        lambda it: arguments(it.owners, some(it.segments, least=1), channel=words(rm.Channel)),
        EXPERIMENTAL,
    ),
    Call(
        _RM,
        "estimate_audience_segment_size",
        lambda it: arguments(it.owners, rm_segment_estimates(it)),
        EXPERIMENTAL,
    ),
    Call(
        _RM,
        "create_audiences",
        lambda it: arguments(it.owners, some(rm_audience_creations(it), least=1)),
        EXPERIMENTAL,
    ),
    Call(
        _RM, "update_audiences", lambda it: arguments(it.owners, some(rm_audience_updates(it), least=1)), EXPERIMENTAL
    ),
    Call(_RM, "delete_audiences", lambda it: arguments(it.owners, some(it.audiences, least=1)), EXPERIMENTAL),
    Call(
        _RM,
        "search_audiences",
        lambda it: arguments(
            it.owners,
            audience_ids=optional(some(it.audiences, least=1)),
            retailer_ids=optional(some(it.owners, least=1)),
            audience_segment_ids=optional(some(it.segments, least=1)),
        ),
        BOTH,
    ),
    Call(
        _RM,
        "compute_audience_sizes",
        lambda it: arguments(it.owners, some(it.audiences, least=1), channel=words(rm.Channel)),
        EXPERIMENTAL,
    ),
    Call(_RM, "estimate_audience_size", lambda it: arguments(it.owners, rm_audience_estimates(it)), EXPERIMENTAL),
    Call(_RM, "get_line_item_audiences", lambda it: arguments(it.line_items)),
    Call(_RM, "set_line_item_audiences", lambda it: arguments(it.line_items, targets(it))),
    Call(
        _RM,
        "append_line_item_audiences",
        lambda it: arguments(it.line_items, some(it.audiences.filter(str.isdecimal), least=1)),
    ),
    Call(
        _RM,
        "delete_line_item_audiences",
        lambda it: arguments(it.line_items, some(it.audiences.filter(str.isdecimal), least=1)),
    ),
    Call(_RM, "list_accounts", lambda it: arguments(account_ids=optional(some(it.owners, least=1)))),
    Call(_RM, "get_application", lambda _: arguments(), BOTH),
    Call(_CG, "create_audience_segments", lambda it: arguments(some(cg_creations(it), least=1))),
    Call(_CG, "update_audience_segments", lambda it: arguments(some(cg_updates(it), least=1))),
    Call(_CG, "delete_audience_segments", lambda it: arguments(some(it.segments, least=1))),
    Call(
        _CG,
        "search_audience_segments",
        lambda it: arguments(
            audience_segment_ids=optional(some(it.segments, least=1)),
            data_provider_ids=optional(some(it.owners, least=1)),
            remote_ids=optional(some(IDS, least=1)),
            audience_segment_types=optional(some(words(cg.SegmentType), least=1)),
        ),
    ),
    Call(
        _CG,
        "ensure_contact_list",
        lambda it: arguments(
            data_provider_id=it.owners, name=NAMES, description=optional(TEXTS), remote_id=optional(NAMES)
        ),
    ),
    Call(_CG, "amend_contact_list", lambda it: amendments(it, _CG_KINDS)),
    Call(_CG, "clear_contact_list", lambda it: arguments(it.segments)),
    Call(_CG, "get_contact_list_statistics", lambda it: arguments(it.segments)),
    Call(_CG, "upload_contact_list", lambda it: uploads(it, "data_provider_id")),
    Call(_CG, "stream_contact_list", lambda it: uploads(it, "data_provider_id")),
    Call(_CG, "mirror_contact_list", lambda it: mirrors(it, "data_provider_id")),
    Call(_CG, "replace_contact_list", lambda it: replacements(it, "data_provider_id")),
    Call(_CG, "get_application", lambda _: arguments()),
)


def each_version() -> Iterator[tuple[str, Call]]:
    """Yields every call under every version that has it."""
    for call in CALLS:
        for version in call.versions:
            yield version, call
