"""Renders results for people: figures in columns, tables for notebooks, and suggestions for misspelled names."""

import difflib
import html
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from attrs import fields, frozen

WIDTH: Final = 80
"""Columns of the narrowest terminal for which results are formatted."""

_NARROWEST_REMARK: Final = 20


@frozen
class Row:
    """One figure of a result.

    Attributes:
        label: what it counts; indented by two spaces for each level below the first.
        number: the figure; `None` when it is not known.
        remark: an explanation of the figure.
    """

    label: str
    number: int | None
    remark: str = ""

    @property
    def figure(self) -> str:
        """The number with separators of thousands."""
        return "-" if self.number is None else f"{self.number:,}"


def printable(text: str) -> str:
    """Returns a text with control characters, which could manipulate a terminal, replaced."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


def aligned(rows: Sequence[Row]) -> Iterator[str]:
    """Yields rows as lines of columns; a remark too long for the terminal is wrapped within its column."""
    labels = max(len(row.label) for row in rows)
    figures = max(len(row.figure) for row in rows)
    indent = labels + figures + 4
    for row in rows:
        remark = textwrap.wrap(
            printable(row.remark),
            max(_NARROWEST_REMARK, WIDTH - indent),
            break_long_words=False,
            break_on_hyphens=False,
        )
        first = f"{row.label:<{labels}}  {row.figure:>{figures}}  {remark[0] if remark else ''}"
        yield first.rstrip()
        yield from (" " * indent + line for line in remark[1:])


def html_table(rows: Iterable[Row], *, caption: str = "", lines: Iterable[str] = ()) -> str:
    """Returns figures as an HTML table with lines of text below it, all of it escaped."""
    cells = "".join(
        f'<tr><th style="text-align:left;padding-left:{1 + len(row.label) - len(row.label.lstrip())}em">'
        f'{_escaped(row.label.strip())}</th><td style="text-align:right">{row.figure}</td>'
        f'<td style="text-align:left">{_escaped(row.remark)}</td></tr>'
        for row in rows
    )
    return _titled(cells, caption) + "".join(f"<div>{_escaped(line)}</div>" for line in lines)


def html_fields(shown: Any) -> str:
    """Returns an attrs object as an HTML table of the fields that are not `None` and may be shown."""
    attributes = ((field.name, getattr(shown, field.name)) for field in fields(type(shown)) if field.repr)
    cells = "".join(
        f'<tr><th style="text-align:left">{_escaped(name)}</th><td style="text-align:left">{_value(value)}</td></tr>'
        for name, value in attributes
        if value is not None
    )
    return _titled(cells, type(shown).__name__)


class ShownInNotebooks:
    """Lets a notebook show an attrs object as a table of its fields."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        return html_fields(self)


def _titled(cells: str, caption: str) -> str:
    title = f'<caption style="text-align:left">{_escaped(caption)}</caption>' if caption else ""
    return f"<table>{title}<tbody>{cells}</tbody></table>"


def _value(value: Any) -> str:
    return _escaped(str(getattr(value, "value", value)))


def _escaped(text: str) -> str:
    return html.escape(printable(text))


def counted(number: int, one: str, many: str) -> str:
    """Returns a number with its noun."""
    return f"{number:,} {one if number == 1 else many}"


def listed(counts: Mapping[str, int]) -> str:
    """Returns counts by name, the largest first."""
    return ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items(), key=lambda entry: -entry[1]))


def nearest(word: str, known: Iterable[str], *, spelled: Callable[[str], str] = str, cutoff: float = 0.6) -> str | None:
    """Returns the name that a misspelled name probably means, `None` when no name is similar.

    Args:
        word: the misspelled name.
        known: the names to choose from.
        spelled: turns a name into the spelling in which names are compared.
        cutoff: how similar they must be, from 0 to 1.
    """
    names = {spelled(name): name for name in known}
    near = difflib.get_close_matches(spelled(word), names, n=1, cutoff=cutoff)
    return names[near[0]] if near else None
