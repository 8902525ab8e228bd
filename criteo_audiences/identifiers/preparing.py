"""From a source's raw values to the identifiers that go out; what does not go out is counted."""

from collections import Counter
from collections.abc import Callable, Iterable

from attrs import define, field

from criteo_audiences.errors import InvalidIdentifierError
from criteo_audiences.identifiers.email import fast_email, normalize_email
from criteo_audiences.identifiers.fingerprints import Fingerprints
from criteo_audiences.identifiers.hashing import DIGESTS, is_hashed
from criteo_audiences.identifiers.reasons import RejectReason
from criteo_audiences.models import HashAlgorithm


@define(kw_only=True)
class Preparation:
    """Normalizes, validates, hashes and, asked to, de-duplicates e-mails, and counts every row it was given.

    Attributes:
        algorithm: how to hash; `None` sends the normalized address in clear, which Criteo matches best.
        seen: remembers what went out already; `None` looks for no duplicates.
        read: rows taken in so far; `read = prepared + rejected + duplicates`.
        rejected: rows rejected, by reason.
        duplicates: rows whose identifier had gone out already.
        already_hashed: identifiers that came as digests and went out as they were, in lower case.
    """

    algorithm: HashAlgorithm | None
    seen: Fingerprints | None = None
    read: int = 0
    rejected: Counter[RejectReason] = field(factory=Counter)
    duplicates: int = 0
    already_hashed: int = 0

    def prepare(self, values: Iterable[object]) -> list[str]:
        """Returns the identifiers to send for a slice of rows; blocks for about 2 µs a row.

        Raises:
            TypeError: when a row is neither text nor missing (`None`, NaN); names the row and its type.
        """
        hasher = DIGESTS[self.algorithm] if self.algorithm else None
        prepared: list[str] = []
        for value in values:
            self.read += 1
            if not isinstance(value, str):
                self._require_missing(value)
                continue
            text = fast_email(value)
            if text is None:
                text = self._examine(value)
                if text is None:
                    continue
                if "@" not in text:
                    prepared.append(text)
                    continue
            prepared.append(hasher(text) if hasher else text)
        return self._without_duplicates(prepared) if self.seen is not None else prepared

    def _examine(self, value: str) -> str | None:
        """Takes a row that is not obviously an address through the full rule."""
        try:
            text = normalize_email(value)
        except InvalidIdentifierError as error:
            self.rejected[RejectReason(error.reason)] += 1
            return None
        if is_hashed(text):
            self.already_hashed += 1
        return text

    def _require_missing(self, value: object) -> None:
        if value is None or (isinstance(value, float) and value != value):  # noqa: PLR0124 - only NaN differs from itself
            self.rejected[RejectReason.EMPTY] += 1
            return
        self.read -= 1
        raise TypeError(f"row {self.read + 1:,} of the source: expected a str, found {type(value).__name__}")

    def _without_duplicates(self, prepared: list[str]) -> list[str]:
        add: Callable[[str], bool] = self.seen.add  # type: ignore[union-attr]
        fresh = [identifier for identifier in prepared if add(identifier)]
        self.duplicates += len(prepared) - len(fresh)
        return fresh
