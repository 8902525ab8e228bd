"""A list that is mirrored from one version of its source to the next, by processes that are killed on the way."""

import asyncio
import hashlib
import json
import math
import os
import random
import signal
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from attrs import frozen
from uploading import Errand, carry_out, source

from criteo_audiences import CriteoClient, RetryPolicy
from criteo_audiences.sandbox import Sandbox

BATCH_SIZE: Final = 10
CONCURRENCY: Final = 2
PEOPLE: Final = 400
_LANES: Final = ("table", "list", "generator", "async")


@frozen(kw_only=True)
class Task(Errand):
    """A mirror, with its snapshot."""

    snapshot: Path


def run(task: Task) -> None:
    """Mirrors and writes down how that ended."""
    carry_out(task, _mirror(task))


async def _mirror(task: Task) -> dict[str, Any]:
    retry = RetryPolicy(attempts=2, first_delay=0.002, max_delay=0.01)
    async with CriteoClient(task.credentials, base_url=task.url, retry=retry) as criteo:
        report = await criteo.marketing_solutions.mirror_contact_list(
            task.segment_id, source(task), snapshot=task.snapshot, **task.options
        )
    return report.to_dict()


def digests(people: Iterable[int]) -> set[str]:
    """Returns what the list holds for these people."""
    return {hashlib.sha256(f"c{number}@example.com".encode()).hexdigest() for number in people}


def batches(count: int) -> int:
    """Returns how many calls a number of changes takes."""
    return math.ceil(count / BATCH_SIZE)


class Sequence:
    """Versions of a source, mirrored one after the other.

    Args:
        seed: decides everything.
        directory: for its files.
        context: starts processes.
        kills: how many processes are killed at most.
    """

    def __init__(self, seed: int, directory: Path, context: Any, kills: int) -> None:
        self._random = random.Random(seed)
        self._directory = directory
        self._context = context
        self._kills_left = kills
        self._kill_at: int | None = None
        self._process: Any = None
        self._calls = 0
        self.kills = 0
        self.completed = 0

    async def tell(self, versions: int) -> None:
        """Mirrors so many versions, and asserts after each that the list holds exactly it.

        Raises:
            AssertionError: when it does not, or more calls were made than the changes and the kills account for.
        """
        async with Sandbox(rate_limit=None) as sandbox:
            segment_id = sandbox.add_contact_list()
            held = sandbox.contact_list(segment_id)
            sandbox.fail_with(lambda call: self._watch(call.path))
            people = set(self._random.sample(range(PEOPLE), PEOPLE // 2))
            killed = 0
            while self.completed < versions:
                before = held.identifiers
                self._calls = 0
                self._plan_a_kill()
                task = self._task(sandbox, segment_id, people)
                ended = await self._in_a_process(task)
                if ended is None:
                    killed += 1
                    self.kills += 1
                    if self._random.random() < 0.5:
                        people = self._changed(people)
                    continue
                assert ended["ok"], ended
                wanted = digests(people)
                assert held.identifiers == wanted, (
                    f"{len(wanted - held.identifiers)} missing, {len(held.identifiers - wanted)} left"
                )
                needed = batches(len(wanted - before)) + batches(len(before - wanted))
                assert needed <= self._calls <= needed + killed * (CONCURRENCY + 1), (needed, self._calls, killed)
                assert ended["calls"] == self._calls
                self.completed += 1
                killed = 0
                people = self._changed(people)
        left = sorted(path.name for path in self._directory.iterdir() if path.name.startswith("crm.snapshot"))
        assert left == ["crm.snapshot"], left

    def _changed(self, people: set[int]) -> set[int]:
        """Returns the next version: some leave, others come; now and then nobody does."""
        leaving = self._random.sample(sorted(people), self._random.choice((0, 1, 9, len(people) // 3)))
        others = sorted(set(range(PEOPLE)) - people)
        coming = self._random.sample(others, min(len(others), self._random.choice((0, 3, 10, 80))))
        return people - set(leaving) | set(coming)

    def _plan_a_kill(self) -> None:
        self._kill_at = None
        if self._kills_left and (not self.kills or self._random.random() < 0.7):
            self._kill_at = self._random.randint(1, 14)

    def _watch(self, path: str) -> None:
        """Counts a call that changes the list, and kills the process at the one that was chosen."""
        if "contact-list" not in path:
            return
        self._calls += 1
        if self._calls == self._kill_at:
            self._kills_left -= 1
            delay = self._random.choice((0.0, 0.001, 0.004, 0.02, 0.05)) if self.kills else 0.0
            asyncio.get_running_loop().call_later(delay, self._kill, self._process)

    def _kill(self, process: Any) -> None:
        if process.is_alive():
            os.kill(process.pid, signal.SIGKILL)

    def _task(self, sandbox: Sandbox, segment_id: str, people: set[int]) -> Task:
        path = self._directory / "crm.csv"
        rows = [f"c{number}@example.com" for number in people]
        rows += self._random.sample(rows, min(len(rows), 5))  # duplicates
        self._random.shuffle(rows)
        path.write_text("email\n" + "\n".join(rows) + "\n", encoding="utf-8")
        options: dict[str, Any] = {
            "hash": "sha256",
            "batch_size": BATCH_SIZE,
            "max_concurrency": CONCURRENCY,
            "max_removals": 1.0,
        }
        snapshot = self._directory / "crm.snapshot"
        if not snapshot.exists():
            options["baseline"] = "empty"
        return Task(
            url=sandbox.url,
            client_id=sandbox.client_id,
            client_secret=sandbox.client_secret,
            segment_id=segment_id,
            path=path,
            lane=self._random.choice(_LANES),
            snapshot=snapshot,
            report=self._directory / "report.json",
            state=self._directory / "state",
            options=options,
        )

    async def _in_a_process(self, task: Task) -> dict[str, Any] | None:
        """Returns the report of a run, `None` when it was killed before it could write one."""
        task.report.unlink(missing_ok=True)
        self._process = self._context.Process(target=run, args=(task,))
        self._process.start()
        await asyncio.to_thread(self._process.join)
        if not task.report.exists():
            assert self._process.exitcode == -signal.SIGKILL, self._process.exitcode
            return None
        ended: dict[str, Any] = json.loads(task.report.read_text(encoding="utf-8"))
        return ended
