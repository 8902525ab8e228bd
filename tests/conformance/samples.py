"""The samples of Criteo's pages for the 18 endpoints that they describe, with the call that each belongs to.

Two kinds of pages show samples. A page of the reference has Criteo's own example, or shows each property of the schema
once with a placeholder (words of enumerations are left out there). A guide writes calls out, with the spellings in
which the guides contradict OpenAPI, each other and themselves: docs/reference/disagreements.md lists them. Texts are
ours, where they are not what a sample is about; samples that are no valid JSON are repaired.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from attrs import field, frozen

from criteo_audiences import CriteoClient
from criteo_audiences import marketing_solutions as ms
from criteo_audiences import retail_media as rm

MS: Final = "/marketing-solutions/audience-segments"
RM: Final = "/retail-media/accounts/7/audience-segments"
RM_LIST: Final = "/retail-media/audience-segments/225702933721171456/contact-list"
LONG: Final = "225702933721171456"
MOMENT: Final = "2023-11-07T05:31:56Z"
"""What the reference has for every timestamp."""


@frozen(kw_only=True)
class Sample:
    """A call as a page shows it.

    Attributes:
        source: `reference` or `guide`, and what is special about it.
        endpoint: method and path, without the version.
        call: makes the call.
        query: of the request.
        body: of the request, as the page and OpenAPI have it.
        status: of the answer.
        answer: its body; `None` for none.
    """

    source: str
    endpoint: tuple[str, str]
    call: Callable[[CriteoClient], Awaitable[Any]]
    query: Mapping[str, str] = field(factory=dict)
    body: Any = None
    status: int = 200
    answer: Any = None


PROBLEM: Final = {
    "code": "<string>",
    "detail": "<string>",
    "instance": "<string>",
    "source": {},
    "stackTrace": "<string>",
    "title": "<string>",
    "traceId": "<string>",
    "traceIdentifier": "<string>",
}
DEPRECATION: Final = {
    "traceId": "56ed4096-f96a-4944-8881-05468efe0ec9",
    "type": "deprecation",
    "code": "deprecated-field",
    "instance": "/audiences/314195",
    "title": "'nbValidIds' is deprecated",
    "detail": "The field 'nbValidIds' is deprecated please use 'nbValidIdentifiers'",
}
UNAVAILABLE: Final = {
    "traceId": "667ac683ac797284.667ac683ac797284<:667ac683ac797284",
    "type": "availability",
    "code": "internal-error",
    "instance": "",
    "title": "Internal error",
}
RECEIPT: Final = {
    "operation": "add",
    "requestDate": "2018-12-10T10:00:50.0000000+00:00",
    "identifierType": "madid",
    "nbValidIdentifiers": 7343,
    "nbInvalidIdentifiers": 13,
    "sampleInvalidIdentifiers": ["InvalidIdentifier"],
}
STATISTICS: Final = {"numberOfIdentifiers": 10_000, "numberOfMatches": 5_000, "matchRate": 0.5}
PEOPLE: Final = ["example1@gmail.com", "example2@gmail.com", "example3@gmail.com"]


def _in_reference(data: Any, **more: Any) -> dict[str, Any]:
    return {"data": data, "errors": [PROBLEM], "warnings": [PROBLEM], **more}


def _entity(kind: str = "<string>", entity_id: str | None = "<string>", **attributes: Any) -> dict[str, Any]:
    found = {"type": kind, "attributes": attributes}
    return found if entity_id is None else {"id": entity_id, **found}


MS_SEGMENT: Final = {
    "advertiserId": "<string>",
    "behavioral": {"country": "<string>", "endDate": MOMENT, "startDate": MOMENT},
    "contactList": {"isReadOnly": True},
    "createdAt": MOMENT,
    "description": "<string>",
    "inMarket": {
        "brandIds": ["<string>"],
        "buyingPower": [],
        "country": "<string>",
        "interestIds": ["<string>"],
        "priceRange": [],
    },
    "location": {
        "pointsOfInterest": [{"latitude": 123, "longitude": 123, "name": "<string>"}],
        "radiusInKm": 123,
    },
    "lookalike": {"seedSegmentId": "<string>", "targetSize": 123},
    "name": "<string>",
    "prospecting": {"daysSinceLastVisitMax": 123, "daysSinceLastVisitMin": 123},
    "retargeting": {"daysSinceLastVisitMax": 123, "daysSinceLastVisitMin": 123},
    "updatedAt": MOMENT,
}
RM_SEGMENT: Final = {
    "accountId": "<string>",
    "channels": [],
    "contactList": {"isReadOnly": True},
    "createdAt": MOMENT,
    "createdById": "<string>",
    "description": "<string>",
    "events": {"brandIds": ["<string>"], "categoryIds": ["<string>"], "maxPrice": 123, "minPrice": 123},
    "name": "<string>",
    "retailerId": "<string>",
    "updatedAt": MOMENT,
}
META: Final = {"limit": 123, "offset": 123, "totalItems": 123}

# The creations and changes that the guide of Marketing Solutions writes out, and what is sent for them.
NEW: Final = [
    ms.AudienceSegmentCreate(
        advertiser_id="123",
        name="New segment",
        description="Shoes",
        in_market=ms.InMarketCreate(
            country="FR",
            buying_power=["VeryHigh"],
            gender="Male",
            interest_ids=["1", "2"],
            brand_ids=["3", "4"],
            price_range=["Low", "Medium"],
        ),
    ),
    ms.AudienceSegmentCreate(
        advertiser_id="123",
        name="Around",
        location=ms.LocationCreate(
            points_of_interest=[ms.PointOfInterest(name="Paris", latitude=48.85661, longitude=2.35222)],
            radius_in_km=10,
        ),
    ),
    ms.AudienceSegmentCreate(
        advertiser_id="123", name="Alike", lookalike=ms.LookalikeCreate(seed_segment_id="12", target_size=5_000_000)
    ),
    ms.AudienceSegmentCreate(
        advertiser_id="123", name="New people", prospecting=ms.ProspectingCreate(users_type="Prospects")
    ),
    ms.AudienceSegmentCreate(
        advertiser_id="123",
        name="Came before",
        retargeting=ms.RetargetingCreate(
            visitors_type="All", days_since_last_visit_min=0, days_since_last_visit_max=400
        ),
    ),
    ms.AudienceSegmentCreate(advertiser_id="123", name="Known people", contact_list=ms.ContactListCreate()),
]
NEW_SETTINGS: Final = [
    {
        "description": "Shoes",
        "inMarket": {
            "country": "FR",
            "buyingPower": ["VeryHigh"],
            "gender": "Male",
            "interestIds": ["1", "2"],
            "brandIds": ["3", "4"],
            "priceRange": ["Low", "Medium"],
        },
    },
    {
        "location": {
            "pointsOfInterest": [{"name": "Paris", "latitude": 48.85661, "longitude": 2.35222}],
            "radiusInKm": 10,
        }
    },
    {"lookalike": {"seedSegmentId": "12", "targetSize": 5_000_000}},
    {"prospecting": {"usersType": "Prospects"}},
    {"retargeting": {"visitorsType": "All", "daysSinceLastVisitMin": 0, "daysSinceLastVisitMax": 400}},
    {"contactList": {}},
]
NEW_NAMES: Final = ["New segment", "Around", "Alike", "New people", "Came before", "Known people"]
NEW_TYPES: Final = ["InMarket", "Location", "Lookalike", "Prospecting", "Retargeting", "ContactList"]
IN_MARKET: Final = ms.AudienceSegmentEstimate(
    advertiser_id="123", in_market=ms.InMarketCreate(country="FR", interest_ids=["1"], brand_ids=["3"])
)

_ONE_NEW: Final = NEW[-1:]
_ONE_BODY: Final = {"data": [_entity("AudienceSegment", None, advertiserId="123", name="Known people", contactList={})]}
_OF_RM: Final = rm.AudienceSegmentCreate(
    name="Known people",
    retailer_id="12",
    description="Customers",
    contact_list=rm.ContactListCreate(identifier_type="Email"),
)
_OF_RM_BODY: Final = {
    "data": [
        _entity(
            "AudienceSegment",
            None,
            name="Known people",
            description="Customers",
            retailerId="12",
            contactList={"identifierType": "Email"},
        )
    ]
}
_RENAMED: Final = {"data": [_entity("AudienceSegment", "12", name="Renamed", description={"value": None})]}


def _amended(operation: str, kind: str, word: str) -> dict[str, Any]:
    return {"data": _entity(kind, None, operation=operation, identifierType=word, identifiers=PEOPLE)}


MARKETING_SOLUTIONS: Final = (
    Sample(
        source="reference",
        endpoint=("POST", f"{MS}/create"),
        call=lambda it: it.marketing_solutions.create_audience_segments(_ONE_NEW),
        body=_ONE_BODY,
        answer=_in_reference([_entity(**MS_SEGMENT)]),
    ),
    Sample(
        source="guide: no settings of in-market, a wrapped description, never updated, seven digits of a second",
        endpoint=("POST", f"{MS}/create"),
        call=lambda it: it.marketing_solutions.create_audience_segments(NEW),
        body={
            "data": [
                _entity("AudienceSegment", None, advertiserId="123", name=name, **settings)
                for name, settings in zip(NEW_NAMES, NEW_SETTINGS, strict=True)
            ]
        },
        answer={
            "data": [
                _entity(
                    "AudienceSegment",
                    str(number),
                    **{
                        "name": name,
                        "description": {"value": "Shoes"},
                        "type": kind,
                        "createdAt": "2023-05-09T16:30:50.4633333",
                        "updatedAt": None,
                        "advertiserId": "123",
                        **({} if kind == "InMarket" else settings),
                    },
                )
                for number, (name, kind, settings) in enumerate(zip(NEW_NAMES, NEW_TYPES, NEW_SETTINGS, strict=True))
            ]
        },
    ),
    Sample(
        source="guide: a name that is taken",
        endpoint=("POST", f"{MS}/create"),
        call=lambda it: it.marketing_solutions.create_audience_segments(_ONE_NEW),
        body=_ONE_BODY,
        answer={
            "data": [],
            "errors": [
                {
                    "traceIdentifier": "7343",
                    "type": "validation",
                    "code": "name-must-be-unique",
                    "instance": "@data/0",
                    "title": "Segment name must be unique",
                    "detail": "Segment name property must be unique",
                    "stackTrace": ["at Criteo"],
                }
            ],
        },
    ),
    Sample(
        source="reference",
        endpoint=("PATCH", MS),
        call=lambda it: it.marketing_solutions.update_audience_segments(
            [ms.AudienceSegmentUpdate(id="12", name="Renamed", description=None)]
        ),
        body=_RENAMED,
        answer=_in_reference([_entity(**MS_SEGMENT)]),
    ),
    Sample(
        source="guide: wrapped values, another word for the registry",
        endpoint=("PATCH", MS),
        call=lambda it: it.marketing_solutions.update_audience_segments(
            [
                ms.AudienceSegmentUpdate(id="12", in_market=ms.InMarketUpdate(gender="Female")),
                ms.AudienceSegmentUpdate(id="13", location=ms.LocationUpdate(registry_type="PointsOfInterest")),
                ms.AudienceSegmentUpdate(id="14", prospecting=ms.ProspectingUpdate(days_since_last_visit_min=None)),
            ]
        ),
        body={
            "data": [
                _entity("AudienceSegment", "12", inMarket={"gender": {"value": "Female"}}),
                _entity("AudienceSegment", "13", location={"registryType": "PointOfInterest"}),
                _entity("AudienceSegment", "14", prospecting={"daysSinceLastVisitMin": {"value": None}}),
            ]
        },
        answer={
            "data": [
                _entity("AudienceSegment", "12", inMarket={"country": "FR", "gender": "Female"}),
                _entity("AudienceSegment", "13", location={"registryType": "PointsOfInterest", "radiusInKm": 10}),
                _entity("AudienceSegment", "14", prospecting={"usersType": "ProspectsOrNonBuyers"}),
            ],
            "errors": None,
            "warnings": None,
        },
    ),
    Sample(
        source="reference",
        endpoint=("POST", f"{MS}/delete"),
        call=lambda it: it.marketing_solutions.delete_audience_segments(["12"]),
        body={"data": [{"id": "12", "type": "AudienceSegment"}]},
        answer=_in_reference([{"id": "<string>", "type": "<string>"}]),
    ),
    Sample(
        source="guide: one that is in use",
        endpoint=("POST", f"{MS}/delete"),
        call=lambda it: it.marketing_solutions.delete_audience_segments(["12", "13"]),
        body={"data": [{"id": "12", "type": "AudienceSegment"}, {"id": "13", "type": "AudienceSegment"}]},
        answer={
            "data": [{"id": "12", "type": "AudienceSegment"}],
            "errors": [
                {"type": "validation", "code": "segment-must-not-be-used-in-audience", "instance": "@data/1"},
            ],
        },
    ),
    Sample(
        source="reference",
        endpoint=("POST", f"{MS}/search"),
        call=lambda it: it.marketing_solutions.search_audience_segments().page(50, 0),
        query={"limit": "50", "offset": "0"},
        body={"data": {"attributes": {}}},
        answer=_in_reference([_entity(**MS_SEGMENT)], meta=META),
    ),
    Sample(
        source="guide: In-market, no types, timestamps of every length",
        endpoint=("POST", f"{MS}/search"),
        call=lambda it: it.marketing_solutions.search_audience_segments(
            audience_segment_ids=["1", "2"], advertiser_ids=["123"], audience_segment_types=["In-market"]
        ).page(50, 0),
        query={"limit": "50", "offset": "0"},
        body={
            "data": {
                "attributes": {
                    "audienceSegmentIds": ["1", "2"],
                    "advertiserIds": ["123"],
                    "audienceSegmentTypes": ["InMarket"],
                },
            }
        },
        answer={
            "meta": {"totalItems": 2, "limit": 50, "offset": 0},
            "data": [
                _entity(
                    "AudienceSegment",
                    "1",
                    name="New segment",
                    advertiserId="123",
                    createdAt="2018-07-04T00:00:00Z",
                    updatedAt="2022-10-28T11:55:20.77",
                    inMarket={"country": "FR", "interestIds": ["1"], "brandIds": ["3"], "gender": "Unknown"},
                ),
                _entity(
                    "AudienceSegment",
                    "2",
                    name="Made by Criteo",
                    createdAt="2024-01-15T12:23:19.3566667Z",
                    updatedAt=None,
                    behavioral={"category": "LifeEvents", "country": "FR"},
                ),
            ],
        },
    ),
    Sample(
        source="reference",
        endpoint=("POST", f"{MS}/compute-sizes"),
        call=lambda it: it.marketing_solutions.compute_audience_segment_sizes(["12"]),
        body={"data": [{"id": "12", "type": "AudienceSegment"}]},
        answer=_in_reference([_entity(size=123)]),
    ),
    Sample(
        source="guide: sizes that there are not",
        endpoint=("POST", f"{MS}/compute-sizes"),
        call=lambda it: it.marketing_solutions.compute_audience_segment_sizes(["12", "13"]),
        body={"data": [{"id": "12", "type": "AudienceSegment"}, {"id": "13", "type": "AudienceSegment"}]},
        answer={
            "data": [],
            "errors": [
                {"type": "validation", "code": f"audience-segment-{why}", "instance": f"@data/{number}", "title": why}
                for number, why in enumerate(("not-found", "size-not-supported"))
            ],
        },
    ),
    Sample(
        source="reference",
        endpoint=("POST", f"{MS}/estimate-size"),
        call=lambda it: it.marketing_solutions.estimate_audience_segment_size(IN_MARKET),
        body={
            "data": _entity(
                "AudienceSegment",
                None,
                advertiserId="123",
                inMarket={"country": "FR", "interestIds": ["1"], "brandIds": ["3"]},
            )
        },
        answer=_in_reference(_entity(entity_id=None, size=123)),
    ),
    Sample(
        source="guide",
        endpoint=("POST", f"{MS}/estimate-size"),
        call=lambda it: it.marketing_solutions.estimate_audience_segment_size(IN_MARKET),
        body={
            "data": _entity(
                "AudienceSegment",
                None,
                advertiserId="123",
                inMarket={"country": "FR", "interestIds": ["1"], "brandIds": ["3"]},
            )
        },
        answer={"data": _entity("AudienceSegment", None, size=10_000_000)},
    ),
    *(
        Sample(
            source=source,
            endpoint=("GET", f"{MS}/in-market-{what}"),
            call=lambda it, what=what: getattr(it.marketing_solutions, f"list_in_market_{what}")("123", "FR"),
            query={"advertiser-id": "123", "country": "FR"},
            answer=answer,
        )
        for source, what, answer in (
            ("reference", "interests", {"data": [_entity(parentId="<string>")], "errors": [], "warnings": [PROBLEM]}),
            ("guide", "interests", {"data": [_entity("I", "166", parentId=None), _entity("I", "1", parentId="166")]}),
            (
                "reference",
                "brands",
                {"data": [_entity(name="<string>", size=123)], "errors": [], "warnings": [PROBLEM]},
            ),
            ("guide", "brands", {"data": [_entity("B", "5", name="criteo", size=None)]}),
        )
    ),
    Sample(
        source="reference",
        endpoint=("PATCH", f"{MS}/12/contact-list"),
        call=lambda it: it.marketing_solutions.amend_contact_list("12", operation="add", identifiers=PEOPLE),
        body=_amended("add", "ContactlistAmendment", "email"),
        answer={
            "data": _entity("ContactlistAmendment", None, contactListId=12, **RECEIPT),
            "errors": [],
            "warnings": [DEPRECATION],
        },
    ),
    Sample(
        source="guide: the id of the list as text, phonenumber",
        endpoint=("PATCH", f"{MS}/12/contact-list"),
        call=lambda it: it.marketing_solutions.amend_contact_list(
            "12", operation="remove", identifiers=PEOPLE, identifier_type="phonenumber"
        ),
        body=_amended("remove", "ContactlistAmendment", "phoneNumber"),
        answer={
            "data": _entity(
                "ContactlistAmendment",
                None,
                **RECEIPT | {"operation": "remove", "contactListId": "12", "identifierType": "phonenumber"},
            ),
        },
    ),
    Sample(
        source="reference: gum",
        endpoint=("PATCH", f"{MS}/12/contact-list"),
        call=lambda it: it.marketing_solutions.amend_contact_list(
            "12", operation="add", identifiers=PEOPLE, identifier_type="gum", gum_caller_id=123
        ),
        body={
            "data": _entity(
                "ContactlistAmendment",
                None,
                operation="add",
                identifierType="gum",
                identifiers=PEOPLE,
                gumCallerId=123,
            )
        },
        answer={"data": _entity("ContactlistAmendment", None, operation="add"), "errors": [], "warnings": []},
    ),
    Sample(
        source="reference",
        endpoint=("DELETE", f"{MS}/12/contact-list"),
        call=lambda it: it.marketing_solutions.clear_contact_list("12"),
        answer={"data": {"id": "1", "type": "AudienceContactlist"}, "errors": [], "warnings": [DEPRECATION]},
    ),
    Sample(
        source="guide: another type",
        endpoint=("DELETE", f"{MS}/12/contact-list"),
        call=lambda it: it.marketing_solutions.clear_contact_list("12"),
        answer={"data": {"id": "12", "type": "ContactListAudienceSegment"}},
    ),
    Sample(
        source="reference and guide",
        endpoint=("GET", f"{MS}/12/contact-list/statistics"),
        call=lambda it: it.marketing_solutions.get_contact_list_statistics("12"),
        answer={"data": _entity("ContactListStatistics", "12", **STATISTICS), "errors": [], "warnings": [PROBLEM]},
    ),
)

RETAIL_MEDIA: Final = (
    Sample(
        source="reference",
        endpoint=("POST", f"{RM}/create"),
        call=lambda it: it.retail_media.create_audience_segments("7", [_OF_RM]),
        body=_OF_RM_BODY,
        answer=_in_reference([_entity(**RM_SEGMENT)]),
    ),
    *(
        Sample(
            source=f"guide: {account}, read-only is {read_only!r}, updated {updated}",
            endpoint=("POST", f"{RM}/create"),
            call=lambda it: it.retail_media.create_audience_segments("7", [_OF_RM]),
            body=_OF_RM_BODY,
            answer={
                "data": [
                    _entity(
                        "RetailMediaAudienceSegment",
                        LONG,
                        **{
                            "name": "Known people",
                            "description": "Customers",
                            "createdAt": "2024-01-15T12:23:18.180Z",
                            "updatedAt": updated,
                            "createdById": None,
                            "retailerId": "12",
                            "type": "ContactList",
                            "channels": ["Onsite", "Offsite"],
                            "contactList": {
                                "identifierType": word,
                                "isReadOnly": read_only,
                                "sharingStatus": "NotShared",
                            },
                            account: "7",
                        },
                    )
                ],
                **problems,
            },
        )
        for account, read_only, updated, word, problems in (
            ("accountId", False, "2024-01-15T12:23:18.180Z", "Email", {"warnings": [], "errors": []}),
            ("accountID", "true", "2024-01-15T12:23:32.81Z", "email", {}),
        )
    ),
    Sample(
        source="reference",
        endpoint=("PATCH", RM),
        call=lambda it: it.retail_media.update_audience_segments(
            "7", [rm.AudienceSegmentUpdate(id="12", name="Renamed", description=None)]
        ),
        body=_RENAMED,
        answer=_in_reference([_entity(**RM_SEGMENT)]),
    ),
    Sample(
        source="guide: identifierType in place of type, a blank in the word",
        endpoint=("PATCH", RM),
        call=lambda it: it.retail_media.update_audience_segments(
            "7", [rm.AudienceSegmentUpdate(id=LONG, name="Renamed", description="New")]
        ),
        body={"data": [_entity("AudienceSegment", LONG, name="Renamed", description={"value": "New"})]},
        answer={
            "data": [
                {
                    "id": LONG,
                    "identifierType": "Audience Segment",
                    "attributes": {"name": "Renamed", "description": "New", "accountID": "7", "retailerId": "12"},
                }
            ]
        },
    ),
    Sample(
        source="guide: events",
        endpoint=("PATCH", RM),
        call=lambda it: it.retail_media.update_audience_segments(
            "7",
            [rm.AudienceSegmentUpdate(id=LONG, events=rm.EventsUpdate(shopper_activity="AddToCart", min_price=None))],
        ),
        body={
            "data": [
                _entity("AudienceSegment", LONG, events={"shopperActivity": "AddToCart", "minPrice": {"value": None}})
            ]
        },
        answer={
            "data": [
                _entity(
                    "RetailMediaAudienceSegment",
                    LONG,
                    type="Events",
                    events={"shopperActivity": "AddToCart", "lookbackDays": "Last30Days", "categoryIds": ["5"]},
                )
            ],
            "warnings": [],
            "errors": [],
        },
    ),
    Sample(
        source="reference",
        endpoint=("POST", f"{RM}/delete"),
        call=lambda it: it.retail_media.delete_audience_segments("7", ["12"]),
        body={"data": [{"id": "12", "type": "AudienceSegment"}]},
        answer=_in_reference([{"id": "<string>", "type": "<string>"}]),
    ),
    *(
        Sample(
            source=f"guide: one that is in use, in the {place}",
            endpoint=("POST", f"{RM}/delete"),
            call=lambda it: it.retail_media.delete_audience_segments("7", [LONG, "13"]),
            body={"data": [{"id": LONG, "type": "AudienceSegment"}, {"id": "13", "type": "AudienceSegment"}]},
            answer={
                "data": [{"id": LONG, key: "RetailMediaAudienceSegment"}],
                "errors": [],
                "warnings": [],
                place: [
                    {
                        "traceIdentifier": "a6c5ae9a8ffee9a6",
                        "type": "validation",
                        "code": "segment-must-not-be-used-in-audience",
                        "instance": "@data/1",
                        "title": "Segment must not be used in an audience",
                        "detail": "A segment of an audience cannot be deleted",
                    }
                ],
            },
        )
        for place, key in (("errors", "type"), ("warnings", "identifierType"))
    ),
    Sample(
        source="reference",
        endpoint=("POST", f"{RM}/search"),
        call=lambda it: it.retail_media.search_audience_segments("7").page(50, 0),
        query={"limit": "50", "offset": "0"},
        body={"data": {"attributes": {}}},
        answer=_in_reference([_entity(**RM_SEGMENT)], meta=META),
    ),
    Sample(
        source="guide: read-only as text, a page of 500",
        endpoint=("POST", f"{RM}/search"),
        call=lambda it: it.retail_media.search_audience_segments(
            "7", audience_segment_ids=[LONG], retailer_ids=["12"], audience_segment_types=["ContactList"]
        ).page(500, 0),
        query={"limit": "500", "offset": "0"},
        body={
            "data": {
                "attributes": {
                    "audienceSegmentIds": [LONG],
                    "retailerIds": ["12"],
                    "audienceSegmentTypes": ["ContactList"],
                },
            }
        },
        answer={
            "meta": {"totalItems": 1, "limit": 500, "offset": 0},
            "data": [
                _entity(
                    "AudienceSegment",
                    LONG,
                    name="Known people",
                    accountID="7",
                    retailerId="12",
                    type="ContactList",
                    channels=["Unknown"],
                    contactList={"identifierType": "CustomerId", "isReadOnly": "true"},
                )
            ],
            "warnings": [],
            "errors": [],
        },
    ),
    Sample(
        source="guide: identifierType in place of type",
        endpoint=("GET", f"{RM}/{LONG}/contact-list"),
        call=lambda it: it.retail_media.get_contact_list_statistics("7", LONG),
        answer={"data": {"identifierType": "ContactListStatistics", "id": LONG, "attributes": STATISTICS}},
    ),
    Sample(
        source="reference",
        endpoint=("GET", f"{RM}/{LONG}/contact-list"),
        call=lambda it: it.retail_media.get_contact_list_statistics("7", LONG),
        answer={"data": _entity("ContactListStatistics", LONG, **STATISTICS), "errors": [], "warnings": [PROBLEM]},
    ),
    Sample(
        source="reference: a receipt and an error in one answer, flat",
        endpoint=("POST", f"{RM_LIST}/add-remove"),
        call=lambda it: it.retail_media.amend_contact_list(LONG, operation="add", identifiers=PEOPLE),
        body=_amended("add", "AddRemoveContactlist", "Email"),
        answer={
            "type": "AddRemoveContactlistResult",
            "data": {"contactListId": 568708742535471104, **RECEIPT},
            "errors": [UNAVAILABLE],
            "warnings": [DEPRECATION],
        },
    ),
    Sample(
        source="guide: nested, email",
        endpoint=("POST", f"{RM_LIST}/add-remove"),
        call=lambda it: it.retail_media.amend_contact_list(LONG, operation="add", identifiers=PEOPLE),
        body=_amended("add", "AddRemoveContactlist", "Email"),
        answer={
            "data": _entity(
                "ContactlistAmendment",
                None,
                **RECEIPT | {"contactListId": 225702933721171456, "identifierType": "email"},
            )
        },
    ),
    Sample(
        source="guide: no id of the list, customerId",
        endpoint=("POST", f"{RM_LIST}/add-remove"),
        call=lambda it: it.retail_media.amend_contact_list(
            LONG, operation="remove", identifiers=PEOPLE, identifier_type="customerid"
        ),
        body=_amended("remove", "AddRemoveContactlist", "CustomerId"),
        answer={
            "data": _entity(
                "ContactlistAmendment", None, **RECEIPT | {"operation": "remove", "identifierType": "customerId"}
            )
        },
    ),
    *(
        Sample(
            source=source,
            endpoint=("POST", f"{RM_LIST}/clear"),
            call=lambda it: it.retail_media.clear_contact_list(LONG),
            status=status,
            answer=answer,
        )
        for source, status, answer in (
            ("reference", 204, None),
            ("guide: 201", 201, None),
            ("guide: 200", 200, {"data": {"type": "AudienceSegment", "id": LONG}}),
        )
    ),
)

SAMPLES: Final = (*MARKETING_SOLUTIONS, *RETAIL_MEDIA)
