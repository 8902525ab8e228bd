"""What Marketing Solutions reads and writes about audiences, sizes and in-market catalogs (OpenAPI 2026-07)."""

import datetime as dt

from attrs import field, frozen

from criteo_audiences.algebra import Expression, require_expression, require_expression_or_unset
from criteo_audiences.marketing_solutions.models import InMarketCreate, LocationCreate
from criteo_audiences.models import UNSET, Problem, Unset, nullable, of_envelope
from criteo_audiences.rendering import ShownInNotebooks
from criteo_audiences.validation import require_change, require_naming, require_one_of, require_text


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
        algebra: whom it holds, such as `Segment("1") & ~Segment("2")`.
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
    """Changes to an audience: what is left out stays as it is.

    Attributes:
        id: the audience.
        name: unique among the advertiser's audiences.
        description: free text, `None` to take it away.
        algebra: whom it is to hold.

    Raises:
        ConfigurationError: when nothing is to be changed, or a field cannot be taken away.
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
    """How many people a segment or an audience holds.

    Attributes:
        id: the segment or the audience; `None` for an estimate of one that does not exist.
        size: people.
        warnings: what Criteo warned of in the same answer.
    """

    id: str | None = None
    size: int | None = None
    warnings: tuple[Problem, ...] = field(default=(), eq=False, repr=False, metadata=of_envelope())


@frozen(kw_only=True)
class AudienceSegmentEstimate:
    """A segment whose size to estimate before it is made.

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
    """An audience whose size to estimate before it is made.

    Attributes:
        advertiser_id: who would own it.
        algebra: whom it would hold.
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
