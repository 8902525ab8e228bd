import math
from typing import Any

import pytest

from criteo_audiences import ConfigurationError, HashAlgorithm, IdentifierType, Operation
from criteo_audiences.uploads.options import Settings


def test_hash_must_be_chosen() -> None:
    """Leaving it out is an error that lists the choices, `None` among them."""
    with pytest.raises(ConfigurationError, match=r"hash must be chosen: 'sha256', 'md5' or 'sha256_of_md5', or None"):
        Settings()


@pytest.mark.parametrize(
    ("name", "accepted", "refused"),
    [
        ("batch_size", [1, 50_000], [0, -1, 50_001, True, "100", 100.5, math.nan]),
        ("max_concurrency", [1, 100], [0, 101, True, "4", 2.5]),
        ("max_body_bytes", [200_000, 10**9], [199_999, 0, 1e6, None]),
        ("max_rejected", [0, 0.5, 1], [-0.01, 1.01, math.nan, "0.5", None]),
        ("max_invalid", [0, 0.5, 1], [-0.01, 1.01, math.nan, "0.5", None]),
        ("drain_timeout", [0, 10.5, 3_600], [-1, 3_601, math.inf, math.nan]),
        ("flush_after", [None, 0.001, 5, 86_400], [0, -1, math.inf, math.nan, "5"]),
        ("operation", ["add", "remove", "ADD", Operation.REMOVE], ["replace", "", None, 1]),
        ("hash", [None, "md5", "SHA256", "sha256_of_md5", HashAlgorithm.MD5], ["sha1", "", True, 256]),
        ("identifier_type", [None, "email", "Email", IdentifierType.EMAIL], ["phone", "gum", "", 5]),
        ("dry_run", [True, False], ["no", "", 1, None]),
        ("dedupe", [True, False, None], ["no", 0]),
        ("on_progress", [None, print], ["print", 5]),
    ],
)
def test_each_option_has_bounds(name: str, accepted: list[Any], refused: list[Any]) -> None:
    """Both sides of every bound; a refusal names the option and never shows a text it was given."""
    for value in accepted:
        Settings(**{"hash": None, name: value})
    for value in refused:
        with pytest.raises(ConfigurationError) as caught:
            Settings(**{"hash": None, name: value})
        assert name in str(caught.value)


def test_a_batch_beyond_criteos_bound_says_why() -> None:
    """The message tells the bound and that an upload splits by itself."""
    with pytest.raises(ConfigurationError, match=r"between 1 and 50,000, not 50,001.* as many calls as it needs"):
        Settings(hash=None, batch_size=50_001)


def test_a_misplaced_value_is_not_shown() -> None:
    """An address in the place of an option stays out of the message."""
    for name in ("hash", "operation", "identifier_type", "batch_size"):
        with pytest.raises(ConfigurationError) as caught:
            Settings(**{"hash": None, name: "planted@example.com"})
        assert "planted" not in str(caught.value)
