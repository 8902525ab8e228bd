import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
ROWS = 2_000


@pytest.fixture(scope="module")
def benchmarks() -> Iterator[Any]:
    """Imports a module of the benchmarks by its name, as their scripts do."""
    before = set(sys.modules)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        yield importlib.import_module
    for name in set(sys.modules) - before:
        if str(BENCHMARKS) in (getattr(sys.modules[name], "__file__", None) or ""):
            del sys.modules[name]


@pytest.fixture(scope="module")
def export(benchmarks: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Writes an export once."""
    return benchmarks("exports").write_export(tmp_path_factory.mktemp("export"), ROWS)


@pytest.fixture(scope="module")
def server(benchmarks: Any) -> Iterator[Any]:
    """Starts the null server; yields what names a contact list of it."""
    null_server: ModuleType = benchmarks("null_server")
    with null_server.running() as url:
        yield lambda segment_id: null_server.Server(url, segment_id=segment_id)


def test_an_export_has_as_many_addresses_as_it_says(export: Any) -> None:
    """The rows and the distinct addresses of an export are those that it announces."""
    emails = list(export.emails())
    assert (len(emails), len({email.strip().lower() for email in emails})) == (ROWS, export.distinct)
    assert any(email != email.lower() for email in emails)
    assert any(email != email.strip() for email in emails)


@pytest.mark.parametrize("contender", ["table_lane", "value_lane", "async_value_lane", "plain_script", "expert_script"])
async def test_contenders_send_the_same(contender: str, benchmarks: Any, server: Any, export: Any) -> None:
    """Each contender sends every row once, and the server that measures them counts it."""
    target = server(contender)
    options = {} if contender.endswith("script") else {"dedupe": False}
    assert await benchmarks(f"contenders.{contender}").upload(target, export, **options) == 1
    arrived = target.arrived()
    assert arrived.calls == 1
    assert 67 * ROWS <= arrived.bytes <= 68 * ROWS + 200


@pytest.mark.parametrize("lane", ["table_lane", "value_lane"])
async def test_duplicates_are_left_out(lane: str, benchmarks: Any, server: Any, export: Any) -> None:
    """Both lanes send each of an export's distinct addresses once when asked to."""
    target = server(f"{lane}-deduplicated")
    await benchmarks(f"contenders.{lane}").upload(target, export, dedupe=True)
    assert 67 * export.distinct <= target.arrived().bytes <= 67 * export.distinct + 200


@pytest.mark.parametrize(
    ("value", "bounds", "holds"),
    [(2.0, {"least": 2}, True), (1.9, {"least": 2}, False), (2.0, {"most": 2}, True), (2.1, {"most": 2}, False)],
)
def test_a_bar_includes_its_bound(value: float, bounds: dict[str, float], holds: bool, benchmarks: Any) -> None:  # noqa: FBT001 - a case
    """A bar holds at its bound, and not beyond it."""
    bar = benchmarks("bars").Bar("figure", value, **bounds)
    assert bar.holds is holds
    assert str(bar).startswith("PASS" if holds else "FAIL")


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("ledger", [True, False])
def test_simulated_workers_keep_to_the_quota_and_lose_nothing(benchmarks: Any, *, ledger: bool, seed: int) -> None:
    """No window holds more calls than the quota, every batch is acknowledged, and only failures and deaths waste calls."""
    scale = benchmarks("scale")
    plan = scale.Plan(
        rows=10_000_000, workers=7, partition=1_000_000, calls=20, failures=0.05, deaths=60, ledger=ledger, seed=seed
    )
    outcome = scale.Simulation(plan).run()
    assert outcome.calls >= plan.batches == 200
    assert outcome.seconds >= plan.floor
    admitted = outcome.admitted
    assert all(later - first > plan.period for first, later in zip(admitted, admitted[plan.calls :], strict=False))
    quiet = scale.Simulation(scale.Plan(rows=10_000_000, calls=20, failures=0, seed=seed)).run()
    assert quiet.calls == 200


async def test_a_mirror_of_few_changes_takes_two_calls(
    benchmarks: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What `mirror.py` measures is a mirror: one call removes who left, the other one adds who came."""
    mirror: ModuleType = benchmarks("mirror")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    snapshot = tmp_path / "crm.snapshot"
    first = await mirror.mirrored(mirror.write(tmp_path / "before.csv", 0, ROWS), snapshot, baseline="assume-current")
    changed = await mirror.mirrored(mirror.write(tmp_path / "after.csv", 2, ROWS), snapshot)
    assert (first["calls"], changed["calls"], changed["changed"]) == (0, 2, 4)
