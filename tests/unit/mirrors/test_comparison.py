"""The engine's comparison of a source with a snapshot, held against sets in Python."""

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from criteo_audiences.models import HashAlgorithm, IdentifierType
from criteo_audiences.tables.engine import comparison
from criteo_audiences.tables.engine.comparison import DONE, MAYBE_DONE, NOT_DONE, Fate
from criteo_audiences.tables.engine.connection import connect
from criteo_audiences.tables.files.paths import literal_path
from criteo_audiences.uploads.options import Options

SHA256 = Options(hash="sha256").selections[0]
CLEAR = Options(hash=None).selections[0]
IDS = Options(identifier_type="customer_id").selections[0]


def sha256(text: str) -> str:
    """Returns the digest of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


@contextmanager
def engine_in(directory: Path) -> Iterator[Any]:
    """Opens an engine that works in a directory."""
    with closing(connect(directory, threads=1, memory_limit="128MB", files=())) as engine:
        yield engine


def written(engine: Any, directory: Path, certain: set[str], uncertain: set[str]) -> str:
    """Writes a snapshot and returns its relation."""
    given = "SELECT unnest(?::VARCHAR[]) AS w, unnest(?::BOOLEAN[]) AS uncertain"
    words = [[*certain, *uncertain], [False] * len(certain) + [True] * len(uncertain)]
    engine.execute(f"CREATE OR REPLACE TEMP TABLE given AS {given}", words)
    is_digest = "regexp_full_match(w, '[0-9a-f]{64}|[0-9a-f]{32}')"
    columns = f"CASE WHEN {is_digest} THEN unhex(w) END AS digest, CASE WHEN NOT {is_digest} THEN w END AS text"
    path = directory / "snapshot"
    comparison.store(engine, f"SELECT {columns}, uncertain FROM given", path, "note")  # noqa: S608 - ours
    return comparison.relation(literal_path(path, directory))


def rows_of(engine: Any, relation: str, *columns: str) -> list[Any]:
    """Returns identifiers with other columns."""
    named = ", ".join(("coalesce(lower(hex(digest)), text)", *columns))
    found: list[Any] = engine.execute(f"SELECT {named} FROM {relation}").fetchall()  # noqa: S608 - ours
    return found


WORDS = st.sampled_from(["a", "b" * 16, "c" * 31, 'q"\\', "f" * 32, "F" * 32, "0" * 64, "e", "g" * 64, "\u00e9"])
SETS = st.sets(WORDS, max_size=8)
STATES = st.lists(st.tuples(st.sampled_from([DONE, NOT_DONE, MAYBE_DONE]), st.integers(1, 3)), max_size=4)


@contextmanager
def undone(engine: Any) -> Iterator[None]:
    """Undoes what an example does in an engine that all examples share, since opening one takes most of the time."""
    engine.begin()
    try:
        yield
    finally:
        engine.rollback()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, Path]]:
    """An engine for many examples, and the directory in which it works."""
    directory = tmp_path_factory.mktemp("engine")
    with engine_in(directory) as engine:
        yield engine, directory


@given(wanted=st.lists(WORDS, max_size=12), certain=SETS, uncertain=SETS, removals=STATES, additions=STATES)
def test_snapshot_is_carried_on_as_sets_would_be(
    shared: tuple[Any, Path], wanted: Any, certain: Any, uncertain: Any, removals: Any, additions: Any
) -> None:
    """The difference is the sets' difference, each change knows what was, and what became of it decides what is next."""
    engine, workspace = shared
    directory = Path(tempfile.mkdtemp(dir=workspace))
    uncertain -= certain
    with undone(engine):
        snapshot = written(engine, directory, certain, uncertain)
        comparison.stage_values(engine, IDS, wanted)
        found = comparison.compare(engine, IDS, snapshot)
        source = set(wanted)
        assert found.added == len(source - certain)
        assert found.removed == len((certain | uncertain) - source)
        assert found.unchanged == len(source & certain)
        assert found.repeated == len(wanted) - len(source)
        path = directory / "changes"
        comparison.store(engine, comparison.changes(), path, "note")
        changes = rows_of(engine, comparison.relation(str(path)), "removes", "position", "was")
        was = dict.fromkeys(certain, comparison.HELD) | dict.fromkeys(uncertain, comparison.UNCERTAIN)
        assert {(text, removes, before) for text, removes, _, before in changes} == {
            *((text, False, was.get(text, comparison.ABSENT)) for text in source - certain),
            *((text, True, was[text]) for text in (certain | uncertain) - source),
        }
        fates = [*fates_of(removals, removes=True), *fates_of(additions, removes=False)]
        grown, doubted = comparison.carry_on(engine, snapshot, str(path), fates)
        expected = dict(was)
        for text, removes, position, before in changes:
            expected[text] = outcome(fates, position, before, removes=removes)
        expected = {text: state for text, state in expected.items() if state != comparison.ABSENT}
        carried = {
            text: comparison.UNCERTAIN if doubt else comparison.HELD
            for text, doubt in rows_of(engine, "carried", "uncertain")
        }
        assert carried == expected
        assert (len(was) + grown, len(uncertain) + doubted) == (
            len(expected), list(expected.values()).count(comparison.UNCERTAIN)
        )  # fmt: skip
        sent = engine.execute(comparison.outgoing(str(path), removes=True, is_hashed=False)).fetchall()
        assert [text for _, text in sent] == [
            text for text, removes, *_ in sorted(changes, key=lambda row: row[2]) if removes
        ]


def fates_of(states: list[tuple[int, int]], *, removes: bool) -> Iterator[Fate]:
    """Yields the fates of batches of so many changes each."""
    start = 1
    for state, count in states:
        yield Fate(removes, start, state)
        start += count
    if states:
        yield Fate(removes, start, NOT_DONE)


def outcome(fates: list[Fate], position: int, was: int, *, removes: bool) -> int:
    """Returns what a snapshot has of a change afterwards."""
    mine = [fate.state for fate in fates if fate.removes is removes and fate.start <= position]
    state = mine[-1] if mine else NOT_DONE
    if state == DONE:
        return comparison.ABSENT if removes else comparison.HELD
    return comparison.UNCERTAIN if state == MAYBE_DONE else was


@pytest.mark.parametrize("algorithm", sorted(HashAlgorithm))
def test_digest_of_somebody_named_in_clear_is_that_person(tmp_path: Path, algorithm: HashAlgorithm) -> None:
    """By any of the three digests, in the source and in the snapshot."""
    ann = "ann@example.com"
    md5 = hashlib.md5(ann.encode(), usedforsecurity=False).hexdigest()
    digest = {HashAlgorithm.SHA256: sha256(ann), HashAlgorithm.MD5: md5, HashAlgorithm.SHA256_OF_MD5: sha256(md5)}[
        algorithm
    ]
    for selection in (SHA256, CLEAR):
        with engine_in(tmp_path) as engine:
            snapshot = written(engine, tmp_path, {digest}, set())
            comparison.stage_values(engine, selection, [ann, digest])
            found = comparison.compare(engine, selection, snapshot)
            assert (found.added, found.removed, found.unchanged) == (0, 0, 1)
            assert found.repeated + comparison.merged(engine) == 1


def test_nobody_is_removed_who_is_in_the_source_in_clear(tmp_path: Path) -> None:
    """A digest of another kind stays on the list for as long as its person is in the source; then it goes, too."""
    ann, bob = "ann@example.com", "bob@example.com"
    md5 = hashlib.md5(ann.encode(), usedforsecurity=False).hexdigest()
    for source, removed in (([ann, bob], 0), ([bob], 2)):
        with engine_in(tmp_path) as engine:
            snapshot = written(engine, tmp_path, {sha256(ann), md5, sha256(bob)}, set())
            comparison.stage_values(engine, SHA256, source)
            found = comparison.compare(engine, SHA256, snapshot)
            assert (found.added, found.removed) == (0, removed)


def test_every_form_of_a_person_is_assumed_to_be_there(tmp_path: Path) -> None:
    """Where the list is said to hold the source, it holds an address and a digest of it that both are in there."""
    ann = "ann@example.com"
    md5 = hashlib.md5(ann.encode(), usedforsecurity=False).hexdigest()
    with engine_in(tmp_path) as engine:
        comparison.stage_values(engine, SHA256, [ann, md5, sha256(ann)])
        assert comparison.compare(engine, SHA256, comparison.EMPTY_SNAPSHOT).added == 1
        rows, count = comparison.all_wanted(engine, SHA256)
        assert {text for (text,) in rows_of(engine, f"({rows})")} == {sha256(ann), md5}
        assert count == 2


def test_spellings_of_a_phone_number_are_one_person(tmp_path: Path) -> None:
    """With and without the trunk zero, where the zero is kept."""
    options = Options(identifier_type=IdentifierType.PHONE_NUMBER, hash="sha256", keep_trunk_zero=True)
    (selection,) = options.selections
    with_zero, without = "+4901711234567", "+491711234567"
    with engine_in(tmp_path) as engine:
        snapshot = written(engine, tmp_path, {sha256(without[1:])}, set())
        comparison.stage_values(engine, selection, [with_zero])
        found = comparison.compare(engine, selection, snapshot)
    assert (found.added, found.removed, found.unchanged) == (0, 0, 1)


def test_digests_take_half_their_length(tmp_path: Path) -> None:
    """A snapshot of digests holds their bytes, few more, and none of their hexadecimal digits."""
    count = 20_000
    with engine_in(tmp_path) as engine:
        comparison.stage_values(engine, SHA256, [f"{number}@example.com" for number in range(count)])
        comparison.compare(engine, SHA256, comparison.EMPTY_SNAPSHOT)
        path = tmp_path / "snapshot"
        rows, wanted = comparison.all_wanted(engine, SHA256)
        comparison.store(engine, rows, path, "note")
    assert wanted == count
    data = path.read_bytes()
    assert len(data) < 45 * count
    assert bytes.fromhex(sha256("7@example.com")) in data
    assert sha256("7@example.com").encode() not in data
