"""Finds the column with the identifiers: by its name, or by its header and the first values."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from attrs import evolve, frozen

from criteo_audiences.errors import ConfigurationError, InvalidIdentifierError
from criteo_audiences.identifiers import RejectReason, has_phone_form, normalize_email, normalize_mobile_ad_id
from criteo_audiences.models import IdentifierType
from criteo_audiences.rendering import nearest
from criteo_audiences.tables.files.dialect import header_hint
from criteo_audiences.tables.files.layout import Layout
from criteo_audiences.tables.header_words import Wording, engine_names, fold, has_wording, listed, shown, wording

_KIND_NAMES: Final = {
    IdentifierType.EMAIL: ("an e-mail", "e-mails"),
    IdentifierType.PHONE_NUMBER: ("a phone number", "phone numbers"),
    IdentifierType.MADID: ("an advertising id", "advertising ids"),
}
_ADVICE: Final = "Choose one with column= (--column on the command line)."
_ADVICE_FOR_OPT_OUTS: Final = (
    "Choose one with suppress=Table.from_file(path, column=...) (--suppress-column on the command line)."
)
_BY_POSITION: Final = (
    "Some share a name: column='email' takes all of it, column='column_1' (and so on, by its position) one of them."
)
_MOST_WAYS: Final = 4
# Least share of fitting values that confirms a header which only mentions an identifier: consent flags and dates fail.
_CONFIRMED: Final = 0.5
_ENOUGH: Final = 20  # a column that the caller named is refused if it has at least so many values and none fits

_OF_MADIDS: Final = frozenset(
    {RejectReason.HASHED_AD_ID, RejectReason.LIMITED_AD_TRACKING}
)  # values rejected for these reasons still show that the column is the right one
_DATE = re.compile(r"\d{4}[-./]\d\d?[-./]\d\d?(?:[ T].*)?|\d\d?[-./]\d\d?[-./]\d{4}(?: .*)?")


@frozen
class Choice:
    """The column that will be read.

    Attributes:
        position: from zero, in the file's order.
        name: its header.
        share: share of the sample's non-empty values that fit the kind of identifier, 0 to 1.
    """

    position: int
    name: str
    share: float


@frozen
class _Column:
    """A column, and how many of its sampled values fit the kind of identifier."""

    position: int
    name: str
    wording: Wording
    values: int
    fitting: int

    @property
    def share(self) -> float:
        return self.fitting / self.values if self.values else 0.0

    @property
    def viable(self) -> bool:
        """Whether the values confirm the header; an empty column confirms nothing."""
        if self.wording <= Wording.OWNED:
            return self.fitting > 0
        return self.wording is Wording.MENTIONED and self.share >= _CONFIRMED

    @property
    def choice(self) -> Choice:
        return Choice(self.position, self.name, self.share)

    def __str__(self) -> str:
        return f"{shown(self.name)} ({self.share:.0%} fit)" if self.values else f"{shown(self.name)} (empty)"


def choose_column(layout: Layout, asked: str | None, kind: IdentifierType) -> Choice:
    """Returns the one column asked for, or found; see `choose_columns`.

    Raises:
        ConfigurationError: when none or several columns fit; names the columns, never a value.
    """
    found = choose_columns(layout, asked, kind)
    if len(found) > 1:
        raise _several_of_that_name(layout, [choice.position for choice in found])
    return found[0]


def choose_columns(
    layout: Layout, asked: str | None, kind: IdentifierType, *, any_values: bool = False
) -> list[Choice]:
    """Returns the columns that the caller named, or finds the columns with identifiers by header and first values.

    There are several only if columns share one name, as in lists made for other platforms (`email,email,phone`).

    Args:
        layout: the file, with its first rows.
        asked: a column's name, compared exactly first, then without case, space, punctuation and accents; or `column_`
            and the position of a column that shares its name with others or has none.
        kind: of identifier; only e-mails, phone numbers and advertising ids can be found without a name.
        any_values: whether a clear header, or being the only column, is enough even if no value fits.

    Raises:
        ConfigurationError: when none or several columns fit; names the columns, never a value.
    """
    if asked is not None:
        return _asked(layout, asked, kind, any_values=any_values)
    if any_values and len(layout.names) == 1:
        return [_examined(layout, 0, kind).choice]
    if not has_wording(kind):
        raise ConfigurationError(
            f"A column of this kind cannot be recognized by its header; the columns of {layout.name} are: "
            f"{listed(layout.names)}. {_ADVICE}{doubts(layout)}"
        )
    named = [position for position, name in enumerate(layout.names) if wording(name, kind) is not Wording.OTHER]
    columns = [_examined(layout, position, kind) for position in named]
    if any_values and not any(column.viable for column in columns):
        columns = [evolve(column, values=0) for column in columns]
    return _found(columns, layout, kind)


def opt_out_error(error: ConfigurationError) -> ConfigurationError:
    """Returns the same error for a file of opt-outs, with the advice to name the column in the opt-outs' own option."""
    return ConfigurationError(f"The opt-outs cannot be read: {str(error).replace(_ADVICE, _ADVICE_FOR_OPT_OUTS)}")


def _asked(layout: Layout, asked: str, kind: IdentifierType, *, any_values: bool) -> list[Choice]:
    positions = _positions(layout.names, asked)
    if not positions:
        found = "no column of that name" if layout.format != "json" else "no row with a key of that name"
        meant = nearest(asked, layout.names, spelled=fold)
        hint = "" if meant is None else f" Did you mean {shown(meant)}?"
        known = f"its columns are: {listed(layout.names)}."
        raise ConfigurationError(f"{layout.name} has {found}; {known}{hint}{doubts(layout)}")
    if len({layout.names[position] for position in positions}) > 1:
        raise _several_of_that_name(layout, positions)
    columns = [_examined(layout, position, kind) for position in positions]
    values = sum(column.values for column in columns)
    if not any_values and kind in _KIND_NAMES and values >= _ENOUGH and not any(column.fitting for column in columns):
        raise ConfigurationError(
            f"The column {shown(columns[0].name)} of {layout.name} holds no {_KIND_NAMES[kind][1]}: 0% of its first "
            f"{values:,} values are any; its columns are: {listed(layout.names)}. {_ADVICE}{doubts(layout)}"
        )
    return [column.choice for column in columns]


def no_identifiers(column: str, name: str, held: str, kind: IdentifierType) -> ConfigurationError:
    """Returns the error for a column that contains something other than identifiers.

    Args:
        column: the column's name.
        name: the file's name.
        held: what the column contains.
        kind: the kind of identifier that was wanted.
    """
    wanted = "text" if kind is IdentifierType.EMAIL else "text or whole numbers"
    return ConfigurationError(
        f"Column {shown(column)} of {name} holds {held}, not {wanted}; "
        "name the column that holds the identifiers with column=, or convert it."
    )


def has_column(layout: Layout, asked: str) -> bool:
    """Whether a file has a column of a name, as `choose_columns` compares it."""
    return bool(_positions(layout.names, asked))


def _positions(names: Sequence[str], asked: str) -> list[int]:
    exact = [position for position, name in enumerate(names) if name == asked.strip()]
    folded = fold(asked)
    numbered = [position for position, name in enumerate(engine_names(names)) if name == asked.strip()]
    return exact or numbered or [position for position, name in enumerate(names) if folded and fold(name) == folded]


def _several_of_that_name(layout: Layout, positions: Sequence[int]) -> ConfigurationError:
    found = listed(layout.names[position] for position in positions)
    known = engine_names(layout.names)
    ways = " or ".join(shown(known[position]) for position in positions[:_MOST_WAYS])
    return ConfigurationError(f"{layout.name} has several columns of that name: {found}. Name one of them: {ways}.")


def doubts(layout: Layout) -> str:
    """Returns a hint about what may explain wrong column names: lines above the header, or another encoding."""
    if layout.guess and not all(map(str.isascii, layout.names)):
        guessed = (
            f" They were read as {layout.guess}, which is a guess: give encoding= (--encoding) if they look wrong."
        )
        return header_hint(layout.likely_header) + guessed
    return header_hint(layout.likely_header)


def _found(columns: Sequence[_Column], layout: Layout, kind: IdentifierType) -> list[Choice]:
    viable = [column for column in columns if column.viable] or _unseen(columns)
    clearest = min((column.wording for column in viable), default=None)
    best = [column for column in viable if column.wording is clearest]
    doubtful = any(column.share < _CONFIRMED for column in best) and any(
        column.share >= _CONFIRMED for column in viable
    )
    if not best:
        raise _nothing(layout, kind)
    chosen = best[0]
    namesakes = [column for column in columns if column.name == chosen.name]
    alike = all(column in best or not column.values for column in namesakes)
    if doubtful or not alike or any(column.name != chosen.name for column in best):
        candidates = [column for column in viable if doubtful or column in best]
        advice = _ADVICE if len(namesakes) == 1 else _BY_POSITION
        raise ConfigurationError(
            f"{layout.name} has several columns that may hold the {_KIND_NAMES[kind][1]}: "
            f"{_several(candidates if len(candidates) > 1 else namesakes)}. {advice}"
        )
    return [column.choice for column in namesakes]


def _unseen(columns: Iterable[_Column]) -> list[_Column]:
    """Returns the columns with a clear header and no value in the sample."""
    return [column for column in columns if column.wording <= Wording.OWNED and not column.values]


def _nothing(layout: Layout, kind: IdentifierType) -> ConfigurationError:
    columns = [_examined(layout, position, kind) for position in range(len(layout.names))]
    likely = [column for column in columns if column.share >= _CONFIRMED or column.wording is not Wording.OTHER]
    looked_at = f"No column of {layout.name} is clearly {_KIND_NAMES[kind][0]} by its header and its values; "
    if likely:
        return ConfigurationError(f"{looked_at}nearest are: {_several(likely)}. {_ADVICE}{doubts(layout)}")
    return ConfigurationError(f"{looked_at}its columns are: {listed(layout.names)}. {_ADVICE}{doubts(layout)}")


def _several(columns: Sequence[_Column]) -> str:
    most = 10
    return ", ".join(map(str, columns[:most])) + (", …" if len(columns) > most else "")


def _examined(layout: Layout, position: int, kind: IdentifierType) -> _Column:
    cells = (row[position] for row in layout.sample)
    values = [cell for cell in cells if cell is not None and cell.strip()]
    fits = _FITS.get(kind, bool)
    name = layout.names[position]
    clear = wording(name, kind) if has_wording(kind) else Wording.OTHER
    return _Column(position, name, clear, len(values), sum(map(fits, values)))


def _is_email(value: str) -> bool:
    try:
        normalize_email(value)
    except InvalidIdentifierError:
        return False
    return True


def _is_phone(value: str) -> bool:
    return has_phone_form(value) and not _DATE.fullmatch(value.strip())


def _is_madid(value: str) -> bool:
    try:
        normalize_mobile_ad_id(value)
    except InvalidIdentifierError as error:
        return error.reason in _OF_MADIDS
    return True


_FITS: Final[Mapping[IdentifierType, Callable[[str], bool]]] = MappingProxyType(
    {
        IdentifierType.EMAIL: _is_email,
        IdentifierType.PHONE_NUMBER: _is_phone,
        IdentifierType.MADID: _is_madid,
    }
)
