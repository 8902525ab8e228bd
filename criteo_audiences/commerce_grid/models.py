"""What Commerce Grid reads and writes about audience segments (OpenAPI 2026-07)."""

import datetime as dt

from attrs import field, frozen

from criteo_audiences.models import UNSET, Unset, Word, nullable
from criteo_audiences.rendering import ShownInNotebooks
from criteo_audiences.validation import require_change, require_kind, require_naming, require_text, text_field


class SegmentType(Word):
    """The kinds of audience segment."""

    UNKNOWN = "Unknown"
    CONTACT_LIST = "ContactList"


@frozen(kw_only=True)
class ContactList:
    """Settings of a contact list; Commerce Grid returns none."""


@frozen(kw_only=True)
class AudienceSegment(ShownInNotebooks):
    """An audience segment as Criteo returns it; timestamps are aware, UTC."""

    id: str | None = None
    data_provider_id: str | None = None
    name: str | None = None
    description: str | None = None
    type: SegmentType | None = None
    remote_id: str | None = None
    created_at: dt.datetime | None = None
    updated_at: dt.datetime | None = None
    contact_list: ContactList | None = None


@frozen(kw_only=True)
class ContactListCreate:
    """Makes the new segment a contact list. `remote_id`: the data provider's own id of it."""

    remote_id: str | None = field(default=None, validator=text_field)


@frozen(kw_only=True)
class AudienceSegmentCreate:
    """An audience segment to create; Commerce Grid knows contact lists only.

    Attributes:
        data_provider_id: its owner.
        name: unique among the data provider's segments.
        description: free text.
        contact_list: its settings.

    Raises:
        ConfigurationError: when the name or the data provider is missing.
    """

    data_provider_id: str
    name: str
    description: str | None = None
    contact_list: ContactListCreate = field(factory=ContactListCreate)

    def __attrs_post_init__(self) -> None:
        require_text(self.data_provider_id, "data_provider_id")
        require_naming(self.name, self.description)
        require_kind(self.contact_list, ContactListCreate, "contact_list")


@frozen(kw_only=True)
class AudienceSegmentUpdate:
    """Changes to an audience segment: what is left out stays as it is.

    Attributes:
        id: the segment.
        name: unique among the data provider's segments.
        description: free text, `None` to take it away.

    Raises:
        ConfigurationError: when nothing is to be changed, or the name is taken away.
    """

    id: str
    name: str | Unset = UNSET
    description: str | Unset | None = field(default=UNSET, metadata=nullable())

    def __attrs_post_init__(self) -> None:
        require_text(self.id, "id")
        require_change(self)
        require_naming(self.name, self.description)
