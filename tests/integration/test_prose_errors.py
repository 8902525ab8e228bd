"""Every error code that Criteo's documents name for audiences, met by the real client or refused before a call.

A call about many things goes on where one of them is wrong: the good items succeed, and the problem names the bad one.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from attrs import define, field, frozen

from criteo_audiences import (
    BulkResult,
    ConfigurationError,
    CriteoClient,
    InvalidRequestError,
    PartialFailureError,
    Problem,
    RetryPolicy,
    Segment,
    ServerError,
)
from criteo_audiences import commerce_grid as cg
from criteo_audiences import marketing_solutions as ms
from criteo_audiences import retail_media as rm
from criteo_audiences.sandbox import Sandbox

ACCOUNT = "7"
PARIS = ms.PointOfInterest(name="Paris", latitude=48.85661, longitude=2.35222)

# The list of the guide "Error codes", of the samples of sizes, of Retail Media's audiences, and the generic ones.
WORDS = """
advertiser-must-be-opt-in-for-data-sharing brand-list-must-be-valid buying-power-must-be-valid
cannot-create-contact-list in-market-settings-must-be-defined contact-list-incompatible-with-file
contact-list-statistics-not-supported country-code-is-required country-code-must-be-authorized
country-code-must-be-valid days-must-be-in-range event-type-must-be-valid file-id-must-be-valid
gender-must-be-valid interests-list-must-be-valid name-must-be-unique name-must-not-be-empty
name-must-not-be-too-long percentile-must-be-in-range poi-coordinates-must-be-unique poi-coordinates-must-be-valid
poi-list-must-be-not-empty poi-list-must-be-null-or-empty poi-radius-must-be-not-null poi-surface-must-be-valid
price-range-must-be-valid radius-must-be-in-range registry-type-must-be-valid
retargeting-segment-days-since-last-visit-are-not-compatible
retargeting-segment-days-since-last-visit-are-not-in-acceptable-range
retargeting-segment-from-to-days-ago-are-not-compatible
retargeting-segment-from-to-days-ago-are-not-in-acceptable-range
audience-with-retargeting-segment-must-be-correctly-specified segment-has-not-been-found
segment-must-have-valid-segment-id segment-must-not-be-used-in-audience segment-not-found
segment-size-not-available segment-size-not-supported segment-size-too-small type-must-be-the-same
audience-segment-not-found audience-segment-size-not-available audience-segment-size-not-supported
audience-segment-size-too-small audience-not-found required-field invalid invalid-range internal-error
insufficient-advertiser-permissions deprecated-field endpoint-deprecated
"""
DOCUMENTED = frozenset(WORDS.split())

NO_RULE_STATED = (
    ("advertiser-must-be-opt-in-for-data-sharing", "no document says how an advertiser opts in, or what needs it"),
    ("cannot-create-contact-list", "no document says when a contact list cannot be created"),
    ("contact-list-incompatible-with-file", "no endpoint takes a file"),
    ("file-id-must-be-valid", "no endpoint takes a file"),
    ("country-code-must-be-authorized", "no document lists the authorized countries"),
    ("percentile-must-be-in-range", "no schema has a percentile"),
    ("poi-list-must-be-null-or-empty", "no document says when points of interest are not wanted"),
    ("poi-surface-must-be-valid", "no schema has a surface"),
    ("deprecated-field", "no document names a deprecated field of a request"),
)


@define
class World:
    """A server with some segments, and a client of it."""

    server: Sandbox
    criteo: CriteoClient
    ids: dict[str, str] = field(factory=dict)

    async def create(self, name: str, advertiser_id: str = "1", **settings: Any) -> None:
        """Creates a segment of Marketing Solutions and keeps its id under its name."""
        new = ms.AudienceSegmentCreate(advertiser_id=advertiser_id, name=name, **settings)
        made = (await self.criteo.marketing_solutions.create_audience_segments([new])).one()
        assert made.id is not None
        self.ids[name] = made.id

    async def populate(self) -> None:
        """Creates what good and bad items are made of."""
        await self.create("taken", in_market=ms.InMarketCreate(country="FR"))
        await self.create("good 0", in_market=ms.InMarketCreate(country="FR"))
        await self.create("good 1", in_market=ms.InMarketCreate(country="US"))
        await self.create("new visitors", prospecting=ms.ProspectingCreate(users_type="Prospects"))
        await self.create("visitors", retargeting=visits(7, 30))
        await self.create("foreign", advertiser_id="2", in_market=ms.InMarketCreate(country="FR"))
        for service, name in (("marketing-solutions", "list"), ("retail-media", "rm"), ("commerce-grid", "cg")):
            owner = ACCOUNT if service == "retail-media" else "1"
            self.ids[name] = self.server.add_contact_list(
                "taken" if name != "list" else name, service=service, owner_id=owner
            )
        for name in ("good 0", "good 1"):
            whole = ms.AudienceCreate(advertiser_id="1", name=name, algebra=Segment(self.ids[name]))
            made = (await self.criteo.marketing_solutions.create_audiences([whole])).one()
            assert made.id is not None
            self.ids[f"audience {name}"] = made.id


@pytest.fixture(params=["openapi", "guides"])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    """The server in either dialect."""
    async with Sandbox(rate_limit=None, dialect=request.param) as server:
        once = RetryPolicy(attempts=1)
        async with CriteoClient(server.credentials, base_url=server.url, retry=once) as criteo:
            ready = World(server, criteo)
            await ready.populate()
            yield ready


def visits(first: int, last: int) -> ms.RetargetingCreate:
    """Retargeting settings."""
    return ms.RetargetingCreate(visitors_type="All", days_since_last_visit_min=first, days_since_last_visit_max=last)


def new(name: str, **settings: Any) -> ms.AudienceSegmentCreate:
    """A segment to create; in-market unless told otherwise."""
    chosen = settings or {"in_market": ms.InMarketCreate(country="FR")}
    return ms.AudienceSegmentCreate(advertiser_id="1", name=name, **chosen)


def located(*places: ms.PointOfInterest, radius: int = 5) -> ms.AudienceSegmentCreate:
    """A location segment to create."""
    return new("bad", location=ms.LocationCreate(points_of_interest=places, radius_in_km=radius))


def at_retailer(name: str) -> rm.AudienceSegmentCreate:
    """A list of Retail Media to create."""
    return rm.AudienceSegmentCreate(retailer_id="1", name=name, contact_list=rm.ContactListCreate())


Make = Callable[[World, int], Any]

# What the good items of a call are, by its name: the first and the second of them.
GOOD: dict[str, Make] = {
    "create_audience_segments": lambda _, n: new(f"fresh {n}"),
    "update_audience_segments": lambda w, n: ms.AudienceSegmentUpdate(id=w.ids[f"good {n}"], description="changed"),
    "delete_audience_segments": lambda w, n: w.ids[("new visitors", "visitors")[n]],
    "compute_audience_segment_sizes": lambda w, n: w.ids[f"good {n}"],
    "create_audiences": lambda w, n: ms.AudienceCreate(
        advertiser_id="1", name=f"fresh {n}", algebra=Segment(w.ids["good 0"])
    ),
    "update_audiences": lambda w, n: ms.AudienceUpdate(id=w.ids[f"audience good {n}"], description="changed"),
}  # fmt: skip


@frozen
class Refusal:
    """A bulk call of Marketing Solutions with a bad item, and the server's code for it."""

    code: str
    call: str
    bad: Callable[[World], Any]
    in_guides: str | None = None
    """The code in Criteo's guides, where it is another."""

    def expected(self, dialect: str) -> str:
        """Returns the code in a dialect."""
        return self.in_guides if self.in_guides and dialect == "guides" else self.code


REFUSALS = (
    Refusal("name-must-be-unique", "create_audience_segments", lambda _: new("taken")),
    Refusal("name-must-be-unique", "update_audience_segments", lambda w: ms.AudienceSegmentUpdate(id=w.ids["visitors"], name="taken")),
    Refusal("name-must-be-unique", "create_audiences", lambda w: ms.AudienceCreate(advertiser_id="1", name="good 0", algebra=Segment(w.ids["good 0"]))),
    Refusal("segment-must-have-valid-segment-id", "create_audience_segments", lambda w: new("bad", lookalike=ms.LookalikeCreate(seed_segment_id=w.ids["foreign"]))),
    Refusal("segment-must-have-valid-segment-id", "create_audiences", lambda w: ms.AudienceCreate(advertiser_id="1", name="bad", algebra=Segment(w.ids["foreign"]))),
    Refusal("type-must-be-the-same", "update_audience_segments", lambda w: ms.AudienceSegmentUpdate(id=w.ids["visitors"], in_market=ms.InMarketUpdate(country="FR"))),
    Refusal("retargeting-segment-days-since-last-visit-are-not-compatible", "update_audience_segments", lambda w: ms.AudienceSegmentUpdate(id=w.ids["visitors"], retargeting=ms.RetargetingUpdate(days_since_last_visit_min=30))),
    Refusal("insufficient-advertiser-permissions", "update_audience_segments", lambda w: denied(w, "visitors")),
    Refusal("segment-must-not-be-used-in-audience", "delete_audience_segments", lambda w: w.ids["good 0"]),
    Refusal("segment-size-not-available", "compute_audience_segment_sizes", lambda w: w.ids["list"], "audience-segment-size-not-available"),
    Refusal("segment-size-not-supported", "compute_audience_segment_sizes", lambda w: w.ids["visitors"], "audience-segment-size-not-supported"),
    Refusal("segment-size-too-small", "compute_audience_segment_sizes", lambda w: with_one_customer(w, "list"), "audience-segment-size-too-small"),
    Refusal("audience-with-retargeting-segment-must-be-correctly-specified", "create_audiences", lambda w: ms.AudienceCreate(advertiser_id="1", name="bad", algebra=Segment(w.ids["visitors"]) & Segment(w.ids["good 0"]))),
    Refusal("audience-not-found", "update_audiences", lambda _: ms.AudienceUpdate(id="1", name="bad")),
)  # fmt: skip


def denied(world: World, name: str) -> ms.AudienceSegmentUpdate:
    """Changes a segment whose advertiser has withdrawn consent."""
    world.server.deny(world.ids[name])
    return ms.AudienceSegmentUpdate(id=world.ids[name], description="changed")


async def with_one_customer(world: World, name: str) -> str:
    """Returns a list of one customer, of whom nobody was matched."""
    await world.criteo.marketing_solutions.amend_contact_list(
        world.ids[name], operation="add", identifiers=["anna@example.com"]
    )
    return world.ids[name]


async def made(item: Any) -> Any:
    """Returns an item that may have to be waited for."""
    return await item if isinstance(item, Awaitable) else item


def failures(result: BulkResult[Any]) -> tuple[Problem, ...]:
    """Returns the problems of a call; where they stand depends on the service and the dialect."""
    return (*result.errors, *result.warnings)


@pytest.mark.parametrize("case", REFUSALS, ids=lambda case: f"{case.call}-{case.code}")
async def test_a_bad_item_among_good_ones(world: World, case: Refusal, request: pytest.FixtureRequest) -> None:
    """The server's problem is tied to the bad item by its position, and the items around it succeed."""
    good = GOOD[case.call]
    items = [good(world, 0), await made(case.bad(world)), good(world, 1)]
    result = await getattr(world.criteo.marketing_solutions, case.call)(items)
    dialect = request.node.callspec.params["world"]
    assert [(problem.index, problem.code) for problem in failures(result)] == [(1, case.expected(dialect))]
    assert len(result.items) == 2
    with pytest.raises(PartialFailureError, match=case.expected(dialect)):
        result.one()


@pytest.mark.parametrize("service", ["retail_media", "commerce_grid"])
async def test_a_bad_item_in_the_other_services(world: World, service: str) -> None:
    """A name that is taken is the problem of its item in Retail Media and Commerce Grid too."""
    if service == "retail_media":
        items = [at_retailer(name) for name in ("fresh 0", "taken", "fresh 1")]
        result = await world.criteo.retail_media.create_audience_segments(ACCOUNT, items)
    else:
        lists = [cg.AudienceSegmentCreate(data_provider_id="1", name=name) for name in ("fresh 0", "taken", "fresh 1")]
        result = await world.criteo.commerce_grid.create_audience_segments(lists)
    assert [(problem.index, problem.code) for problem in failures(result)] == [(1, "name-must-be-unique")]
    assert [segment.name for segment in result.items] == ["fresh 0", "fresh 1"]


UNKNOWN_SEGMENT = {
    "openapi": {"segment-not-found"},
    "guides": {"segment-has-not-been-found", "audience-segment-not-found"},
}


async def test_a_segment_that_is_not_there(world: World, request: pytest.FixtureRequest) -> None:
    """Whatever the code is called, it names the item; Criteo has three words for it."""
    good = GOOD["update_audience_segments"]
    missing = ms.AudienceSegmentUpdate(id="1", name="bad")
    result = await world.criteo.marketing_solutions.update_audience_segments(
        [good(world, 0), missing, good(world, 1), missing]
    )
    assert [problem.index for problem in failures(result)] == [1, 3]
    assert {problem.code for problem in failures(result)} == UNKNOWN_SEGMENT[request.node.callspec.params["world"]]
    assert len(result.items) == 2


WHOLE_CALLS = ("contact-list-statistics-not-supported", "invalid", "internal-error", "endpoint-deprecated")


async def test_statistics_of_what_is_no_list(world: World) -> None:
    """Only contact lists have statistics: the call as a whole is refused, with its code."""
    with pytest.raises(InvalidRequestError) as refused:
        await world.criteo.marketing_solutions.get_contact_list_statistics(world.ids["good 0"])
    assert refused.value.codes == ("contact-list-statistics-not-supported",)


async def test_customers_for_what_is_no_list(world: World) -> None:
    """A call that makes no sense gets the generic code."""
    with pytest.raises(InvalidRequestError) as refused:
        await world.criteo.marketing_solutions.amend_contact_list(
            world.ids["good 0"], operation="add", identifiers=["anna@example.com"]
        )
    assert refused.value.codes == ("invalid",)


async def test_a_failure_at_criteo(world: World) -> None:
    """A server that fails is a `ServerError`, with its code."""
    world.server.fail_next(status=500)
    with pytest.raises(ServerError) as failed:
        await world.criteo.marketing_solutions.delete_audience_segments([world.ids["visitors"]])
    assert failed.value.codes == ("internal-error",)


async def test_a_deprecated_endpoint(world: World) -> None:
    """The notice is a warning about no item, beside items that all succeed."""
    world.server.deprecate_version("2026-07")
    with pytest.warns(DeprecationWarning, match="2026-07"):
        result = await world.criteo.marketing_solutions.create_audience_segments([new("fresh 0"), new("fresh 1")])
    assert [(problem.index, problem.code) for problem in result.warnings] == [(None, "endpoint-deprecated")]
    assert len(result.items) == 2


@frozen
class Forestalled:
    """A call that the client refuses itself, because the rule behind the codes leaves no doubt."""

    codes: str
    call: Callable[[CriteoClient], Awaitable[Any]]
    words: str
    error: type[Exception] = ConfigurationError


def creating(build: Callable[[], ms.AudienceSegmentCreate]) -> Callable[[CriteoClient], Awaitable[Any]]:
    """Creates a segment between two good ones."""
    return lambda criteo: criteo.marketing_solutions.create_audience_segments([new("good 0"), build(), new("good 1")])


def searching(limit: int) -> Callable[[CriteoClient], Awaitable[Any]]:
    """Asks for a page of a search."""
    return lambda criteo: criteo.marketing_solutions.search_audience_segments(advertiser_ids=["1"]).page(limit=limit)


FORESTALLED = (
    Forestalled("brand-list-must-be-valid", creating(lambda: new("bad", in_market=ms.InMarketCreate(country="FR", brand_ids=[101]))), "brand_ids"),
    Forestalled("interests-list-must-be-valid", creating(lambda: new("bad", in_market=ms.InMarketCreate(country="FR", interest_ids="166"))), "interest_ids"),
    Forestalled("buying-power-must-be-valid", creating(lambda: new("bad", in_market=ms.InMarketCreate(country="FR", buying_power=["Huge"]))), "buying_power"),
    Forestalled("price-range-must-be-valid", creating(lambda: new("bad", in_market=ms.InMarketCreate(country="FR", price_range=["VeryHigh"]))), "price_range"),
    Forestalled("gender-must-be-valid", creating(lambda: new("bad", in_market=ms.InMarketCreate(country="FR", gender="Unknown"))), "gender"),
    Forestalled("country-code-is-required", creating(lambda: new("bad", in_market=ms.InMarketCreate(country=""))), "country must not be empty"),
    Forestalled("in-market-settings-must-be-defined required-field", creating(lambda: new("bad", in_market=None)), "Exactly one of contact_list, in_market"),
    Forestalled("name-must-not-be-empty", creating(lambda: new(" ")), "name must not be empty"),
    Forestalled("name-must-not-be-empty", lambda c: c.marketing_solutions.update_audience_segments([ms.AudienceSegmentUpdate(id="1", name="")]), "name must not be empty"),
    # For segments no number is published; Retail Media's audiences have one.
    Forestalled("name-must-not-be-too-long", lambda c: c.retail_media.create_audiences(ACCOUNT, [rm.AudienceCreate(retailer_id="1", name="n" * 257, algebra=Segment("1"))]), "name must have at most 256"),
    Forestalled("days-must-be-in-range", creating(lambda: new("bad", prospecting=ms.ProspectingCreate(users_type="Prospects", days_since_last_visit_min=-1))), "days_since_last_visit_min"),
    # Both pairs of codes stand for one rule: 400 >= to > from >= 0. Fields called from and to are no longer there.
    Forestalled("retargeting-segment-days-since-last-visit-are-not-in-acceptable-range retargeting-segment-from-to-days-ago-are-not-in-acceptable-range", creating(lambda: new("bad", retargeting=visits(0, 401))), "days_since_last_visit_max must be between 0 and 400"),
    Forestalled("retargeting-segment-days-since-last-visit-are-not-compatible retargeting-segment-from-to-days-ago-are-not-compatible", creating(lambda: new("bad", retargeting=visits(30, 30))), "must be greater than days_since_last_visit_min"),
    Forestalled("country-code-must-be-valid", creating(lambda: new("bad", in_market=ms.InMarketCreate(country="FRA"))), "country must be an ISO 3166-1 alpha-2 code"),
    Forestalled("poi-coordinates-must-be-unique", creating(lambda: located(PARIS, PARIS)), "points_of_interest"),
    Forestalled("poi-coordinates-must-be-valid", creating(lambda: located(ms.PointOfInterest(latitude=90.1, longitude=0))), "latitude must be between -90 and 90"),
    Forestalled("radius-must-be-in-range", creating(lambda: located(PARIS, radius=0)), "radius_in_km must be between 1"),
    Forestalled("poi-list-must-be-not-empty", creating(located), "points_of_interest must hold at least one"),
    Forestalled("poi-radius-must-be-not-null", creating(lambda: new("bad", location=ms.LocationCreate(points_of_interest=[PARIS]))), "radius_in_km", TypeError),
    # The one value that there is needs no field.
    Forestalled("registry-type-must-be-valid", creating(lambda: new("bad", location=ms.LocationCreate(points_of_interest=[PARIS], radius_in_km=5, registry_type="Street"))), "registry_type", TypeError),
    Forestalled("event-type-must-be-valid", lambda c: c.retail_media.create_audience_segments(ACCOUNT, [rm.AudienceSegmentCreate(retailer_id="1", name="n", events=rm.EventsCreate(shopper_activity="Look", lookback_days="Last7Days", brand_ids=["1"]))]), "shopper_activity"),
    Forestalled("invalid-range", searching(101), "limit must be between 1 and 100"),
    Forestalled("invalid", creating(lambda: new("bad", contact_list=ms.ContactListCreate(), in_market=ms.InMarketCreate(country="FR"))), "contact_list and in_market"),
)  # fmt: skip


@pytest.mark.parametrize("case", FORESTALLED, ids=lambda case: case.codes)
async def test_what_the_client_refuses_itself(case: Forestalled) -> None:
    """Where the rule is certain the client names the field, and no call is spent, not even one for a token."""
    async with Sandbox(rate_limit=None) as server:
        options = {"base_url": server.url, "api_version": "experimental"}
        async with CriteoClient(server.credentials, **options) as criteo:
            with pytest.raises(case.error, match=case.words):
                await case.call(criteo)
        assert server.requests == []


def test_no_code_is_forgotten() -> None:
    """Every documented code is met above, or it is said why it cannot be."""
    met = {code for case in REFUSALS for code in (case.code, case.in_guides) if code}
    met |= UNKNOWN_SEGMENT["openapi"] | UNKNOWN_SEGMENT["guides"] | set(WHOLE_CALLS)
    met |= {code for case in FORESTALLED for code in case.codes.split()}
    unreachable = {code for code, _ in NO_RULE_STATED}
    assert met | unreachable == DOCUMENTED
    assert not met & unreachable
