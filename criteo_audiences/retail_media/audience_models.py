"""The models of Retail Media for audiences, sizes, targeting and accounts (OpenAPI 2026-07, experimental)."""

import datetime as dt
from collections.abc import Iterable

from attrs import field, frozen

from criteo_audiences.algebra import Expression, require_expression, require_expression_or_unset
from criteo_audiences.errors import ConfigurationError
from criteo_audiences.models import UNSET, Problem, Unset, Word, nullable, of_envelope
from criteo_audiences.rendering import ShownInNotebooks
from criteo_audiences.results import require_naming
from criteo_audiences.retail_media.models import Channel, EventsCreate
from criteo_audiences.validation import (
    choose,
    id_field,
    require_change,
    require_kind,
    require_list,
    require_text,
)

_LONGEST_NAME = 256
_LONGEST_DESCRIPTION = 500


class Scope(Word):
    """Whether a line item targets its audiences or excludes them."""

    UNKNOWN = "unknown"
    INCLUDE = "include"
    EXCLUDE = "exclude"


class AccountType(Word):
    """Which side of the market an account is on."""

    UNKNOWN = "unknown"
    SUPPLY = "supply"
    DEMAND = "demand"


class AccountSubtype(Word):
    """The kind of a demand account."""

    UNKNOWN = "unknown"
    BRAND = "brand"
    SELLER = "seller"


def _channel(value: Channel | str) -> Channel:
    return choose(Channel, value, "channel")


def _scope(value: Scope | str) -> Scope:
    return choose(Scope, value, "scope")


def _ids(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(require_list(values, "audience_ids"))


def _check_texts(name: str | Unset, description: str | Unset | None) -> None:
    """Checks the lengths of both texts against the limits in Criteo's guide on Retail Media audiences."""
    for text, field_name, longest in (
        (name, "name", _LONGEST_NAME),
        (description, "description", _LONGEST_DESCRIPTION),
    ):
        if isinstance(text, str) and len(text) > longest:
            raise ConfigurationError(f"{field_name} must have at most {longest} characters, not {len(text)}.")


@frozen(kw_only=True)
class Audience(ShownInNotebooks):
    """An audience as Criteo returns it; timestamps are aware, UTC."""

    id: str | None = None
    account_id: str | None = None
    retailer_id: str | None = None
    name: str | None = None
    description: str | None = None
    algebra: Expression | None = None
    channels: tuple[Channel, ...] | None = None
    created_by_id: str | None = None
    created_at: dt.datetime | None = None
    updated_at: dt.datetime | None = None


@frozen(kw_only=True)
class AudienceCreate:
    """An audience to create.

    Attributes:
        retailer_id: the retailer whose shoppers it contains.
        name: unique among the account's audiences, at most 256 characters.
        algebra: whom it contains, such as `Segment("1") & ~Segment("2")`.
        description: free text, at most 500 characters.

    Raises:
        ConfigurationError: naming the field that is missing or wrong.
    """

    retailer_id: str
    name: str
    algebra: Expression = field(converter=require_expression)
    description: str | None = None

    def __attrs_post_init__(self) -> None:
        require_text(self.retailer_id, "retailer_id")
        require_naming(self.name, self.description)
        _check_texts(self.name, self.description)


@frozen(kw_only=True)
class AudienceUpdate:
    """Changes to an audience: fields left out stay unchanged.

    Attributes:
        id: the audience.
        name: unique among the account's audiences, at most 256 characters.
        description: free text, at most 500 characters, `None` to remove it.
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
        _check_texts(self.name, self.description)


@frozen(kw_only=True)
class Size:
    """How many people a segment or an audience contains.

    Attributes:
        id: the segment or the audience; `None` for an estimate before it exists.
        size: people; hidden without the permission to see it.
        relative_size: their share of the retailer's users, 0 to 1.
        warnings: what Criteo warned of in the same answer.
    """

    id: str | None = None
    size: int | None = None
    relative_size: float | None = None
    warnings: tuple[Problem, ...] = field(default=(), eq=False, repr=False, metadata=of_envelope())


@frozen(kw_only=True)
class AudienceSegmentEstimate:
    """An events segment for an estimate of its size before it is created."""

    retailer_id: str
    channel: Channel = field(converter=_channel)
    events: EventsCreate

    def __attrs_post_init__(self) -> None:
        require_text(self.retailer_id, "retailer_id")
        require_kind(self.events, EventsCreate, "events")


@frozen(kw_only=True)
class AudienceEstimate:
    """An audience for an estimate of its size before it is created."""

    retailer_id: str
    channel: Channel = field(converter=_channel)
    algebra: Expression = field(converter=require_expression)

    def __attrs_post_init__(self) -> None:
        require_text(self.retailer_id, "retailer_id")


@frozen(kw_only=True)
class AudienceTarget:
    """The audiences that a line item targets or excludes.

    Attributes:
        scope: whether they are included or excluded.
        audience_ids: the audiences.
        warnings: Criteo's warnings in the same answer; empty in a target that you make.
    """

    scope: Scope = field(converter=_scope)
    audience_ids: tuple[str, ...] = field(converter=_ids, validator=id_field)
    warnings: tuple[Problem, ...] = field(default=(), eq=False, repr=False, metadata=of_envelope())


@frozen(kw_only=True)
class Account:
    """An account that the application may work for."""

    id: str | None = None
    name: str | None = None
    type: AccountType | None = None
    subtype: AccountSubtype | None = None
    countries: tuple[str, ...] | None = None
    currency: str | None = None
    parent_account_label: str | None = None
    time_zone: str | None = None
    company_name: str | None = None
    on_behalf_company_name: str | None = None
