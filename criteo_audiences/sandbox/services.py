"""Criteo's three services as data: how their paths, fields and words differ; and which API versions end.

Everything here comes from OpenAPI unless a comment says otherwise. The end of a version is announced as in Criteo's
versioning policy: by `Deprecation` and `Sunset` headers and an entry among the warnings, then by 410.
"""

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Final, Literal

import attrs

from criteo_audiences.sandbox import kinds
from criteo_audiences.sandbox.contact_list import (
    IdentifierRule,
    is_email,
    is_ip_address_v4,
    is_mobile_ad_id,
    is_opaque_id,
    is_phone_number,
)
from criteo_audiences.sandbox.kinds import Kind
from criteo_audiences.sandbox.problems import ProblemError, Violation

STABLE_VERSION: Final = "[0-9]{4}-[0-9]{2}"
# "preview" is the old name of "experimental" and still answers.
EXPERIMENTAL_VERSION: Final = "experimental|preview"
ANY_VERSION: Final = f"{STABLE_VERSION}|{EXPERIMENTAL_VERSION}"


@attrs.frozen
class Notice:
    """What the server adds to every answer under a deprecated version."""

    headers: Mapping[str, str]
    warning: Violation


class Versions:
    """Knows which versions are deprecated and which are gone; all others are current."""

    def __init__(self) -> None:
        self._notices: dict[str, Notice] = {}
        self._retired: set[str] = set()

    def deprecate(self, version: str, sunset: datetime | None) -> None:
        """Announce the end of a version.

        Raises:
            ValueError: No path can have that version, or the time has no time zone.
        """
        _check(version)
        headers = {"Deprecation": "true"}
        if sunset is not None:
            if sunset.tzinfo is None:
                raise ValueError("sunset must have a time zone")
            headers["Sunset"] = format_datetime(sunset.astimezone(UTC), usegmt=True)
        detail = f"Version {version} of the API is deprecated."
        self._notices[version] = Notice(headers, Violation("endpoint-deprecated", detail, type="deprecation"))

    def retire(self, version: str) -> None:
        """Retire a version.

        Raises:
            ValueError: No path can have that version.
        """
        _check(version)
        self._notices.pop(version, None)
        self._retired.add(version)

    def notice(self, path: str) -> Notice | None:
        """Returns what the answer to a call adds; ``None`` when its version is not deprecated."""
        return self._notices.get(_version(path))

    def check(self, path: str) -> None:
        """Refuse a call under a version that is gone.

        Raises:
            ProblemError: 410.
        """
        if _version(path) in self._retired:
            raise ProblemError(410, "This version of the API is no longer supported.")


def _version(path: str) -> str:
    return path.split("/")[1]


def _check(version: str) -> None:
    if not re.fullmatch(ANY_VERSION, version):
        raise ValueError('a version is "YYYY-MM", "experimental" or "preview"')


ServiceName = Literal["marketing-solutions", "retail-media", "commerce-grid"]


@attrs.frozen(kw_only=True)
class Limits:
    """The most characters that a name and a description may have."""

    name: float = math.inf
    description: float = math.inf


@attrs.frozen(kw_only=True)
class AudienceTraits:
    """What a service has in addition to segments: audiences, and the sizes of both."""

    path: str = "audiences"
    entity_type: str = "Audience"
    filters: Mapping[str, str]
    """As in `Service.filters`; ``segmentIds`` stands for the segments in the algebra."""
    limits: Limits = attrs.field(factory=Limits)
    on_ad_sets: bool = False
    """Whether an audience lists the ad sets that it is linked with."""
    channels: tuple[str, ...] = ()
    """The channels for which a size can be requested; if empty, requests for sizes name no channel."""
    estimable: tuple[str, ...]
    """The settings objects of segments whose size can be estimated before they exist."""
    versions: str = ANY_VERSION
    """The API versions that have all of these endpoints; the others only have the search of audiences."""


@attrs.frozen(kw_only=True)
class Service:
    """One service, as far as its segments, contact lists and audiences are concerned."""

    name: ServiceName
    """Its name in a path."""
    segments: str = "audience-segments"
    """Path of the segments below the service; it contains the owner's id if the body does not name the owner."""
    owner: str
    """The attribute with the owner's id; a name is unique among the owner's segments."""
    required: tuple[str, ...]
    """The string attributes that a creation must have, apart from the name."""
    kinds: Mapping[str, Kind]
    """The kinds that can be created, by the name of their settings object."""
    default_kind: str | None = None
    """The settings object that is assumed when a creation has none, since OpenAPI does not require one; ``None`` if
    Criteo's guide requires one."""
    read_only_types: tuple[str, ...] = ()
    """Types of segments that only Criteo makes."""
    attributes: Mapping[str, tuple[str, ...]] = attrs.field(factory=dict)
    """Further attributes of an answer, each with its path in a creation."""
    constants: Mapping[str, object] = attrs.field(factory=dict)
    """Attributes that are the same in every answer."""
    filters: Mapping[str, str]
    """The attribute that each filter of a search compares, ``id`` for the segment's own id."""
    default_page: int = 50
    max_page: int = 100
    entity_type: str = "AudienceSegment"
    id_offset: int = 0
    """Added to the number of a segment to make its id."""
    operations: tuple[str, str] = ("add", "remove")
    identifiers: Mapping[str, IdentifierRule]
    """The identifier types of an amendment, and what makes an identifier of each type valid."""
    default_identifier: str
    caller_id_for: str | None = None
    """The identifier type that needs a ``gumCallerId``."""
    amendment_needs_type: bool = False
    amend: tuple[str, str] = ("POST", "/add-remove")
    """HTTP method and end of the path; the same for `clear`."""
    clear: tuple[str, str] = ("POST", "/clear")
    statistics: str = "/statistics"
    operation_type: str = "AddRemoveContactlistResult"
    operation_is_flat: bool = False
    """Whether the answer to an amendment has its type at the top and no ``attributes``."""
    cleared_type: str | None = None
    """The type of the entity that a clear call returns; ``None`` for an answer without a body."""

    audiences: AudienceTraits | None = None

    @property
    def with_audiences(self) -> AudienceTraits:
        """The audiences and sizes that it has in addition to segments.

        Raises:
            LookupError: It has only segments.
        """
        if self.audiences is None:
            raise LookupError(f"{self.name} has no audiences")
        return self.audiences

    @property
    def types(self) -> frozenset[str]:
        """The words of the filter by type."""
        return frozenset({"Unknown", *self.read_only_types, *(kind.type for kind in self.kinds.values())})


MARKETING_SOLUTIONS: Final = Service(
    name="marketing-solutions",
    owner="advertiserId",
    required=("advertiserId",),
    kinds=kinds.MARKETING_SOLUTIONS,
    read_only_types=("Behavioral",),
    filters={"audienceSegmentIds": "id", "advertiserIds": "advertiserId", "audienceSegmentTypes": "type"},
    identifiers={
        "email": is_email,
        "madid": is_mobile_ad_id,
        "identityLink": is_opaque_id,
        "gum": is_opaque_id,
        "phoneNumber": is_phone_number,
    },
    default_identifier="email",
    # OpenAPI lists it as optional; Criteo's guide requires it for gum.
    caller_id_for="gum",
    amendment_needs_type=True,
    amend=("PATCH", ""),
    clear=("DELETE", ""),
    operation_type="ContactlistAmendment",
    cleared_type="AudienceContactlist",
    audiences=AudienceTraits(
        filters={
            "audienceIds": "id",
            "advertiserIds": "advertiserId",
            "adSetIds": "adSetIds",
            "audienceSegmentIds": "segmentIds",
        },
        on_ad_sets=True,
        estimable=("inMarket", "location"),
    ),
)
RETAIL_MEDIA: Final = Service(
    name="retail-media",
    segments="accounts/{owner_id}/audience-segments",
    owner="accountId",
    required=("retailerId",),
    kinds=kinds.RETAIL_MEDIA,
    default_kind="contactList",
    attributes={"retailerId": ("retailerId",)},
    # The creator is null when a service made the segment (Criteo's guide); about the channels, Criteo says nothing.
    constants={"channels": ["Onsite", "Offsite"], "createdById": None},
    filters={"audienceSegmentIds": "id", "retailerIds": "retailerId", "audienceSegmentTypes": "type"},
    max_page=500,
    # In the samples of Criteo's guide; OpenAPI has any string.
    entity_type="RetailMediaAudienceSegment",
    # Ids of 18 digits as in Criteo's guide: more than a float can represent.
    id_offset=300_000_000_000_000_000,
    identifiers={
        "Email": is_email,
        "UserIdentifier": is_opaque_id,
        "IdentityLink": is_opaque_id,
        "Gum": is_opaque_id,
        "CustomerId": is_opaque_id,
        "PhoneNumber": is_phone_number,
    },
    default_identifier="Email",
    statistics="",
    operation_is_flat=True,
    audiences=AudienceTraits(
        path="accounts/{owner_id}/audiences",
        # In the sample of a search in Criteo's guide; OpenAPI has any string.
        entity_type="Audience",
        filters={"audienceIds": "id", "retailerIds": "retailerId", "audienceSegmentIds": "segmentIds"},
        # From Criteo's guide; OpenAPI sets no limits.
        limits=Limits(name=256, description=500),
        channels=("Onsite", "Offsite"),
        estimable=("events",),
        versions=EXPERIMENTAL_VERSION,
    ),
)
COMMERCE_GRID: Final = Service(
    name="commerce-grid",
    owner="dataProviderId",
    required=("dataProviderId",),
    kinds=kinds.COMMERCE_GRID,
    default_kind="contactList",
    attributes={"remoteId": ("contactList", "remoteId")},
    filters={
        "audienceSegmentIds": "id",
        "dataProviderIds": "dataProviderId",
        "remoteIds": "remoteId",
        "audienceSegmentTypes": "type",
    },
    operations=("Add", "Remove"),
    identifiers={
        "Email": is_email,
        "MadId": is_mobile_ad_id,
        "IpAddressV4": is_ip_address_v4,
        **dict.fromkeys(
            (
                "UserIdentifier",
                "IdentityLink",
                "BidSwitchId",
                "FTrackId",
                "PanoramaId",
                "HadronId",
                "PageUrl",
                "PageDomain",
                "AppId",
            ),
            is_opaque_id,
        ),
    },
    default_identifier="Email",
)
SERVICES: Final = {service.name: service for service in (MARKETING_SOLUTIONS, RETAIL_MEDIA, COMMERCE_GRID)}
