"""An upload that is killed and disturbed until it is complete, and what must be true of it all the while."""

import asyncio
import hashlib
import json
import os
import random
import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from attrs import frozen
from between import ADDING, KINDS, REMOVING, Interruption, JournalFile
from figures import BATCH_SIZE, BATCHES, Figures
from uploading import Task, operate, run

from criteo_audiences.sandbox import Fault, RecordedRequest, Sandbox

_MOST_RUNS: Final = 400
_LISTS: Final = "/contact-list"
_CUT: Final = 10
"""Calls of a run that get through before something comes in between for certain."""
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


@frozen
class Plan:
    """What happens in a story: all of it follows from its seed.

    Attributes:
        seed: of the generator.
        kills: processes to kill.
        faults: calls to disturb.
        state: the user's state directory.
        between: what comes in between for certain, once; `None` leaves that to chance.
        consents: whether the user then consents to go on.
    """

    seed: int
    kills: int
    faults: int
    state: Path
    between: str | None = None
    consents: bool = False

    def __str__(self) -> str:
        forced = "" if self.between is None else f", {self.between}{' and consent' * self.consents}"
        return f"seed {self.seed}{forced}"


class Story:
    """One upload, run again and again until it is complete.

    Args:
        plan: what happens.
        directory: for its files.
        figures: what is counted.
        context: starts processes.
    """

    def __init__(self, plan: Plan, directory: Path, figures: Figures, context: Any) -> None:
        self._random = random.Random(str(plan))
        self._plan = plan
        self._directory = directory
        self._figures = figures
        self._context = context
        self._lane = self._random.choice(_LANES)
        self._concurrency = self._random.choice((1, 2, 4, 40))
        self._faults_left = plan.faults
        self._kills_left = plan.kills
        self._kill_at: int | None = None
        self._calls_of_run = 0
        self._process: Any = None
        self._was_killed = False
        self._is_between = False
        self._has_come = False
        self._anew_from = 0
        self._strangers: set[str] = set()
        self._since: Interruption | None = None
        self._copied: tuple[str | None, int] | None = None  # an upload, and the calls before its journal was copied
        self._journal = JournalFile(directory / "upload.journal")
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
                self._complain(f"not complete after {_MOST_RUNS} runs", self._figures.endings)
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

    async def _come_between(self, task: Task, calls: int) -> None:
        """Lets something else of this user operate on the list, or an old copy of the journal come back."""
        what, run_id = self._what_comes(calls), self._journal.unfinished()
        if what is None or run_id is None:
            return
        may_consent = self._since is None or self._since.may_consent
        if what == "restore":
            self._journal.bring_back()
            self._anew_from = calls  # what arrived after the copy was made is sent again
            may_consent = may_consent and self._journal.holds(run_id)
        else:
            await self._operate(task, what)
            may_consent = may_consent and what not in REMOVING
        self._has_come = True
        self._figures.between[what] += 1
        run_id, mark = self._journal.unfinished(), self._journal.mark()
        self._since = Interruption(kind=what, run_id=run_id, mark=mark, may_consent=may_consent)

    def _what_comes(self, calls: int) -> str | None:
        """Says what comes in between now, if anything does; a copy only where something was sent since it was made."""
        possible = [
            kind for kind in KINDS if kind != "restore" or (self._copied is not None and self._copied[1] < calls)
        ]
        if self._plan.between is not None:
            return self._plan.between if self._plan.between in possible and not self._has_come else None
        return self._random.choice(possible) if self._random.random() < 0.3 else None

    async def _operate(self, task: Task, what: str) -> None:
        stranger = f"stranger{self._figures.between.total()}@example.com"
        if what in ADDING:
            self._strangers.add(hashlib.sha256(stranger.encode()).hexdigest())
        self._is_between = True
        await self._in_a_process(task, what, [stranger] if what in ADDING else self._rows[:BATCH_SIZE])
        self._is_between = False
        if self._process.exitcode:
            raise AssertionError(f"{self._plan}: {what} failed")

    def _keep_a_copy(self, calls: int) -> None:
        """Copies a journal that is not in use; where a copy must be brought back, the first one."""
        is_forced = self._plan.between == "restore" and self._copied is None
        is_usable = self._since is None and self._journal.unfinished() is not None
        if is_usable and (is_forced or (self._plan.between is None and self._random.random() < 0.5)):
            self._copied = self._journal.unfinished(), calls
            self._journal.keep_a_copy()

    def _consents(self) -> bool:
        """Whether the user goes on although something came in between."""
        if self._since is None or not self._since.may_consent:
            return False
        return self._plan.consents if self._plan.between is not None else self._random.random() < 0.5

    def _hold_against_what_came(self, ended: dict[str, Any] | None, consents: bool) -> None:  # noqa: FBT001 - one caller
        """After something came in between, an upload is begun anew unless its user consents to go on."""
        since, figures = self._since, self._figures
        if since is None:
            return
        resumed = bool(ended and ended["report"] and ended["report"]["resumed"])
        begun_anew = not self._journal.holds(since.run_id)
        if consents:
            figures.resumed_by_consent[since.kind] += resumed
            if begun_anew:
                self._complain("begun anew in spite of consent", ended)
            if self._journal.mark() != since.mark:
                self._since = None
        elif resumed:
            figures.resumed_unasked += 1
            print(f"{self._plan}: resumed unasked after {since.kind}: {ended}")
        elif begun_anew:
            figures.begun_anew[since.kind] += 1
            self._since = None
            if ended and ended["report"] and "resume=True" not in (ended["set_aside"] or ""):
                self._complain("resuming was not offered", ended)

    def _complain(self, fault: str, about: object) -> None:
        self._figures.wrong_reports += 1
        print(f"{self._plan}: {fault}: {about}")

    async def _run(self, sandbox: Sandbox, segment_id: str) -> bool:
        """Runs the upload once; returns whether it is complete."""
        task = self._task(sandbox, segment_id, "upload", max_concurrency=self._concurrency)
        await self._come_between(task, len(self._calls(sandbox, segment_id)))
        consents = self._consents()
        if consents:
            task.options["resume"] = True
        earlier, acknowledged = self._calls(sandbox, segment_id), self._journal.acknowledged()
        if self._since is not None and not consents:  # all is sent anew: what had arrived before says nothing
            self._anew_from, acknowledged = len(earlier), set()
        arrived = self._batches([call for call in earlier[self._anew_from :] if call.acknowledged])
        await self._disturbed(task)
        calls = self._calls(sandbox, segment_id)[len(earlier) :]
        self._figures.calls += len(calls)
        ended = json.loads(task.report.read_text(encoding="utf-8")) if task.report.exists() else None
        sent = self._batches(calls)
        if again := sent & acknowledged:
            self._figures.acknowledged_sent_again += len(again)
            print(f"{self._plan}: acknowledged, sent again: {sorted(again)}; {self._lane}; {ended or 'killed'}")
        if self._was_killed:
            repeated = len(sent & arrived)
            self._figures.repeated_after_kills += repeated
            self._figures.most_repeated = max(self._figures.most_repeated, repeated)
        self._was_killed = self._process.exitcode == -signal.SIGKILL
        if self._was_killed and not self._journal.is_completed():  # only what was in flight may lack its record
            answered = self._batches([call for call in calls if call.acknowledged])
            missing = len(answered - self._journal.acknowledged())
            self._figures.beyond_in_flight += max(0, missing - self._concurrency)
        self._hold_against_what_came(ended, consents)
        self._hold_against_the_list(ended, sandbox.contact_list(segment_id).identifiers)
        self._keep_a_copy(len(earlier) + len(calls))
        if self._was_killed:
            self._figures.kills += 1
            self._kills_left -= 1
            is_over = self._journal.is_completed()  # killed when all was done: another run would begin anew
            self._figures.endings["SIGKILL after its end" if is_over else "SIGKILL"] += 1
            return is_over
        return self._judge(ended, calls)

    async def _disturbed(self, task: Task) -> None:
        """Runs the upload in a process of its own, which may be killed."""
        task.report.unlink(missing_ok=True)
        self._calls_of_run = 0
        self._kill_at = self._random.randrange(1, 20) if self._kills_left else None
        timer = self._kill_by_time()
        await self._in_a_process(task)
        timer.cancel()
        self._figures.runs += 1

    def _hold_against_the_list(self, ended: dict[str, Any] | None, held: frozenset[str]) -> None:
        """Neither a report nor a journal has a batch as accepted of which an identifier is not in the list."""
        claims = {"a report": set(ended["accepted"]) if ended else set()}
        if self._since is None:  # otherwise the journal is of the time before
            claims["the journal"] = self._journal.acknowledged()
        for who, batches in claims.items():
            if missing := [batch for batch in sorted(batches) if not self._identifiers(batch) <= held]:
                self._complain(f"{who} says more than the list holds, of the batches {missing}", ended)

    def _identifiers(self, batch: int) -> set[str]:
        rows = self._rows[(batch - 1) * BATCH_SIZE : batch * BATCH_SIZE]
        return {hashlib.sha256(row.encode()).hexdigest() for row in rows}

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
        if self._plan.between is not None and not self._has_come:
            return Fault(status=503) if self._calls_of_run > _CUT else None
        if not self._faults_left or self._random.random() > 0.25:
            return None
        self._faults_left -= 1
        self._figures.faults += 1
        if self._random.random() < 0.06:
            self._random.choice((sandbox.expire_tokens, sandbox.revoke_tokens))()
            return None
        chosen = self._random.choice(FAULTS)
        return Fault(**chosen)

    def _calls(self, sandbox: Sandbox, segment_id: str) -> list[RecordedRequest]:
        """Returns the calls to a list so far."""
        return [call for call in sandbox.requests if f"/{segment_id}{_LISTS}" in call.path]

    def _batches(self, calls: Sequence[RecordedRequest]) -> set[int]:
        """Returns the batches that reached the server whole."""
        return {self._numbers[call.digest] for call in calls if call.digest in self._numbers}

    def _judge(self, ended: dict[str, Any], calls: Sequence[RecordedRequest]) -> bool:
        """Holds a run's report against what the server saw and what the journal has; returns whether it is complete."""
        self._figures.endings[ended["error"] or ("complete" if ended["report"]["ok"] else "incomplete")] += 1
        report = ended["report"]
        if report is None:
            return False
        faults = list(self._faults_of(report, calls, ended["accepted"]))
        is_complete = ended["error"] is None and report["ok"]
        if is_complete and (report["sent"], report["batches"]) != (BATCHES * BATCH_SIZE, BATCHES):
            faults.append("complete, but not all of it")
        if faults:
            self._complain("; ".join(faults), report)
        return bool(is_complete)

    def _faults_of(
        self, report: dict[str, Any], calls: Sequence[RecordedRequest], accepted: Sequence[int]
    ) -> Iterator[str]:
        """Says what a report gets wrong."""
        acknowledged = self._journal.acknowledged()
        rejected = sum(report["rejected"].values())
        gone = rejected + (report["duplicates"] or 0) + report["suppressed"] + report["pending"]
        if report["read"] != report["sent"] + gone:
            yield "rows in do not add up"
        fates = ("valid", "invalid", "unreported", "failed", "unknown")
        if report["sent"] != sum(report[fate] for fate in fates):
            yield "rows out do not add up"
        if report["valid"] != len(acknowledged) * BATCH_SIZE:  # what an answer does not count is not acknowledged
            yield f"the journal has {len(acknowledged)} batches as acknowledged"
        if report["valid"] < len(accepted) * BATCH_SIZE:
            yield f"{len(accepted)} batches came out as accepted"
        if report["calls"] < len(calls):
            yield f"the server saw {len(calls)} calls"
        if report["sent"] < len(self._batches(calls)) * BATCH_SIZE:
            yield f"{len(self._batches(calls))} batches reached the server"
