"""Policies: limits on the counts of a report, upper (`rejected>1%`) or lower (`sent<1000`); beyond one, it fails."""

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

from attrs import frozen

from criteo_audiences.errors import ConfigurationError
from criteo_audiences.identifiers import RejectReason
from criteo_audiences.rendering import nearest

_SUBJECTS: Final = (
    "rejected",
    "duplicates",
    "suppressed",
    "unusable_opt_outs",
    "invalid",
    "unreported",
    "failed",
    "unknown",
    "any",
    "read",
    "sent",
)
_FLOORS: Final = frozenset({"read", "sent"})
"""Subjects with a lower limit; all others have an upper limit."""

_OF_OPT_OUTS: Final = frozenset({"unusable_opt_outs"})
_OF_SENT: Final = frozenset({"invalid", "unreported", "failed", "unknown"})
_UNBOUNDED: Final = frozenset({"failed", "unknown"})
_REASON: Final = "rejected."
_KNOWN: Final = (*_SUBJECTS, *(_REASON + reason.value for reason in RejectReason))
_BOUND = re.compile(r"(?P<sign>[<>])\s*(?:(?P<percent>[0-9]{1,3}(?:\.[0-9]{1,9})?)\s*%|(?P<count>[0-9]{1,15}))")
_MOST_PERCENT: Final = 100


@frozen(kw_only=True)
class Policy:
    """A limit on one count of a report.

    Attributes:
        subject: the name of the count, such as `rejected`, or `rejected.no_at_sign` for one reason.
        percent: the limit as a share of the rows read, the identifiers sent or the opt-outs; `None` if it is a count.
        most: the limit as a count: the largest allowed one, or the smallest for `read` and `sent`.
    """

    subject: str
    percent: Decimal | None = None
    most: int = 0

    def __str__(self) -> str:
        bound = str(self.most) if self.percent is None else f"{self.percent.normalize():f}%"
        return f"{self.subject}{'<' if self.is_floor else '>'}{bound}"

    @property
    def is_floor(self) -> bool:
        """Whether it fails on too few, not on too many."""
        return self.subject in _FLOORS

    @property
    def whole(self) -> str:
        """What the share refers to, in words for a message."""
        if self.subject in _OF_OPT_OUTS:
            return "opt-outs"
        return "identifiers sent" if self.subject in _OF_SENT else "rows"

    def allowed(self, rows: int, parts: int = 1) -> Fraction:
        """Returns the limit for this many rows, or uploads; as a fraction, because floats would round."""
        return Fraction(self.most * parts) if self.percent is None else Fraction(self.percent) / _MOST_PERCENT * rows

    def judge(self, counts: Mapping[str, int]) -> "Verdict":
        """Returns the verdict on a report.

        Args:
            counts: the report's counts by subject, and `identifiers` and `opt_outs`, to which shares refer.
        """
        whole = counts["identifiers" if self.subject in _OF_SENT else "read"]
        if self.subject in _OF_OPT_OUTS:
            whole = counts["opt_outs"] + counts[self.subject]
        return Verdict(policy=self, count=counts.get(self.subject, 0), rows=whole)


@frozen(kw_only=True)
class Verdict:
    """The verdict of a policy on a report.

    Attributes:
        policy: the policy.
        count: the report's count of the policy's subject.
        rows: the number of rows read, identifiers sent or opt-outs that a share refers to.
        parts: number of uploads added up; a limit that is a count applies once per upload.
    """

    policy: Policy
    count: int
    rows: int
    parts: int = 1

    @property
    def ok(self) -> bool:
        """Whether the count is within the limit."""
        allowed = self.policy.allowed(self.rows, self.parts)
        return self.count >= allowed if self.policy.is_floor else self.count <= allowed

    def __str__(self) -> str:
        if not self.rows:
            return f"{self.policy}: {self.count:,} {self.policy.whole}"
        share = f" ({100 * self.count / self.rows:.3g}%)"
        uploads = f", in {self.parts} uploads" if self.parts > 1 else ""
        return f"{self.policy}: {self.count:,} of {self.rows:,} {self.policy.whole}{share}{uploads}"

    def to_dict(self) -> dict[str, Any]:
        """Returns JSON-safe values; `allowed` is the largest count within the limit, or the smallest."""
        allowed = self.policy.allowed(self.rows, self.parts)
        return {
            "policy": str(self.policy),
            "ok": self.ok,
            "count": self.count,
            "of": self.rows,
            "allowed": math.ceil(allowed) if self.policy.is_floor else math.floor(allowed),
        }

    def __add__(self, other: "Verdict") -> "Verdict":
        return Verdict(
            policy=self.policy,
            count=self.count + other.count,
            rows=self.rows + other.rows,
            parts=self.parts + other.parts,
        )


def added(one: Iterable[Verdict], other: Iterable[Verdict]) -> tuple[Verdict, ...]:
    """Adds up the verdicts of each policy; a report without a verdict of a policy does not count for it."""
    found: dict[Policy, Verdict] = {}
    for verdict in (*one, *other):
        before = found.get(verdict.policy)
        found[verdict.policy] = verdict if before is None else before + verdict
    return tuple(found.values())


def policies_of(value: object) -> tuple[Policy, ...]:
    """Returns policies, without repetitions, from a text with commas between them or from several such texts.

    Raises:
        ConfigurationError: when a text is no policy; says what is allowed, and never shows the text, which may be data.
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
    word, rest = _divided(text)
    where = f"fail_on, policy {number}"
    if word not in _KNOWN:
        raise ConfigurationError(f"{where}: {_expected(word)}")
    if not rest and word not in _FLOORS:
        return Policy(subject=word)
    found = _BOUND.fullmatch(rest)
    if found is None or not _is_apt(word, found):
        raise ConfigurationError(f"{where}: {_expected_after(word)}")
    policy = Policy(
        subject=word,
        percent=Decimal(found["percent"]) if found["percent"] else None,
        most=int(found["count"] or 0),
    )
    if word in _UNBOUNDED and policy != Policy(subject=word):
        raise ConfigurationError(f"{where}: {word!r} takes no bound, because a single one fails every upload.")
    return policy


def _is_apt(word: str, bound: re.Match[str]) -> bool:
    """Whether a bound fits a word: the sign is right, and a share is at most 100 % and not of `read`."""
    if bound["sign"] != ("<" if word in _FLOORS else ">"):
        return False
    return bound["percent"] is None or (word != "read" and Decimal(bound["percent"]) <= _MOST_PERCENT)


def _divided(text: str) -> tuple[str, str]:
    """Divides a policy into its subject, in our spelling, and the rest."""
    word = re.match(r"[^<>=!:\s]*", text := text.strip())
    end = word.end() if word else 0
    return text[:end].lower().replace("-", "_"), text[end:].strip()


def _expected(word: str) -> str:
    near = nearest(word, _KNOWN)
    hint = f"; did you mean {near!r}?" if near else "."
    return (
        f"expected one of {', '.join(_SUBJECTS)}, or rejected and a reason as in 'rejected.no_at_sign', alone or with "
        f"a bound as in 'rejected>1%', 'invalid>100' or 'sent<1000'{hint}"
    )


def _expected_after(word: str) -> str:
    sign = "<" if word in _FLOORS else ">"
    if word == "read":
        return f"after {word!r} expected {sign!r} and a whole number, such as 'read<1'."
    return (
        f"after {word!r} expected {sign!r} and a share up to 100% or a whole number, such as '{word}{sign}1%' or "
        f"'{word}{sign}100'."
    )


def refuse_duplicates(policies: Iterable[Policy]) -> None:
    """Refuses a policy on duplicates for an upload that does not search for them, because it would never fail.

    Raises:
        ConfigurationError: when there is one.
    """
    if any(policy.subject == "duplicates" for policy in policies):
        raise ConfigurationError("fail_on='duplicates' needs dedupe=True: de-duplication is off for this source.")
