"""An upload that is killed and disturbed until it is complete, and what must be true of it all the while."""

import asyncio
import hashlib
import json
import os
import random
import shutil
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from attrs import define, field, frozen
from uploading import Task, operate, run

from criteo_audiences.sandbox import Fault, RecordedRequest, Sandbox

BATCHES: Final = 40
BATCH_SIZE: Final = 25
_MOST_RUNS: Final = 400
_LISTS: Final = "/contact-list"
_BETWEEN: Final = ("clear", "add", "remove", "upload", "restore")
_HARMLESS: Final = ("add", "upload")
_LANES: Final = ("table", "list", "generator", "async")

_GARBAGE: Final = (
    b"",
    b"\xff\x00\xfe garbage",
    b"[]",
    b'{"data": 7}',
    b'{"data": {"attributes": {"requestDate": "yesterday"}}}',
    b"<html>502</html>",
)
FAULTS: Final[Sequence[dict[str, Any]]] = (
    {"drop_connection": True, "at": 0.0},
    {"drop_connection": True, "at": 0.5},
    {"drop_connection": True, "at": 1.0},
    {"lose_reply": True},
    {"lose_reply": True, "at": "half-head"},
    {"lose_reply": True, "at": "head"},
    {"lose_reply": True, "at": "half-body"},
    {"lose_reply": True, "at": "answered"},
    {"stall": 0.05, "at": 0.5},
    {"stall": 0.6, "at": "head"},
    {"stall": 0.6, "at": "handled"},
    *({"body": garbage, "handle_first": True} for garbage in _GARBAGE),
    {"raw": b"220 mail.example.com ESMTP\r\n"},
    {"raw": b"HTTP/1.1 200", "handle_first": True},
    {"padded_to": 200_000, "chunked": True},
    *({"status": status} for status in (408, 500, 502, 503, 504, 503)),
    {"status": 503, "headers": {"Retry-After": "0"}},
    {"status": 429, "headers": {"Retry-After": "0"}},
    {"status": 429, "rate_limit_headers": False},
    {"status": 401},
)


@define
class Figures:
    """What was done and what came of it, over all stories."""

    stories: int = 0
    runs: int = 0
    kills: int = 0
    faults: int = 0
    calls: int = 0
    repeated_after_kills: int = 0
    most_repeated: int = 0
    lost: int = 0
    surplus: int = 0
    acknowledged_sent_again: int = 0
    beyond_in_flight: int = 0
    wrong_reports: int = 0
    resumed_unasked: int = 0
    resumed_by_consent: int = 0
    not_resumed: int = 0
    between: Counter[str] = field(factory=Counter)
    endings: Counter[str] = field(factory=Counter)

    @property
    def clean(self) -> bool:
        """Whether nothing was lost, repeated without need, or reported wrongly."""
        again = self.acknowledged_sent_again or self.beyond_in_flight or self.resumed_unasked
        return not (self.lost or self.surplus or again or self.wrong_reports)

    def __str__(self) -> str:
        return "\n".join(
            (
                f"uploads of {BATCHES} batches             {self.stories:>7,}",
                f"runs                               {self.runs:>7,}",
                f"kills                              {self.kills:>7,}",
                f"faults met                         {self.faults:>7,}",
                f"calls                              {self.calls:>7,}",
                f"batches sent again after a kill    {self.repeated_after_kills:>7,}  (after one kill: {self.most_repeated})",
                f"  more than were in flight         {self.beyond_in_flight:>7,}",
                f"identifiers lost                   {self.lost:>7,}",
                f"identifiers nobody sent            {self.surplus:>7,}",
                f"acknowledged batches sent again    {self.acknowledged_sent_again:>7,}",
                f"wrong reports                      {self.wrong_reports:>7,}",
                f"resumed over something unasked     {self.resumed_unasked:>7,}  (begun anew: {self.not_resumed}, resumed by consent: {self.resumed_by_consent})",
                "in between: " + ", ".join(f"{name} {count}" for name, count in self.between.most_common()),
                "ended by " + ", ".join(f"{name} {count}" for name, count in self.endings.most_common()),
            )
        )


@frozen
class Plan:
    """What happens in a story: all of it follows from its seed.

    Attributes:
        seed: of the generator.
        kills: processes to kill.
        faults: calls to disturb.
        state: the user's state directory.
    """

    seed: int
    kills: int
    faults: int
    state: Path


class Story:
    """One upload, run again and again until it is complete.

    Args:
        plan: what happens.
        directory: for its files.
        figures: what is counted.
        context: starts processes.
    """

    def __init__(self, plan: Plan, directory: Path, figures: Figures, context: Any) -> None:
        self._random = random.Random(plan.seed)
        self._plan = plan
        self._directory = directory
        self._figures = figures
        self._context = context
        self._lane = self._random.choice(_LANES)
        self._concurrency = self._random.choice((1, 2, 4))
        self._faults_left = plan.faults
        self._kills_left = plan.kills
        self._kill_at: int | None = None
        self._calls_of_run = 0
        self._process: Any = None
        self._was_killed = False
        self._is_between = False
        self._anew_from = 0
        self._strangers: set[str] = set()
        self._obstacle: str | None = None  # the run that must not be continued unasked
        self._may_consent = True
        self._copy: str | None = None
        self._numbers: dict[int, int] = {}
        self._path = directory / "crm.csv"
        self._rows = list(self._write())

    async def tell(self) -> None:
        """Runs the story to its end, and counts."""
        skew = self._random.choice((0, 0, -300, 300))
        async with Sandbox(rate_limit=None, clock=lambda: time.time() + skew) as sandbox:
            await self._learn_the_batches(sandbox)
            segment_id = sandbox.add_contact_list()
            sandbox.fail_with(lambda call: self._disturb(sandbox, call))
            for _ in range(_MOST_RUNS):
                if await self._run(sandbox, segment_id):
                    break
            else:
                self._figures.wrong_reports += 1
            held = sandbox.contact_list(segment_id).identifiers
        expected = {hashlib.sha256(row.encode()).hexdigest() for row in self._rows}
        self._figures.lost += len(expected - held)
        self._figures.surplus += len(held - expected - self._strangers)
        self._figures.stories += 1

    def _write(self) -> Iterator[str]:
        """Writes an export with every sort of row, and yields the identifiers that it stands for."""
        lines = ["email"]
        for number in range(BATCHES * BATCH_SIZE):
            address = f"c{number}.{self._plan.seed}@example.com"
            lines.append(self._random.choice((address, address.upper(), f" {address}")))
            if not number % 9:
                lines.append("no address")
            if not number % 7:
                lines.append(address)
            yield address
        self._path.write_text("\n".join(lines), encoding="utf-8")

    def _task(self, sandbox: Sandbox, segment_id: str, name: str, **options: Any) -> Task:
        chosen = {"hash": "sha256", "batch_size": BATCH_SIZE, "dedupe": True, "threads": 1, **options}
        return Task(
            url=sandbox.url,
            client_id=sandbox.client_id,
            client_secret=sandbox.client_secret,
            segment_id=segment_id,
            path=self._path,
            lane=self._lane,
            journal=self._directory / f"{name}.journal",
            report=self._directory / f"{name}.json",
            state=self._plan.state,
            options=chosen,
        )

    async def _learn_the_batches(self, sandbox: Sandbox) -> None:
        """Uploads once without a fault, one batch at a time, to tell the batches apart by what they carry."""
        await self._in_a_process(self._task(sandbox, sandbox.add_contact_list(), "reference", max_concurrency=1))
        digests = [call.digest for call in sandbox.requests if call.identifiers]
        self._numbers = {digest: number for number, digest in enumerate(digests, start=1) if digest is not None}
        if len(self._numbers) != BATCHES:
            raise AssertionError(f"{len(self._numbers)} batches arrived without faults, not {BATCHES}")

    async def _in_a_process(self, task: Task, what: str | None = None, identifiers: Sequence[str] = ()) -> None:
        target, arguments = (run, (task,)) if what is None else (operate, (task, what, list(identifiers)))
        self._process = self._context.Process(target=target, args=arguments)
        self._process.start()
        while self._process.is_alive():  # noqa: ASYNC110 - multiprocessing has no event for it
            await asyncio.sleep(0.002)
        self._process.join()

    async def _come_between(self, task: Task) -> None:
        """Lets something else of this user operate on the list, or an old copy of the journal come back."""
        run_id = self._run_id(task.journal)
        if run_id is None or self._random.random() > 0.3:
            return
        what = self._random.choice(_BETWEEN)
        if what == "restore":
            if not self._restore(task.journal):
                return
        else:
            stranger = f"stranger{self._figures.between.total()}@example.com"
            if what in _HARMLESS:
                self._strangers.add(hashlib.sha256(stranger.encode()).hexdigest())
            self._is_between = True
            await self._in_a_process(task, what, [stranger] if what in _HARMLESS else self._rows[:BATCH_SIZE])
            self._is_between = False
            if self._process.exitcode:
                raise AssertionError(f"seed {self._plan.seed}: {what} failed")
        self._figures.between[what] += 1
        self._may_consent = self._may_consent and what in _HARMLESS
        self._obstacle = self._run_id(task.journal)

    def _restore(self, journal: Path) -> bool:
        """Brings back the copy made earlier, if another run has written to the journal since."""
        if self._copy is None or self._copy == self._mark(journal):
            return False
        for suffix in ("", "-wal", "-shm"):
            Path(f"{journal}{suffix}").unlink(missing_ok=True)
            if (copy := Path(f"{journal}{suffix}.copy")).exists():
                shutil.copy(copy, f"{journal}{suffix}")
        return self._run_id(journal) is not None

    def _keep_a_copy(self, journal: Path) -> None:
        """Copies a journal that is not in use, with its log."""
        if self._run_id(journal) is None or self._obstacle is not None or self._random.random() > 0.5:
            return
        self._copy = self._mark(journal)
        for suffix in ("", "-wal"):
            Path(f"{journal}{suffix}.copy").unlink(missing_ok=True)
            if Path(f"{journal}{suffix}").exists():
                shutil.copy(f"{journal}{suffix}", f"{journal}{suffix}.copy")

    def _mark(self, journal: Path) -> str | None:
        return next((mark for (mark,) in self._rows_of(journal, "SELECT mark FROM job")), None)

    def _run_id(self, journal: Path) -> str | None:
        """Returns which unfinished upload a journal holds, if it has sent something of it."""
        if not self._acknowledged(journal):
            return None
        return next((run for (run,) in self._rows_of(journal, "SELECT run_id FROM job WHERE completed IS NULL")), None)

    def _hold_against_the_obstacle(self, task: Task, consents: bool) -> None:  # noqa: FBT001 - one caller
        """After something came in between, an upload is begun anew unless its user consents to go on."""
        if self._obstacle is None:
            return
        begun_anew = (self._obstacle,) not in self._rows_of(task.journal, "SELECT run_id FROM job")
        report = json.loads(task.report.read_text(encoding="utf-8"))["report"] if task.report.exists() else None
        if consents:
            self._figures.resumed_by_consent += bool(report and report["resumed"])
            self._figures.wrong_reports += begun_anew
            self._obstacle = self._obstacle if report is None else None
        elif begun_anew:
            self._figures.not_resumed += 1
            self._obstacle, self._may_consent = None, True
        elif report is not None and report["resumed"]:
            self._figures.resumed_unasked += 1
            print(f"seed {self._plan.seed}: resumed unasked after something came in between: {report}")

    async def _run(self, sandbox: Sandbox, segment_id: str) -> bool:
        """Runs the upload once; returns whether it is complete."""
        task = self._task(sandbox, segment_id, "upload", max_concurrency=self._concurrency)
        await self._come_between(task)
        consents = self._obstacle is not None and self._may_consent and self._random.random() < 0.5
        if consents:
            task.options["resume"] = True
        earlier, acknowledged = self._calls(sandbox, segment_id), self._acknowledged(task.journal)
        if self._obstacle is not None and not consents:  # all is sent anew: what had arrived before says nothing
            self._anew_from, acknowledged = len(earlier), set()
        arrived = self._batches([call for call in earlier[self._anew_from :] if call.acknowledged])
        task.report.unlink(missing_ok=True)
        self._calls_of_run = 0
        self._kill_at = self._random.randrange(1, 20) if self._kills_left else None
        timer = self._kill_by_time()
        await self._in_a_process(task)
        timer.cancel()
        self._figures.runs += 1
        calls = self._calls(sandbox, segment_id)[len(earlier) :]
        self._figures.calls += len(calls)
        sent = self._batches(calls)
        if again := sent & acknowledged:
            self._figures.acknowledged_sent_again += len(again)
            report = task.report.read_text(encoding="utf-8") if task.report.exists() else "killed"
            print(f"seed {self._plan.seed}: acknowledged, sent again: {sorted(again)}; {self._lane}; {report}")
        if self._was_killed:
            repeated = len(sent & arrived)
            self._figures.repeated_after_kills += repeated
            self._figures.most_repeated = max(self._figures.most_repeated, repeated)
            self._figures.beyond_in_flight += max(0, repeated - self._concurrency)
        self._was_killed = self._process.exitcode == -signal.SIGKILL
        self._hold_against_the_obstacle(task, consents)
        self._keep_a_copy(task.journal)
        if self._was_killed:
            self._figures.kills += 1
            self._kills_left -= 1
            ended = self._is_completed(task.journal)  # it was killed when all was done: another run would begin anew
            self._figures.endings["SIGKILL after its end" if ended else "SIGKILL"] += 1
            return ended
        return self._judge(task, calls, sandbox, segment_id)

    def _kill_by_time(self) -> asyncio.TimerHandle:
        """Kills some runs at any moment, also before the first call and while nothing is under way."""
        loop = asyncio.get_running_loop()
        delay = self._random.random() * 0.4 if self._kills_left and self._random.random() < 0.3 else 3_600
        return loop.call_later(delay, self._kill)

    def _kill(self) -> None:
        if self._process is not None and self._process.is_alive() and self._kills_left:
            os.kill(self._process.pid, signal.SIGKILL)

    def _disturb(self, sandbox: Sandbox, call: RecordedRequest) -> Fault | None:
        """Says what goes wrong with a call."""
        if _LISTS not in call.path or self._is_between:
            return None
        self._calls_of_run += 1
        if self._calls_of_run == self._kill_at:
            asyncio.get_running_loop().call_later(self._random.choice((0, 0.001, 0.005)), self._kill)
        if not self._faults_left or self._random.random() > 0.25:
            return None
        self._faults_left -= 1
        self._figures.faults += 1
        if self._random.random() < 0.06:
            self._random.choice((sandbox.expire_tokens, sandbox.revoke_tokens))()
            return None
        chosen = self._random.choice(FAULTS)
        return Fault(**chosen)

    def _acknowledged(self, journal: Path) -> set[int]:
        """Returns the batches that a journal has as acknowledged."""
        if not journal.exists():
            return set()
        rows = self._rows_of(journal, "SELECT number FROM batches WHERE state = 'acknowledged'")
        return {number for (number,) in rows}

    def _rows_of(self, journal: Path, query: str) -> list[Any]:
        with closing(sqlite3.connect(journal)) as db:
            return db.execute(query).fetchall()

    def _is_completed(self, journal: Path) -> bool:
        """Whether a journal has its upload as finished."""
        return journal.exists() and self._rows_of(journal, "SELECT 1 FROM job WHERE completed IS NOT NULL") != []

    def _calls(self, sandbox: Sandbox, segment_id: str) -> list[RecordedRequest]:
        """Returns the calls to a list so far."""
        return [call for call in sandbox.requests if f"/{segment_id}{_LISTS}" in call.path]

    def _batches(self, calls: Sequence[RecordedRequest]) -> set[int]:
        """Returns the batches that reached the server whole."""
        return {self._numbers[call.digest] for call in calls if call.digest in self._numbers}

    def _judge(self, task: Task, calls: Sequence[RecordedRequest], sandbox: Sandbox, segment_id: str) -> bool:
        """Holds a run's report against what the server saw and what the journal has."""
        ended = json.loads(task.report.read_text(encoding="utf-8"))
        self._figures.endings[ended["error"] or ("complete" if ended["report"]["ok"] else "incomplete")] += 1
        report = ended["report"]
        if report is None:
            return False
        faults = list(self._faults_of(report, calls, self._acknowledged(task.journal), sandbox, segment_id))
        is_complete = ended["error"] is None and report["ok"]
        if is_complete and (report["sent"], report["batches"]) != (BATCHES * BATCH_SIZE, BATCHES):
            faults.append("complete, but not all of it")
        self._figures.wrong_reports += bool(faults)
        for fault in faults:
            print(f"seed {self._plan.seed}: {fault}: {report}")
        return bool(is_complete)

    def _faults_of(
        self,
        report: dict[str, Any],
        calls: Sequence[RecordedRequest],
        acknowledged: set[int],
        sandbox: Sandbox,
        segment_id: str,
    ) -> Iterator[str]:
        """Says what a report gets wrong."""
        rejected = sum(report["rejected"].values())
        gone = rejected + (report["duplicates"] or 0) + report["suppressed"] + report["pending"]
        if report["read"] != report["sent"] + gone:
            yield "rows in do not add up"
        fates = ("valid", "invalid", "unreported", "failed", "unknown")
        if report["sent"] != sum(report[fate] for fate in fates):
            yield "rows out do not add up"
        if report["valid"] + report["unreported"] != len(acknowledged) * BATCH_SIZE:
            yield f"the journal has {len(acknowledged)} batches as acknowledged"
        held = sandbox.contact_list(segment_id).identifiers - self._strangers
        if report["valid"] > len(held):
            yield "more valid than the server holds"
        if report["calls"] < len(calls):
            yield f"the server saw {len(calls)} calls"
        if report["sent"] < len(self._batches(calls)) * BATCH_SIZE:
            yield f"{len(self._batches(calls))} batches reached the server"
