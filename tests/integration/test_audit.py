"""`make audit`: it fails for a known vulnerability, and for nothing else."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / ".ci" / "audit.py"
SOUND = {"name": "aiohttp", "version": "3", "vulns": []}
UNSOUND = {"name": "orjson", "version": "1", "vulns": [{"id": "PYSEC-1"}, {"id": "PYSEC-2"}]}
SKIPPED = {"name": "aiohttp", "skip_reason": "Dependency not found on PyPI"}
UNREACHABLE = "audit: the list of known vulnerabilities cannot be reached from here, so nothing was audited."


@pytest.mark.parametrize(
    ("packages", "code", "said"),
    [
        ([SOUND], 0, "audit: 1 packages, 0 with a known vulnerability."),
        ([SOUND, UNSOUND], 1, "audit: orjson 1: PYSEC-1, PYSEC-2\naudit: 2 packages, 1 with a known vulnerability."),
        ([SKIPPED], 0, UNREACHABLE),
        (None, 0, UNREACHABLE),
    ],
    ids=["sound", "vulnerable", "nothing known", "no network"],
)
def test_only_a_known_vulnerability_fails(packages: Any, code: int, said: str, tmp_path: Path) -> None:
    """What the program prints decides; without a network it prints nothing that can be read, and fails."""
    printed = "no connection" if packages is None else json.dumps({"dependencies": packages})
    program = tmp_path / "pip-audit"
    program.write_text(f"#!{sys.executable}\nprint({printed!r})\nraise SystemExit(1)\n", encoding="utf-8")
    program.chmod(0o700)
    done = subprocess.run(  # noqa: S603 - our own script
        [sys.executable, SCRIPT, program], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (code, said)


def test_without_the_program_nothing_is_audited(tmp_path: Path) -> None:
    """It may be missing where only the library is installed."""
    done = subprocess.run(  # noqa: S603 - our own script
        [sys.executable, SCRIPT, tmp_path / "none"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "audit: pip-audit is not installed, so nothing was audited.\n")
