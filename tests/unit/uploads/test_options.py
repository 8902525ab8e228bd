import datetime as dt
import math
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from criteo_audiences import ConfigurationError, HashAlgorithm, IdentifierType, Operation
from criteo_audiences.journals import state_directory
from criteo_audiences.uploads.options import Options

KNOWN = [kind for kind in IdentifierType if kind.is_known]


async def note_later(progress: object) -> None:
    """Would have to be awaited."""


async def note_bit_by_bit(_: object) -> AsyncIterator[None]:
    """Would have to be iterated over."""
    yield


class Listener:
    """Can be called."""

    def note(self, progress: object) -> None:
        """Takes it in."""

    async def note_later(self, progress: object) -> None:
        """Would have to be awaited."""

    def __call__(self, progress: object) -> None:
        """Takes it in."""


class LateListener:
    """Can be called, and would have to be awaited."""

    async def __call__(self, progress: object) -> None:
        """Takes it in."""


def test_hash_must_be_chosen() -> None:
    """Leaving it out is an error that lists the choices, `None` among them."""
    with pytest.raises(ConfigurationError, match=r"hash must be chosen: 'sha256', 'md5', 'sha256_of_md5', or None"):
        Options()


@pytest.mark.parametrize(
    ("name", "accepted", "refused"),
    [
        ("batch_size", [1, 50_000], [0, -1, 50_001, True, "100", 100.5, math.nan]),
        ("max_concurrency", [None, 1, 100], [0, 101, True, "4", 2.5]),
        ("max_in_flight_bytes", [None, 8_000_000, 10**12], [7_999_999, 0, -1, True, "1GB", 1e8]),
        ("max_body_bytes", [200_000, 10**9], [199_999, 0, 1e6, None]),
        ("max_rejected", [0, 0.5, 1], [-0.01, 1.01, math.nan, "0.5", None]),
        ("max_invalid", [0, 0.5, 1], [-0.01, 1.01, math.nan, "0.5", None]),
        ("drain_timeout", [0, 10.5, 3_600], [-1, 3_601, math.inf, math.nan]),
        ("flush_after", [None, 0.001, 5, 86_400], [0, -1, math.inf, math.nan, "5"]),
        ("deadline", [None, 0.001, 30, 604_800], [0, -1, 604_801, math.inf, math.nan, True, "5", dt.date(2026, 1, 1)]),
        ("operation", ["add", "remove", "ADD", Operation.REMOVE], ["replace", "", None, 1]),
        ("hash", [None, "md5", "SHA256", "sha256_of_md5", HashAlgorithm.MD5], ["sha1", "", True, 256]),
        (
            "identifier_type",
            [None, "email", "Email", "phone-number", *KNOWN],
            ["phone", "", "unknown", IdentifierType.UNKNOWN, 5],
        ),
        ("gum_caller_id", [None], [5, "5", -1, "x", "", 2**31, 1.5, True, "٣"]),
        ("region", [None], ["FR", "", 5]),
        ("dry_run", [True, False], ["no", "", 1, None]),
        ("keep_trunk_zero", [False], [True, "no", 1, None]),
        ("dedupe", [True, False, None], ["no", 0]),
        ("suppress_strict", [True, False], ["no", 0, None]),
        ("allow_empty", [True, False], ["no", 1, None]),
        (
            "on_progress",
            [None, print, [].append, partial(print, end=""), Listener().note, Listener()],
            ["print", 5, note_later, partial(note_later), Listener().note_later, LateListener(), note_bit_by_bit],
        ),
    ],
)
def test_each_option_has_bounds(name: str, accepted: list[Any], refused: list[Any]) -> None:
    """Both sides of every bound; a refusal names the option and never shows a text it was given."""
    for value in accepted:
        Options(**{"hash": None, name: value})
    for value in refused:
        with pytest.raises(ConfigurationError) as caught:
            Options(**{"hash": None, name: value})
        assert name in str(caught.value)


def test_bounds_of_what_is_in_flight_let_a_batch_through() -> None:
    """Bytes for one batch at least, also where nobody gave a number; two bounds of which one is useless are refused."""
    assert Options(hash=None).most_bytes_in_flight == 128_000_000
    assert Options(hash=None, max_body_bytes=200_000_000).most_bytes_in_flight == 200_000_000
    with pytest.raises(
        ConfigurationError, match=r"at least 9,000,000, not 8,999,999\. A batch alone may have max_body_bytes"
    ):
        Options(hash=None, max_body_bytes=9_000_000, max_in_flight_bytes=8_999_999)
    Options(hash="sha256", max_concurrency=40, max_in_flight_bytes=134_000_000)
    with pytest.raises(ConfigurationError, match=r"contradict each other: so many full batches have 134,000,000 bytes"):
        Options(hash="sha256", max_concurrency=40, max_in_flight_bytes=133_999_999)
    Options(hash=None, max_concurrency=40, max_in_flight_bytes=8_000_000)  # in clear they may be small


def test_a_batch_beyond_criteos_bound_says_why() -> None:
    """The message tells the bound and that an upload splits by itself."""
    with pytest.raises(ConfigurationError, match=r"between 1 and 50,000, not 50,001.* as many calls as it needs"):
        Options(hash=None, batch_size=50_001)


def test_a_misplaced_value_is_not_shown() -> None:
    """An address in the place of an option stays out of the message."""
    for name in ("hash", "operation", "identifier_type", "batch_size", "region", "gum_caller_id"):
        with pytest.raises(ConfigurationError) as caught:
            Options(**{"hash": None, name: "planted@example.com"})
        assert "planted" not in str(caught.value)


HASHABLE = {IdentifierType.EMAIL: set(HashAlgorithm), IdentifierType.PHONE_NUMBER: {HashAlgorithm.SHA256}}


@pytest.mark.parametrize("kind", KNOWN)
@pytest.mark.parametrize("algorithm", HashAlgorithm)
def test_each_kind_is_hashed_as_criteo_matches_it_or_not_at_all(kind: IdentifierType, algorithm: HashAlgorithm) -> None:
    """E-mails take three hashes, phone numbers one, the others none; the refusal names both."""
    if algorithm in HASHABLE.get(kind, ()):
        assert Options(identifier_type=kind, hash=algorithm).algorithm is algorithm
        return
    with pytest.raises(ConfigurationError, match=f"hash of identifier_type='{kind.value}'.*not '{algorithm.value}'"):
        Options(identifier_type=kind, hash=algorithm)


@pytest.mark.parametrize("kind", KNOWN)
def test_only_what_can_be_hashed_asks_for_a_choice(kind: IdentifierType) -> None:
    """E-mails and phone numbers must choose, with `None` for clear text; the others may leave it out or say `None`."""
    assert Options(identifier_type=kind, hash=None).algorithm is None
    if kind in HASHABLE:
        with pytest.raises(ConfigurationError, match=r"hash must be chosen: 'sha256'.*or None"):
            Options(identifier_type=kind)
    else:
        assert Options(identifier_type=kind).algorithm is None


@pytest.mark.parametrize(("given", "kept"), [(5, 5), ("329739", 329_739), (0, 0), (2**31 - 1, 2**31 - 1), (None, None)])
def test_a_gum_caller_id_is_a_number_however_it_is_written(given: object, kept: int | None) -> None:
    """Criteo's schema wants a number, and its partners write text (40)."""
    assert Options(identifier_type="gum", gum_caller_id=given).gum_caller_id == kept


@pytest.mark.parametrize("given", [-1, "x", "", 2**31, 1.5, True, "٣", [5]], ids=repr)
def test_what_is_no_gum_caller_id_is_refused(given: object) -> None:
    """Both sides of the bound, and text that is no number."""
    with pytest.raises(ConfigurationError, match="gum_caller_id must be the whole number"):
        Options(identifier_type="gum", gum_caller_id=given)


@pytest.mark.parametrize("kind", sorted(set(KNOWN) - {IdentifierType.PHONE_NUMBER}))
def test_a_region_goes_with_phone_numbers_only(kind: IdentifierType) -> None:
    """Another kind has no use for it."""
    with pytest.raises(ConfigurationError, match=f"region goes with .*phone_number.*'{kind.value}'"):
        Options(identifier_type=kind, hash=None, region="FR")


@pytest.mark.parametrize("region", ["fr", "FR", "US", "FRA", "France", "USA"])
def test_a_region_is_a_code_or_a_name_in_any_case(region: str) -> None:
    """It reaches the rule that values are prepared by."""
    settings = Options(identifier_type="phone_number", hash=None, region=region)
    number = {"fr": "01 23 45 67 89", "us": "201 555 0123"}[region.lower()[:2]]
    assert settings.selections[0].rule.normalize(number) in {"+33123456789", "+12015550123"}


@pytest.mark.parametrize("region", ["", "F", "33", 33, "AQ", "ZZ", "Narnia", "FR, DE", "\u0661\u0661"])
def test_a_wrong_region_is_refused_before_anything_is_read(region: object) -> None:
    """What is no country, or one without phone numbers, is refused by name."""
    with pytest.raises(ConfigurationError, match=r"^region "):
        Options(identifier_type="phone_number", hash=None, region=region)


def test_a_deadline_lies_ahead_and_has_a_time_zone() -> None:
    """A moment that has passed or is nobody's is refused; one ahead leaves the seconds until then."""
    now = dt.datetime.now(dt.UTC)
    with pytest.raises(ConfigurationError, match="deadline has passed already; give a later one"):
        Options(hash=None, deadline=now)
    with pytest.raises(ConfigurationError, match="deadline must have a time zone"):
        Options(hash=None, deadline=now.replace(tzinfo=None) + dt.timedelta(days=2))
    left = Options(hash=None, deadline=now + dt.timedelta(seconds=60)).seconds_left()
    assert left is not None
    assert 50.0 < left <= 60.0
    assert Options(hash=None, deadline=7).seconds_left() == 7
    assert Options(hash=None).seconds_left() is None


def test_the_state_directory_is_a_directory_before_it_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`journal=state_directory()` keeps a journal in it, and does not make a file of its name."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path))
    place = Options(hash=None, journal=state_directory()).journal
    assert place is not None
    assert place.is_directory
    assert not place.path.exists()
