"""Measures an upload in a process of its own: time, CPU, memory, and how long it kept its event loop from others."""

import asyncio
import importlib
import multiprocessing
import os
import re
import resource
import statistics
import sys
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

MEGABYTE = 1_000_000
BEAT = 0.001
Figures = dict[str, float]

CALLS = "calls"
BEGAN = "began, s on the clock of the machine's processes"
WALL = "wall, s"
CPU = "CPU a million, s"
MEMORY = "peak memory above idle, MB"
GAP_P99 = "heartbeat p99, ms"
GAP_P999 = "heartbeat p99.9, ms"
GAP_MAX = "heartbeat max, ms"


def measure(contender: str, *arguments: Any, beats: bool = False, **options: Any) -> Figures:
    """Runs the `upload` of a contender's module and returns its figures; the body of a process.

    Args:
        contender: name of a module in `contenders`; importing it is what an idle process has done.
        *arguments: server and source, for the upload.
        beats: measure the gaps of a heartbeat on the same loop instead of time and memory, which it would add to.
        **options: keywords for the upload.
    """
    upload = importlib.import_module(f"contenders.{contender}").upload
    return asyncio.run((_beside_a_heartbeat if beats else _alone)(upload, *arguments, **options))


def measure_steps(contender: str, *arguments: Any, **options: Any) -> float:
    """Returns the most CPU that one step took of the event loop's thread, milliseconds; the body of a process.

    CPU and not time, because on a busy machine a step also waits for a core or for the interpreter.
    """
    upload = importlib.import_module(f"contenders.{contender}").upload
    run, longest = asyncio.Handle._run, 0.0  # noqa: SLF001 - nothing else sees every step

    def timed(handle: asyncio.Handle) -> None:
        nonlocal longest
        began = time.thread_time()
        run(handle)
        longest = max(longest, time.thread_time() - began)

    asyncio.Handle._run = timed  # type: ignore[method-assign]  # noqa: SLF001
    asyncio.run(upload(*arguments, **options))
    return longest * 1e3


def longest_step(contender: str, *arguments: Any, **options: Any) -> float:
    """Measures in a process that has done nothing else; see `measure_steps`."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(measure_steps, contender, *arguments, **options).result()


@contextmanager
def in_own_process(contender: str, *arguments: Any, **options: Any) -> Iterator["Future[Figures]"]:
    """Begins to measure in a process that has done nothing else; see `measure`."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield pool.submit(measure, contender, *arguments, **options)


def measured(contender: str, *arguments: Any, **options: Any) -> Figures:
    """Measures in a process that has done nothing else and waits for the figures; see `measure`."""
    with in_own_process(contender, *arguments, **options) as figures:
        return figures.result()


async def _alone(upload: Callable[..., Coroutine[Any, Any, int]], server: Any, source: Any, **options: Any) -> Figures:
    idle = psutil.Process().memory_info().rss
    began, cpu = time.perf_counter(), _cpu()
    calls = await upload(server, source, **options)
    wall, cpu = time.perf_counter() - began, _cpu() - cpu
    return {
        CALLS: calls,
        BEGAN: began,
        WALL: wall,
        CPU: cpu / source.rows * 1e6,
        MEMORY: max(0, _peak() - idle) / MEGABYTE,
    }


async def _beside_a_heartbeat(
    upload: Callable[..., Coroutine[Any, Any, int]], server: Any, source: Any, **options: Any
) -> Figures:
    gaps: list[float] = []
    beating = asyncio.create_task(_heartbeat(gaps))
    await asyncio.sleep(BEAT)
    calls = await upload(server, source, **options)
    await asyncio.sleep(2 * BEAT)  # a beat that the upload kept waiting to its end comes now
    beating.cancel()
    gaps.sort()
    shares = {GAP_P99: 0.99, GAP_P999: 0.999}
    found = {figure: gaps[int(len(gaps) * share)] * 1e3 for figure, share in shares.items()}
    return {CALLS: calls, **found, GAP_MAX: gaps[-1] * 1e3}


async def _heartbeat(gaps: list[float]) -> None:
    """Asks to be woken every millisecond and notes how much later it was."""
    while True:
        asked = time.perf_counter()
        await asyncio.sleep(BEAT)
        gaps.append(time.perf_counter() - asked - BEAT)


def _cpu() -> float:
    """Seconds of CPU, user and system, of this process with all its threads and of the children it has waited for."""
    children = os.times()
    return time.process_time() + children.children_user + children.children_system


def _peak() -> int:
    """Returns the most memory this process has had, in bytes."""
    status = Path("/proc/self/status")
    if status.exists():  # `ru_maxrss` would begin with what the parent had when it forked
        found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text(encoding="ascii"))
        if found:
            return int(found[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def medians(runs: Sequence[Mapping[str, float]]) -> Figures:
    """Returns the median of each figure that has one."""
    return {figure: statistics.median(run[figure] for run in runs) for figure in runs[0] if figure != BEGAN}


def machine() -> dict[str, str | int]:
    """Describes the machine without saying which it is."""
    return {"cores": os.cpu_count() or 1, "python": ".".join(map(str, sys.version_info[:3]))}
