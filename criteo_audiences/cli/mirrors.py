"""`mirror`, `replace` and `snapshots`: a list that is to hold what a file does."""

import datetime as dt
import re
from collections.abc import Coroutine
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from criteo_audiences import Operation
from criteo_audiences.cli import login
from criteo_audiences.cli.journals import state_directory
from criteo_audiences.cli.options import (
    Owner,
    SegmentArgument,
    Service,
    ServiceArgument,
    YesOption,
    confirm,
    filled,
    grouped,
    one_of,
    service_of,
    share,
)
from criteo_audiences.cli.output import Exit, QuotaPlan, print_error, print_json, print_result, print_table
from criteo_audiences.cli.run import Run, run
from criteo_audiences.cli.uploads import FilesArgument, SourceOptions, announcement_of

if TYPE_CHECKING:  # slow to import: `--help` need not wait for it
    from criteo_audiences import CriteoClient, MirrorReport, Table
    from criteo_audiences.mirrors import SnapshotSummary

_UNFIT = re.compile(r"[^A-Za-z0-9_.-]")


class BaselineChoice(StrEnum):
    """What a first mirror assumes of a list."""

    EMPTY = "empty"
    UNKNOWN = "unknown"
    ASSUME_CURRENT = "assume-current"


SnapshotOption = Annotated[
    str | None,
    typer.Option(
        parser=filled,
        metavar="FILE",
        help="File that remembers what the list holds (default: in your state directory).",
    ),
]
BaselineOption = Annotated[
    BaselineChoice | None,
    typer.Option(
        parser=one_of(BaselineChoice),
        metavar="|".join(BaselineChoice),
        help="What a first mirror assumes that the list holds; refused where a snapshot exists.",
    ),
]
MaxRemovalsOption = Annotated[
    float,
    typer.Option(
        parser=share,
        metavar="SHARE",
        help="Share of the list that may be removed, such as 5%; beyond it nothing is sent.",
    ),
]
JournalOption = Annotated[
    str | None,
    typer.Option(parser=filled, metavar="DIRECTORY", help="Directory of the journals (default: the snapshot's)."),
]
DirectoryOption = Annotated[
    str | None,
    typer.Option(parser=filled, metavar="PATH", help="Directory of the snapshots (default: in your state directory)."),
]
NameArgument = Annotated[
    str, typer.Argument(parser=filled, metavar="NAME", help="Name as `snapshots list` shows it, or a path.")
]


_GAP = (
    "The list is empty, and then incomplete, until the upload has ended. What Criteo computes meanwhile (at 00:00 and "
    "12:00 UTC) finds it like that; mirror has no such gap."
)


def mirror(
    service: ServiceArgument,
    segment_id: SegmentArgument,
    files: FilesArgument,
    *,
    snapshot: SnapshotOption = None,
    baseline: BaselineOption = None,
    max_removals: MaxRemovalsOption = 0.2,
    journal: JournalOption = None,
    sending: SourceOptions,
    owner: Owner,
    state: Run,
) -> None:
    """Make a contact list hold what a file does, by sending only what has changed since the last time.

    The list is never emptied. --dry-run shows what would be added, removed and left, and what that takes of the quota.
    """
    state.reads_standard_input = "-" in files
    state.drains = 0.0 if sending.dry_run else sending.drain_timeout

    from criteo_audiences import Quota, Table  # noqa: PLC0415 - slow to import, and most commands read no file

    async def command() -> None:
        options = sending.keywords() | {"max_removals": max_removals}
        options["snapshot"] = snapshot or str(_place(None) / _name_of(service, segment_id))
        options |= {name: value for name, value in (("baseline", baseline), ("journal", journal)) if value is not None}
        options |= {service.owner: whose} if (whose := owner.of(service)) else {}
        table = Table.from_file(files)
        assumed = sending.dry_run and not login.is_set()
        async with login.stand_in() if assumed else login.client() as criteo:
            report = await mirror_table(criteo, state, service, segment_id, table, **options)
        plan = (
            QuotaPlan(calls=report.calls, quota=criteo.quota or Quota(), assumed=assumed) if sending.dry_run else None
        )
        show_mirror(report, state, plan)

    run(command, state)


async def mirror_table(
    criteo: "CriteoClient", state: Run, service: Service, segment_id: str, table: "Table", **options: Any
) -> "MirrorReport":
    """Mirrors a file with its progress shown.

    Args:
        criteo: the client.
        state: of the command.
        service: the service.
        segment_id: the contact list.
        table: the file.
        **options: the mirror's keywords.
    """
    with state.progress() as show:
        lists = service_of(criteo, service)
        report: MirrorReport = await lists.mirror_contact_list(segment_id, table, on_progress=show, **options)
    for note in report.notes:
        print_error(note)
    return report


def show_mirror(report: "MirrorReport", state: Run, plan: QuotaPlan | None = None) -> None:
    """Shows what a mirror did, or by a plan would do, and lets the command end accordingly."""
    if state.json:
        print_json(report.to_dict() | ({} if plan is None else {"plan": plan.to_dict(dt.datetime.now(dt.UTC))}))
    else:
        calls = "1 call" if report.calls == 1 else f"{report.calls:,} calls"
        rows = (
            ("read", report.source.read, f"{report.source.rejected_total:,} rejected"),
            ("  to add" if report.dry_run else "  added", report.added, ""),
            ("  to remove" if report.dry_run else "  removed", report.removed, ""),
            ("  unchanged", report.unchanged, calls),
            ("  uncertain", report.uncertain, "no answer; the next mirror sends them again"),
        )
        for label, count, remark in rows:
            if label != "  uncertain" or count:
                print_result(f"{label:<12}  {count:>13,}  {remark}")
        if plan is not None:
            print_result(plan.cost())
        print_result(_closing(report))
    if not report.ok:
        print_error(report.explain())
        state.code = Exit.INCOMPLETE


def _closing(report: "MirrorReport") -> str:
    if report.dry_run:
        return "Dry run: nothing was sent."
    live = max((each.live_from for each in (report.removals, report.additions) if each.live_from), default=None)
    return "Nothing has changed." if live is None else f"Live from about {live:%Y-%m-%d %H:%M} UTC."


def replace(
    service: ServiceArgument,
    segment_id: SegmentArgument,
    files: FilesArgument,
    *,
    yes: YesOption = False,
    sending: SourceOptions,
    owner: Owner,
    state: Run,
) -> None:
    """Clear a contact list and upload a file to it. Until that has ended the list is incomplete; see mirror.

    It is cleared right before the first batch, so a file that cannot be used leaves it as it is.
    """
    state.drains = 0.0 if sending.dry_run else sending.drain_timeout
    state.reads_standard_input, state.shows_notes = "-" in files, True

    from criteo_audiences import Quota, Table  # noqa: PLC0415 - see above

    def command() -> Coroutine[Any, Any, None]:
        options = sending.keywords() | ({service.owner: whose} if (whose := owner.of(service)) else {})
        table = Table.from_file(files)
        if not sending.dry_run and not (yes and state.quiet):
            print_error(_GAP)
        if not (yes or sending.dry_run):
            confirm(f"Replace everything in {service.value} segment {segment_id}?")
        return replaced(table, options)

    async def replaced(table: Table, chosen: dict[str, Any]) -> None:
        target = f"{service.value} segment {segment_id}"
        announcement = f"clear, then {announcement_of(table, Operation.ADD, chosen, target)}"
        async with login.client() as criteo:
            with state.progress() as show:
                show.note(announcement)
                lists = service_of(criteo, service)
                state.report = await lists.replace_contact_list(segment_id, table, on_progress=show, **chosen)
        if sending.dry_run and state.report is not None:
            calls = state.report.batches + 1
            state.plan = QuotaPlan(calls=calls, quota=criteo.quota or Quota(), assumed=False)

    run(command, state)


snapshots = typer.Typer(no_args_is_help=True, help="List, show and remove the snapshots of mirrored lists.")


@snapshots.command("list")
@grouped
def list_snapshots(*, directory: DirectoryOption = None, state: Run) -> None:
    """List the snapshots with what they are of and how many identifiers they hold."""

    async def command() -> None:
        from criteo_audiences import mirrors  # noqa: PLC0415 - slow to import

        found = mirrors.list_snapshots(_place(directory))
        if state.json:
            print_json({"ok": True, "snapshots": [_document(summary) for summary in found]})
            return
        header = ("name", "state", "service", "segment", "identifiers", "written")
        print_table(header, *(_row(summary) for summary in found))

    run(command, state)


@snapshots.command()
@grouped
def show(name: NameArgument, *, directory: DirectoryOption = None, state: Run) -> None:
    """Show which list a snapshot belongs to and verify its checksum; no identifier is shown."""

    async def command() -> None:
        from criteo_audiences import mirrors  # noqa: PLC0415 - slow to import

        document = _document(mirrors.describe_snapshot(_path_of(name, directory)))
        if state.json:
            print_json({"ok": True, **document})
            return
        width = max(map(len, document))
        for key, value in document.items():
            shown = f"{value:,}" if isinstance(value, int) else "none" if value is None else str(value)
            print_result(f"{key.replace('_', ' '):<{width}}  {shown}")

    run(command, state)


@snapshots.command()
@grouped
def remove(name: NameArgument, *, yes: YesOption = False, directory: DirectoryOption = None, state: Run) -> None:
    """Remove a snapshot: the next mirror of its list needs a baseline, and cannot remove what it does not know."""

    def command() -> Coroutine[Any, Any, None]:
        path = _path_of(name, directory)
        if not yes and path.exists():
            confirm(f"Remove the snapshot {path.name}?")
        return removed(path)

    async def removed(path: Path) -> None:
        from criteo_audiences import mirrors  # noqa: PLC0415 - slow to import

        mirrors.remove_snapshot(path)
        if state.json:
            print_json({"ok": True, "removed": [path.name]})
        else:
            print_result(f"removed {path.name}")

    run(command, state)


def _place(directory: str | None) -> Path:
    from criteo_audiences import mirrors  # noqa: PLC0415 - slow to import

    if directory is not None:
        return Path(directory)
    return mirrors.snapshot_directory() or state_directory()  # which says what is missing


def _path_of(name: str, directory: str | None) -> Path:
    path = Path(name)
    return path if len(path.parts) > 1 else _place(directory) / name


def _name_of(service: Service, segment_id: str) -> str:
    return f"{service.value}-{_UNFIT.sub('', segment_id)}.snapshot"


def _row(summary: "SnapshotSummary") -> tuple[str, ...]:
    written = f"{summary.written:%Y-%m-%d %H:%M} UTC" if summary.written else ""
    count = f"{summary.identifiers:,}"
    return (summary.path.name, summary.state.value, summary.service, summary.segment_id, count, written)


def _document(summary: "SnapshotSummary") -> dict[str, Any]:
    return {
        "name": summary.path.name,
        "state": summary.state.value,
        "service": summary.service,
        "host": summary.host,
        "segment_id": summary.segment_id,
        "identifier_type": summary.identifier_type,
        "hash": summary.hash,
        "baseline": summary.baseline,
        "identifiers": summary.identifiers,
        "uncertain": summary.uncertain,
        "generation": summary.generation,
        "written": summary.written.isoformat() if summary.written else None,
        "bytes": summary.size,
    }
