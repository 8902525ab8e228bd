"""Mirrors: a list is made to hold what a source does, by its changes since the last time; snapshots remember the list.

`mirror_contact_list(..., snapshot=path)` makes them.
"""

from criteo_audiences.mirrors.options import Baseline, MirrorOptions, MirrorSettings
from criteo_audiences.mirrors.summaries import (
    MirrorReport,
    SnapshotState,
    SnapshotSummary,
    describe_snapshot,
    forget,
    list_snapshots,
    remove_snapshot,
    snapshot_directory,
)

__all__ = [
    "Baseline",
    "MirrorOptions",
    "MirrorReport",
    "MirrorSettings",
    "SnapshotState",
    "SnapshotSummary",
    "describe_snapshot",
    "forget",
    "list_snapshots",
    "remove_snapshot",
    "snapshot_directory",
]
