"""Looks the installed packages up among the known vulnerabilities, where their list can be reached; it never hangs.

One package is asked for first: when nothing is known of it, not even that it is sound, the list cannot be reached.
"""

import importlib.metadata
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

PROBE = "aiohttp"
LONGEST = 180.0
"""Seconds that each of the two runs may take."""


def audited(program: Path, *arguments: str) -> list[dict[str, Any]]:
    """Returns what is known of packages; of those that nothing is known of, nothing."""
    quiet = ("--format", "json", "--progress-spinner", "off", "--timeout", "5")
    try:
        done = subprocess.run(
            [program, *quiet, *arguments], capture_output=True, check=False, timeout=LONGEST, stdin=subprocess.DEVNULL
        )
        packages = json.loads(done.stdout)["dependencies"]
    except (OSError, subprocess.TimeoutExpired, ValueError, KeyError, TypeError):
        return []
    return [each for each in packages if "vulns" in each]


def probed(program: Path) -> list[dict[str, Any]]:
    """Returns what is known of one package."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as requirements:
        requirements.write(f"{PROBE}=={importlib.metadata.version(PROBE)}\n")
        requirements.flush()
        return audited(program, "--no-deps", "--disable-pip", "--requirement", requirements.name)


def main(program: Path) -> int:
    """Says in a line what was found; returns 1 for a package with a known vulnerability."""
    if not program.exists():
        print("audit: pip-audit is not installed, so nothing was audited.")
        return 0
    packages = audited(program, "--local", "--skip-editable") if probed(program) else []
    if not packages:
        print("audit: the list of known vulnerabilities cannot be reached from here, so nothing was audited.")
        return 0
    vulnerable = [each for each in packages if each["vulns"]]
    for each in vulnerable:
        print(f"audit: {each['name']} {each['version']}:", ", ".join(found["id"] for found in each["vulns"]))
    print(f"audit: {len(packages)} packages, {len(vulnerable)} with a known vulnerability.")
    return int(bool(vulnerable))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if sys.argv[1:] else Path(sys.executable).with_name("pip-audit")))
