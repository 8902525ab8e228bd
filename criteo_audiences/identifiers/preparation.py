"""Prepares values for sending, a slice at a time, and drops duplicates, in sources of any length."""

from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Final, cast

from attrs import define, field

from criteo_audiences.errors import InvalidIdentifierError
from criteo_audiences.identifiers.opt_outs import OptOuts
from criteo_audiences.identifiers.raw_values import RejectReason, is_hashed
from criteo_audiences.identifiers.rules import EMAIL_RULE, Rule
from criteo_audiences.models import HashAlgorithm
from criteo_audiences.validation import no_text

_SHARDS: Final = 4096
_FEWEST_SLOTS: Final = 8


class Fingerprints:
    """Remembers identifiers by a 64-bit keyed fingerprint, in 11 to 21 bytes each.

    It uses many small tables with open addressing. Each table grows on its own, in well under a millisecond, so that
    the caller's event loop never waits for ten million entries to move. The fingerprint is the interpreter's own string
    hash (SipHash, with a new key in every process). The probability that two different identifiers share one is
    n² / 2⁶⁵: 2 in a million for a list of 8 million.
    """

    def __init__(self) -> None:
        self._tables = [array("Q", bytes(8 * _FEWEST_SLOTS)) for _ in range(_SHARDS)]
        self._filled = [0] * _SHARDS

    def __len__(self) -> int:
        return sum(self._filled)

    def __repr__(self) -> str:
        return f"Fingerprints({len(self):,} identifiers)"

    def add(self, identifier: str) -> bool:
        """Adds an identifier; returns whether it was new."""
        fingerprint = (hash(identifier) & 0xFFFF_FFFF_FFFF_FFFF) or 1  # 0 marks a free slot
        shard = fingerprint & (_SHARDS - 1)
        table = self._tables[shard]
        mask = len(table) - 1
        slot = (fingerprint >> 12) & mask
        while (found := table[slot]) != fingerprint:
            if not found:
                table[slot] = fingerprint
                self._count(shard)
                return True
            slot = (slot + 1) & mask
        return False

    def _count(self, shard: int) -> None:
        filled = self._filled[shard] = self._filled[shard] + 1
        slots = len(self._tables[shard])
        # All tables fill at the same pace. Each one grows at a different load between 5/8 and 6/8, to spread the work.
        if filled * 8 * _SHARDS > slots * (5 * _SHARDS + shard):
            self._tables[shard] = _grown(self._tables[shard])


def _grown(table: "array[int]") -> "array[int]":
    slots = len(table) * 2
    larger = array("Q", bytes(8 * slots))
    mask = slots - 1
    for fingerprint in table:
        if fingerprint:
            slot = (fingerprint >> 12) & mask
            while larger[slot]:
                slot = (slot + 1) & mask
            larger[slot] = fingerprint
    return larger


def is_missing(value: object) -> bool:
    """Whether a value is missing: `None`, NaN, or pandas's `pd.NA` or `pd.NaT`."""
    if value is None or (isinstance(value, float) and value != value):  # noqa: PLR0124 - only NaN does
        return True
    kind = type(value)
    return kind.__name__ in {"NAType", "NaTType"} and kind.__module__.partition(".")[0] == "pandas"


@define(kw_only=True)
class RowCounts:
    """Counts of the rows read so far: each row is sent, or counted in one of these.

    Attributes:
        read: rows read.
        rejected: rows without a valid identifier, by reason.
        suppressed: rows with an identifier that has opted out.
        duplicates: rows dropped as duplicates; `None` if de-duplication is off.
        already_hashed: identifiers that the source contains as digests, which are sent unchanged, in lower case.
    """

    read: int = 0
    rejected: Counter[RejectReason] = field(factory=Counter)
    suppressed: int = 0
    duplicates: int | None = None
    already_hashed: int = 0


@define(kw_only=True)
class Preparation(RowCounts):
    """Normalizes, validates, hashes and optionally de-duplicates identifiers, and counts every row.

    `read` is the number of returned identifiers plus rejected, suppressed and duplicate rows. It applies each step to
    a whole slice of rows, which is twice as fast as row by row.

    Attributes:
        algorithm: how to hash; `None` sends the normalized value in clear, which Criteo matches best.
        rule: how the values are prepared.
        seen: remembers the identifiers that were returned; `None` does not drop duplicates.
        opt_outs: identifiers that must not be sent.
        on_reject: called for every rejected row, in order, with its position from 1, the reason and the value, which is
            empty if the source had none.
    """

    algorithm: HashAlgorithm | None
    rule: Rule = EMAIL_RULE
    seen: Fingerprints | None = None
    opt_outs: OptOuts | None = None
    on_reject: Callable[[int, RejectReason, str], object] | None = field(default=None, repr=False)

    def __attrs_post_init__(self) -> None:
        if self.seen is not None:
            self.duplicates = 0

    def prepare(self, values: Sequence[object]) -> list[str]:
        """Returns the identifiers to send for a slice of rows; blocks for about a microsecond per row.

        Rows for which the full rule is needed take longer; if that matters, pass at most `rule.slice_size` rows.

        Raises:
            TypeError: when a row is neither text nor missing (`None`, NaN, `pd.NA`); names the row and its type.
        """
        rows = self._present(values)
        texts = self.rule.tidied(rows)
        digests_before = self.already_hashed
        if odd := self.rule.find_odd(texts):
            texts = list(self._examined(rows, texts, odd))
        if self.opt_outs is not None:
            remaining = self.opt_outs.without(texts)
            self.suppressed += len(texts) - len(remaining)
            texts = remaining
        prepared = self._hashed(texts, some_are_digests=self.already_hashed > digests_before)
        return prepared if self.seen is None else self._without_duplicates(prepared, self.seen)

    def _present(self, values: Sequence[object]) -> Sequence[str]:
        """Returns the rows as text, with an empty text for missing values."""
        if set(map(type, values)) == {str}:
            self.read += len(values)
            return cast("Sequence[str]", values)
        present: list[str] = []
        for value in values:
            if isinstance(value, str):
                present.append(value)
            elif is_missing(value):
                present.append("")
            else:
                raise TypeError(f"row {self.read + 1:,} of the source: {no_text(value)}")
            self.read += 1
        return present

    def _examined(self, rows: Sequence[str], texts: Sequence[str], odd: Sequence[int]) -> Iterator[str]:
        """Yields the texts, after applying the full rule to the rows of an unusual form; drops rejected rows."""
        first = self.read - len(rows) + 1
        after = 0
        for position in odd:
            yield from texts[after:position]
            after = position + 1
            row = rows[position]
            if not row:
                self._reject(first + position, RejectReason.EMPTY, row)
                continue
            try:
                normalized = self.rule.normalize(row)
            except InvalidIdentifierError as error:
                self._reject(first + position, RejectReason(error.reason), row)
                continue
            if self.rule.algorithms:
                self.already_hashed += is_hashed(normalized)
            yield normalized
        yield from texts[after:]

    def _reject(self, position: int, reason: RejectReason, value: str) -> None:
        self.rejected[reason] += 1
        if self.on_reject is not None:
            self.on_reject(position, reason, value)

    def _hashed(self, texts: list[str], *, some_are_digests: bool) -> list[str]:
        """Hashes the values that are not digests already."""
        if self.algorithm is None:
            return texts
        if not some_are_digests:
            return self.rule.digests(texts, self.algorithm)
        kept = [is_hashed(text) for text in texts]
        clear = [text for text, is_digest in zip(texts, kept, strict=True) if not is_digest]
        digests = iter(self.rule.digests(clear, self.algorithm))
        return [text if is_digest else next(digests) for text, is_digest in zip(texts, kept, strict=True)]

    def _without_duplicates(self, prepared: list[str], seen: Fingerprints) -> list[str]:
        fresh = [identifier for identifier in prepared if seen.add(identifier)]
        self.duplicates = (self.duplicates or 0) + len(prepared) - len(fresh)
        return fresh
