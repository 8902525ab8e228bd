"""Policies: what must not happen to more than so many rows, or such a share of them, for an upload to be all right."""

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from fractions import Fraction
from types import MappingProxyType
from typing import Any, Final, Protocol

from attrs import frozen

from criteo_audiences.errors import ConfigurationError
from criteo_audiences.identifiers import RejectReason


class Counts(Protocol):
    """What policies look at: the counts of a report."""

    @property
    def read(self) -> int:
        """Rows read."""

    @property
    def rejected(self) -> Mapping[str, int]:
        """Rows rejected, by reason."""

    @property
    def rejected_total(self) -> int:
        """Rows rejected."""

    @property
    def duplicates(self) -> int | None:
        """Rows whose identifier went out already."""

    @property
    def suppressed(self) -> int:
        """Rows that have opted out."""

    @property
    def sent(self) -> int:
        """Identifiers put into calls."""

    @property
    def valid(self) -> int:
        """Identifiers accepted."""

    @property
    def invalid(self) -> int:
        """Identifiers refused."""

    @property
    def unreported(self) -> int:
        """Identifiers whose fate the counts leave open."""

    @property
    def failed(self) -> int:
        """Identifiers of calls that were refused."""

    @property
    def unknown(self) -> int:
        """Identifiers of calls without an answer."""


_SUBJECTS: Final[Mapping[str, Callable[[Counts], int]]] = MappingProxyType(
    {
        "rejected": lambda counts: counts.rejected_total,
        "duplicates": lambda counts: counts.duplicates or 0,
        "suppressed": lambda counts: counts.suppressed,
        "invalid": lambda counts: counts.invalid,
        "unreported": lambda counts: counts.unreported,
        "failed": lambda counts: counts.failed,
        "unknown": lambda counts: counts.unknown,
        "any": lambda counts: counts.rejected_total + counts.sent - counts.valid,
    }
)
_OF_SENT: Final = frozenset({"invalid", "unreported", "failed", "unknown"})
_UNBOUNDED: Final = frozenset({"failed", "unknown"})
_REASON: Final = "rejected."
_KNOWN: Final = (*_SUBJECTS, *(_REASON + reason.value for reason in RejectReason))
_BEYOND = re.compile(r">\s*(?:(?P<percent>[0-9]{1,3}(?:\.[0-9]{1,9})?)\s*%|(?P<most>[0-9]{1,15}))")
_MOST_PERCENT: Final = 100


@frozen(kw_only=True)
class Policy:
    """What must not happen, and how much of it is borne.

    Attributes:
        subject: what is counted, such as `rejected`, or `rejected.no_at_sign` for one reason.
        percent: share that is borne, of the rows read or of the identifiers sent; `None` bears a count.
        most: count that is borne.
    """

    subject: str
    percent: Decimal | None = None
    most: int = 0

    def __str__(self) -> str:
        return (
            f"{self.subject}>{self.most}" if self.percent is None else f"{self.subject}>{self.percent.normalize():f}%"
        )

    @property
    def whole(self) -> str:
        """What a share is of."""
        return "identifiers sent" if self.subject in _OF_SENT else "rows"

    def allowed(self, rows: int, parts: int = 1) -> Fraction:
        """Returns how much is borne of so many rows, or in so many uploads; a fraction, because floats would round."""
        return Fraction(self.most * parts) if self.percent is None else Fraction(self.percent) / _MOST_PERCENT * rows

    def judge(self, counts: Counts) -> "Verdict":
        """Returns what it finds in the counts of a report."""
        rows = counts.sent if self.subject in _OF_SENT else counts.read
        if self.subject.startswith(_REASON):
            return Verdict(policy=self, count=counts.rejected.get(self.subject.removeprefix(_REASON), 0), rows=rows)
        return Verdict(policy=self, count=_SUBJECTS[self.subject](counts), rows=rows)


@frozen(kw_only=True)
class Verdict:
    """What a policy found.

    Attributes:
        policy: the policy.
        count: how often what it forbids happened.
        rows: the rows read, or the identifiers sent, of which it did.
        parts: uploads that were added up, each of which may have the count that the policy bears.
    """

    policy: Policy
    count: int
    rows: int
    parts: int = 1

    @property
    def ok(self) -> bool:
        """Whether the policy bears it."""
        return self.count <= self.policy.allowed(self.rows, self.parts)

    def __str__(self) -> str:
        share = f" ({100 * self.count / self.rows:.3g}%)" if self.rows else ""
        uploads = f", in {self.parts} uploads" if self.parts > 1 else ""
        return f"{self.policy}: {self.count:,} of {self.rows:,} {self.policy.whole}{share}{uploads}"

    def to_dict(self) -> dict[str, Any]:
        """Returns JSON-safe values; `allowed` is the largest count that would be borne."""
        return {
            "policy": str(self.policy),
            "ok": self.ok,
            "count": self.count,
            "of": self.rows,
            "allowed": int(self.policy.allowed(self.rows, self.parts)),
        }

    def __add__(self, other: "Verdict") -> "Verdict":
        return Verdict(
            policy=self.policy,
            count=self.count + other.count,
            rows=self.rows + other.rows,
            parts=self.parts + other.parts,
        )


def added(one: Iterable[Verdict], other: Iterable[Verdict]) -> tuple[Verdict, ...]:
    """Adds up the verdicts of each policy over the reports that it was given for; it does not judge the others."""
    found: dict[Policy, Verdict] = {}
    for verdict in (*one, *other):
        before = found.get(verdict.policy)
        found[verdict.policy] = verdict if before is None else before + verdict
    return tuple(found.values())


def policies_of(value: object) -> tuple[Policy, ...]:
    """Returns policies, each once, from a text with commas between them or from several such texts.

    Raises:
        ConfigurationError: naming what may stand there; never showing what does, which may be misplaced data.
    """
    if value is None:
        return ()
    given = [value] if isinstance(value, str) or not isinstance(value, Iterable) else value
    policies = (entry if isinstance(entry, Policy) else _parsed(number, entry) for number, entry in _entries(given))
    return tuple(dict.fromkeys(policies))


def _entries(given: Iterable[object]) -> Iterator[tuple[int, object]]:
    texts = (each.split(",") if isinstance(each, str) else [each] for each in given)
    return enumerate((entry for listed in texts for entry in listed), start=1)


def _parsed(number: int, text: object) -> Policy:
    if not isinstance(text, str):
        raise ConfigurationError(f"fail_on must be a str or a list of str, not {type(text).__name__}.")
    word, behind = _divided(text)
    where = f"fail_on, policy {number}"
    if word not in _KNOWN:
        raise ConfigurationError(f"{where}: {_expected(word)}")
    if not behind:
        return Policy(subject=word)
    found = _BEYOND.fullmatch(behind)
    if found is None or Decimal(found["percent"] or 0) > _MOST_PERCENT:
        raise ConfigurationError(
            f"{where}: behind {word!r} expected '>' and a share up to 100% or a whole number, such as '{word}>1%' or "
            f"'{word}>100'."
        )
    policy = Policy(
        subject=word,
        percent=Decimal(found["percent"]) if found["percent"] else None,
        most=int(found["most"] or 0),
    )
    if word in _UNBOUNDED and policy != Policy(subject=word):
        raise ConfigurationError(f"{where}: {word!r} takes no bound, because a single one fails every upload.")
    return policy


def _divided(text: str) -> tuple[str, str]:
    """Divides a policy into its word, in our spelling, and what stands behind."""
    word = re.match(r"[^<>=!:\s]*", text := text.strip())
    end = word.end() if word else 0
    return text[:end].lower().replace("-", "_"), text[end:].strip()


def _expected(word: str) -> str:
    near = difflib.get_close_matches(word, _KNOWN, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    return (
        f"expected one of {', '.join(_SUBJECTS)}, or rejected and a reason as in 'rejected.no_at_sign', alone or with "
        f"a bound as in 'rejected>1%' or 'invalid>100'{hint}"
    )


def require_counted(policies: Iterable[Policy], *, dedupe: bool) -> None:
    """Refuses a policy about duplicates where nobody looks for them: it would find none, whatever there is.

    Raises:
        ConfigurationError: when there is one.
    """
    if not dedupe and any(policy.subject == "duplicates" for policy in policies):
        raise ConfigurationError("fail_on asks about duplicates, which nobody looks for here; give dedupe=True.")
