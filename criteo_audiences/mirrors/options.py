"""The options of a mirror, and the guard that checks its numbers before the first call; without I/O."""

from collections.abc import Mapping
from enum import StrEnum
from fractions import Fraction
from pathlib import Path
from typing import Any, Final, Required

from attrs import field, frozen

from criteo_audiences.errors import ConfigurationError, MirrorRefusedError
from criteo_audiences.tables.engine.comparison import Difference
from criteo_audiences.tables.files.paths import ends_as_directory, written_path
from criteo_audiences.tables.table import FilePath
from criteo_audiences.uploads import UploadOptions, UploadReport
from criteo_audiences.uploads.options import Options
from criteo_audiences.validation import require_range, require_text

_UPLOADS_ONLY: Final = {
    "operation": "a mirror adds and removes",
    "columns": "a list holds one kind of identifier: name it with identifier_type, and its column with column",
    "dedupe": "a mirror always sends each identifier once",
    "resume": "a mirror always goes on from what was acknowledged",
    "ledger": "a mirror keeps journals of its changes",
    "flush_after": "a mirror sends nothing before its source has ended",
}


class Baseline(StrEnum):
    """What a first mirror may assume of a list, because Criteo cannot say what it holds."""

    EMPTY = "empty"
    """It holds nothing: everything is added."""
    UNKNOWN = "unknown"
    """It may hold anything: everything is added, and nothing is removed that no mirror has added."""
    ASSUME_CURRENT = "assume-current"
    """It holds what the source holds: nothing is sent."""


class MirrorOptions(UploadOptions, total=False):
    """The keywords of `mirror_contact_list`: those of an upload, and these.

    `operation`, `columns`, `dedupe`, `resume`, `ledger` and `flush_after` are of uploads only. `journal` is a directory
    here: where the journals of the two uploads are while it runs (default: next to the snapshot). Its hidden register
    is asked, too, which snapshot of the list is the newest.

    Attributes:
        snapshot: file that says what the list holds, as far as Criteo has acknowledged it. A mirror compares its
            source with it and replaces it. Only its owner can read it. It holds digests where digests are sent, and
            otherwise **the identifiers themselves**.
        baseline: what a first mirror assumes of the list. `empty`: it holds nothing, so all is added. `unknown`: the
            same, and what it holds besides stays. `assume-current`: it holds what the source does, so nothing is sent.
            Where a snapshot exists it is refused, so that it cannot stay in a scheduled command.
        max_removals: share of the snapshot that may be removed, 0 to 1. Beyond it, and where the source is empty, the
            mirror is refused before its first call. An empty source also needs `allow_empty`.
    """

    snapshot: Required[FilePath]
    baseline: Baseline | str | None
    max_removals: float


def _baseline(value: object) -> Baseline | None:
    if value is None:
        return None
    try:
        return Baseline(str(value).replace("_", "-").lower())
    except ValueError:
        raise ConfigurationError(f"baseline must be one of: {', '.join(Baseline)}.") from None


def _snapshot(value: object) -> Path:
    path = require_text(str(value) if isinstance(value, Path) else value, "snapshot")
    if ends_as_directory(path) or Path(path).is_dir():
        raise ConfigurationError("snapshot must name a file, not a directory; add the file's name.")
    return written_path(path, "snapshot")


def _journals(value: object) -> Path | None:
    if value is None:
        return None
    path = written_path(require_text(str(value) if isinstance(value, Path) else value, "journal"), "journal")
    if path.exists() and not path.is_dir():
        raise ConfigurationError("journal must name a directory for a mirror, which keeps two journals in it.")
    return path


@frozen(kw_only=True)
class MirrorSettings:
    """The checked keywords of a mirror.

    Attributes:
        snapshot: path of the snapshot.
        baseline: what a first mirror assumes about the list.
        max_removals: share of the snapshot that may be removed.
        journals: directory of the journals; `None` for the snapshot's own.
        upload: the keywords of its uploads.
        options: the same keywords, checked.
    """

    snapshot: Path = field(converter=_snapshot)
    baseline: Baseline | None = field(default=None, converter=_baseline)
    max_removals: float = 0.2
    journals: Path | None = field(default=None, converter=_journals)
    upload: Mapping[str, Any] = field(repr=False)
    options: Options = field(init=False, repr=False)

    @options.default
    def _checked(self) -> Options:
        return Options(**self.upload)

    def __attrs_post_init__(self) -> None:
        require_range(self.max_removals, "max_removals", least=0, most=1, hint="It is a share: 0.05 is 5 %.")

    @classmethod
    def of(cls, keywords: Mapping[str, Any]) -> "MirrorSettings":
        """Reads the keywords of `mirror_contact_list`.

        Raises:
            ConfigurationError: when one is missing, wrong, or of uploads only.
        """
        for name, reason in _UPLOADS_ONLY.items():
            if name in keywords:
                raise ConfigurationError(f"{name} does not go with a mirror: {reason}.")
        if keywords.get("snapshot") is None:
            raise ConfigurationError("snapshot must name the file that remembers what the list holds.")
        own = {"snapshot", "baseline", "max_removals", "journal"}
        given = {name: value for name, value in keywords.items() if name in own}
        return cls(
            **{"journals" if name == "journal" else name: value for name, value in given.items()},
            upload={name: value for name, value in keywords.items() if name not in own},
        )


def require_baseline(path: Path, baseline: Baseline | None, *, exists: bool, is_known: bool) -> None:
    """Requires a baseline for a first mirror, and refuses it for any other.

    Args:
        path: the path of the snapshot.
        baseline: what the caller assumes about the list.
        exists: whether the snapshot exists.
        is_known: whether a register knows an earlier snapshot of the list.

    Raises:
        ConfigurationError: when it is missing or not allowed; says what to give or to leave out.
    """
    if exists and baseline is not None:
        raise ConfigurationError(
            f"baseline={baseline.value} is for a first mirror, but the snapshot {path} exists: leave it out."
        )
    if exists or baseline is not None:
        return
    if is_known:
        raise ConfigurationError(
            f"There is no snapshot {path}, though the list was mirrored before: bring it back, or give "
            "baseline=unknown, which adds everything and removes nothing."
        )
    raise ConfigurationError(
        f"There is no snapshot {path}: say what the list holds, with baseline=empty, baseline=unknown (adds all, "
        "removes none) or baseline=assume-current (sends nothing)."
    )


def require_harmless(
    difference: Difference, source: UploadReport, *, held: int, max_removals: float, allow_empty: bool
) -> None:
    """Refuses a mirror that would remove too much, for example because of a failed query or a wrong file.

    Args:
        difference: the changes that it would make.
        source: the report on reading the source.
        held: number of identifiers in the snapshot.
        max_removals: share of them that may be removed.
        allow_empty: whether the source may be empty.

    Raises:
        MirrorRefusedError: when it is refused; contains the numbers.
    """
    reason = None
    if not difference.added + difference.unchanged and not allow_empty:
        reason = (
            f"the source holds no identifier ({source.read:,} rows read, {source.rejected_total:,} rejected), and the "
            f"list holds {held:,}; give allow_empty if that is right"
        )
    elif difference.removed > Fraction(max_removals) * held:
        reason = (
            f"it would remove {difference.removed:,} of {held:,} identifiers "
            f"({difference.removed / held:.1%}) and add {difference.added:,}; max_removals={max_removals:g} allows "
            f"{int(Fraction(max_removals) * held):,}"
        )
    elif source.rejected_total > Fraction(source.max_rejected) * source.read:
        reason = (
            f"{source.rejected_total:,} of the {source.read:,} rows read were rejected, more than "
            f"max_rejected={source.max_rejected:g} allows"
        )
    if reason is not None:
        raise MirrorRefusedError(
            f"The mirror was refused: {reason}. Nothing was sent.",
            added=difference.added,
            removed=difference.removed,
            unchanged=difference.unchanged,
        )
