"""Immutable data that all services share: words, problems, rate limits, contact-list results."""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from enum import Enum, StrEnum
from typing import Final, Self

from attrs import field, frozen

# The server's text in these fields may be shown only if it has the field's usual shape. Seven digits, however
# separated, and long hexadecimal text are excluded, because they may be a phone number or a digest. Ids of 16 digits
# and more are longer than any phone number.
_KEBAB = re.compile(r"(?!(?:[^0-9]*[0-9]){7})(?!.*[0-9a-fA-F]{32})[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
_INSTANCE = re.compile(
    r"(?!.*[0-9a-fA-F]{32})(?!.*/(?![0-9]{16,20}(?:/|$))(?:[^/0-9]*[0-9]){7})"
    r"(?:@data/\d{1,9})?(?:/[A-Za-z0-9._{}-]{0,64}){0,12}"
)
# A trace id is hexadecimal with a letter in it, a decimal number longer than any phone's, or a short code.
_TRACE = re.compile(
    r"(?=.*[a-fA-F])(?=.{16,48}\Z)[0-9a-fA-F]+(?:-[0-9a-fA-F]+)*|[0-9]{16,20}|(?!(?:[^0-9]*[0-9]){7})[A-Za-z0-9-]{1,48}"
)
# A text that was compared with everything its call sent may have any shape in one line, without an at sign except that
# of an item.
_COMPARED = re.compile(r"(?:@data/\d{1,9})?[A-Za-z0-9 ._:/{}()\[\]<>,;#!?'|&*+=~-]{1,128}|@data/\d{1,9}")
_ITEM = re.compile(r"@data/(\d{1,9})(?![0-9])")


_MOST_COUNTED: Final = 50_000
OWNER_FIELDS: Final = {
    "marketing-solutions": "advertiser_id",
    "retail-media": "account_id",
    "commerce-grid": "data_provider_id",
}
"""The services, each with the field of a segment that names its owner."""
HIDDEN: Final = "…"
"""Replaces a text of an answer that contains data of its call."""


class Compared(str):
    """A text of an answer that was compared with its call and contains none of the call's data."""

    __slots__ = ()


class Prose(Compared):
    """A compared text in the answer to a call without identifiers, so that any sentence may be shown."""

    __slots__ = ()


def _is_prose(text: str | None) -> bool:
    """Whether a text is a sentence that may be shown: in one line, without an at sign except that of an item."""
    return isinstance(text, Prose) and text.isprintable() and "@" not in _ITEM.sub("", text)


def _may_show(text: str, pattern: re.Pattern[str]) -> bool:
    """Whether a text of an answer may appear in a message or a log; only the shape decides if it was not compared."""
    return _is_prose(text) or bool((_COMPARED if isinstance(text, Compared) else pattern).fullmatch(text))


class Unset(Enum):
    """The type of `UNSET`, which means "not given" where `None` means "set to null" or "send plain"."""

    UNSET = "UNSET"

    def __repr__(self) -> str:
        return "UNSET"

    def __bool__(self) -> bool:
        return False


UNSET: Final = Unset.UNSET
"""The default of an argument for which `None` is a value: the argument was not given, so the field stays as it is."""


def _fold(word: str) -> str:
    return "".join(character for character in word.casefold() if character.isalnum())


class Word(StrEnum):
    """A word of Criteo's vocabulary, which tolerates other spellings and words that do not exist yet.

    Criteo's documents spell the same word in several ways (`email`, `Email`; `InMarket`, `In-market`), so case and
    punctuation are ignored. A word that this release does not know becomes a member named `UNKNOWN`, which keeps its
    text as `value`, has `is_known` false and equals only itself, so that a new word never makes an answer unreadable.
    """

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        if not isinstance(value, str):
            return None
        folded = _fold(value)
        folded = {_fold(other): _fold(word) for other, word in cls.synonyms().items()}.get(folded, folded)
        for member in cls:
            if _fold(member.value) == folded:
                return member
        unknown = str.__new__(cls, value)
        unknown._name_ = "UNKNOWN"
        unknown._value_ = value
        return unknown

    @classmethod
    def synonyms(cls) -> Mapping[str, str]:
        """Returns other words that Criteo's documents use for members, each with the member's own word."""
        return {}

    @property
    def is_known(self) -> bool:
        """Whether this release knows the word."""
        return self._name_ != "UNKNOWN"

    def __eq__(self, other: object) -> bool:
        if self.is_known:
            return str.__eq__(self, other)
        return type(other) is type(self) and str.__eq__(self, other)

    def __ne__(self, other: object) -> bool:
        return not self == other  # `str` has a `!=` of its own, which compares the text

    __hash__ = str.__hash__

    def __repr__(self) -> str:
        return f"<{type(self).__name__}.{self._name_}>"


class IdentifierType(Word):
    """The kinds of identifier Criteo's three services take; each service maps them to its own wire word.

    `UNKNOWN` occurs only in answers, if Criteo does not say the kind.
    """

    UNKNOWN = "unknown"
    EMAIL = "email"
    PHONE_NUMBER = "phone_number"
    MADID = "madid"
    IDENTITY_LINK = "identity_link"
    GUM = "gum"
    CUSTOMER_ID = "customer_id"
    USER_IDENTIFIER = "user_identifier"
    BIDSWITCH_ID = "bidswitch_id"
    FTRACK_ID = "ftrack_id"
    PANORAMA_ID = "panorama_id"
    HADRON_ID = "hadron_id"
    IP_ADDRESS_V4 = "ip_address_v4"
    PAGE_URL = "page_url"
    PAGE_DOMAIN = "page_domain"
    APP_ID = "app_id"


class HashAlgorithm(Word):
    """The hashed forms of an identifier that Criteo accepts (S4: plain, MD5, SHA-256, SHA-256 of MD5)."""

    SHA256 = "sha256"
    MD5 = "md5"
    SHA256_OF_MD5 = "sha256_of_md5"

    @classmethod
    def synonyms(cls) -> Mapping[str, str]:
        """See `Word.synonyms`: Criteo's help pages write `SHA256(MD5)`."""
        return {"sha256md5": "sha256_of_md5"}


class Operation(Word):
    """What an amendment does with its identifiers."""

    ADD = "add"
    REMOVE = "remove"


class ProblemType(Word):
    """Criteo's classes of problem (OpenAPI `CommonProblem.type`)."""

    UNKNOWN = "unknown"
    ACCESS_CONTROL = "access-control"
    AUTHENTICATION = "authentication"
    AUTHORIZATION = "authorization"
    AVAILABILITY = "availability"
    DEPRECATION = "deprecation"
    QUOTA = "quota"
    VALIDATION = "validation"


def _show(pattern: re.Pattern[str]) -> Callable[[str | None], str]:
    """Returns a `repr` that hides text of an unusual shape, because a server may echo an identifier in any field."""

    def show(text: str | None) -> str:
        return "'…'" if text is not None and not _may_show(text, pattern) else repr(text)

    return show


@frozen(kw_only=True)
class Problem:
    """One entry of an answer's `errors` or `warnings`.

    `title` and `detail` are free text that may echo an identifier. In answers to calls on contact lists they are
    attributes only. Calls on segments and audiences carry no identifiers, so messages about them show these texts.

    Attributes:
        type: Criteo's class of the problem.
        code: kebab-case code such as `name-must-be-unique`.
        instance: what the problem concerns: `@data/N` for item N of a bulk call, otherwise a path.
        title: short text for people.
        detail: longer text for people.
        source: what in the request caused the problem, by Criteo's names.
        stack_trace: the server's stack trace, its lines in one text; only the beginning if it is long.
        trace_id: Criteo's correlation id, worth quoting to its support.
    """

    type: ProblemType | None = None
    code: str | None = field(default=None, repr=_show(_KEBAB))
    instance: str | None = field(default=None, repr=_show(_INSTANCE))
    title: str | None = field(default=None, repr=False)
    detail: str | None = field(default=None, repr=False)
    source: Mapping[str, str] | None = field(default=None, repr=False, hash=False)
    stack_trace: str | None = field(default=None, repr=False)
    trace_id: str | None = field(default=None, repr=_show(_TRACE))

    @property
    def is_failure(self) -> bool:
        """Whether it is more than a notice of deprecation."""
        return self.type is not ProblemType.DEPRECATION

    @property
    def index(self) -> int | None:
        """Position of the item in the request, from `@data/N`; `None` when the problem names no item."""
        found = _ITEM.match(self.instance or "")
        return int(found[1]) if found else None

    @property
    def printable_code(self) -> str:
        """Its code, or a substitute if it has none that may be shown."""
        return str(self.code) if self.code and _may_show(self.code, _KEBAB) else "no readable code"

    def __str__(self) -> str:
        code = self.printable_code
        where = f" at {self.instance}" if self.instance and _may_show(self.instance, _INSTANCE) else ""
        said = dict.fromkeys(text.rstrip(".") for text in (self.title, self.detail) if text and _is_prose(text))
        said.pop(code.rstrip("."), None)
        return f"{code}{where}" + (f" ({': '.join(said)})" if said else "")


def printable_trace_id(trace_id: str | None) -> str | None:
    """Returns the trace id if a message or a log may show it: it was compared, or has the shape of a trace id."""
    return str(trace_id) if trace_id and _may_show(trace_id, _TRACE) else None


@frozen(kw_only=True)
class RateLimit:
    """What the server last announced in its `x-ratelimit-*` headers.

    Attributes:
        limit: calls this caller may make in a window.
        remaining: calls left at the moment of the answer.
        reset_at: when a new call can be made (the header has epoch seconds, not a number of seconds to wait).
        reset_in: the same, as seconds from the answer, by the server's own clock if the answer has a `Date`.
    """

    limit: int | None = None
    remaining: int | None = None
    reset_at: datetime | None = None
    reset_in: float | None = None


def wire_name(name: str) -> Mapping[str, str]:
    """Returns the field metadata for an attribute with a name on the wire that is not its own name in camel case."""
    return {"wire": name}


def int64() -> Mapping[str, int]:
    """Returns the field metadata for a number that may need 64 bits; the default is 32."""
    return {"most": 2**63 - 1}


def nullable() -> Mapping[str, bool]:
    """Returns the metadata for a field that an update may set to null; on the wire it is wrapped as `{"value": …}`."""
    return {"nullable": True}


def of_envelope() -> Mapping[str, bool]:
    """Returns the field metadata for data outside an answer's entity, such as its warnings."""
    return {"envelope": True}


def _show_count(count: int | None) -> str:
    """Hides a number that is larger than any call's count, since it may be a phone number."""
    return repr(count) if count is None or 0 <= count <= _MOST_COUNTED else HIDDEN


@frozen(kw_only=True)
class ContactListOperation:
    """Criteo's receipt of an amendment: what it accepted and counted at once; matching follows later.

    Attributes:
        contact_list_id: id of the list, as text.
        operation: what was done.
        request_date: when Criteo recorded the amendment; aware, UTC.
        identifier_type: the kind of identifier that Criteo read.
        valid: identifiers accepted (`nbValidIdentifiers`).
        invalid: identifiers refused (`nbInvalidIdentifiers`).
        sample_invalid: a few of the refused identifiers, unhidden: an attribute, never in a `repr`.
        warnings: what Criteo warned of in the same answer.
    """

    operation: Operation | None = None
    contact_list_id: str | None = field(default=None, repr=False)
    request_date: datetime | None = None
    identifier_type: IdentifierType | None = None
    valid: int | None = field(default=None, repr=_show_count, metadata=wire_name("nbValidIdentifiers"))
    invalid: int | None = field(default=None, repr=_show_count, metadata=wire_name("nbInvalidIdentifiers"))
    sample_invalid: tuple[str, ...] | None = field(
        default=None, repr=False, metadata=wire_name("sampleInvalidIdentifiers")
    )
    warnings: tuple[Problem, ...] = field(default=(), eq=False, repr=False, metadata=of_envelope())


@frozen(kw_only=True)
class ContactListStatistics:
    """How many identifiers a contact list contains, and how many of them Criteo matched.

    Attributes:
        number_of_identifiers: identifiers in the list.
        number_of_matches: identifiers matched to users.
        match_rate: a ratio such as 0.5; may differ from matches divided by identifiers.
        warnings: what Criteo warned of in the same answer.
    """

    number_of_identifiers: int | None = None
    number_of_matches: int | None = None
    match_rate: float | None = None
    warnings: tuple[Problem, ...] = field(default=(), eq=False, repr=False, metadata=of_envelope())


@frozen(kw_only=True)
class Application:
    """The application that the credentials belong to.

    Attributes:
        application_id: its id.
        name: its name.
        description: free text.
        criteo_service: the service that it was made for.
        organization_id: the organization that owns it.
        warnings: what Criteo warned of in the same answer.
    """

    application_id: str | None = None
    name: str | None = None
    description: str | None = None
    criteo_service: str | None = None
    organization_id: str | None = None
    warnings: tuple[Problem, ...] = field(default=(), eq=False, repr=False, metadata=of_envelope())
