"""Builds what would be published and checks it, where the package index can be reached; it never hangs.

The source distribution must stay small: the example's export is in the repository, and a smaller one in the package.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
LARGEST = 1_500_000
"""Bytes of the source distribution."""

LONGEST = 300.0
"""Seconds that each of the two runs may take."""

UNREACHABLE = ("No matching distribution found", "Could not find a version", "NewConnectionError", "Max retries")
NEEDED = ("criteo_audiences/cli/demo_export.csv", "criteo_audiences/py.typed")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs a module of this environment."""
    command = [sys.executable, "-m", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=LONGEST)


def main() -> int:
    """Says in a line what was built; returns 1 when it cannot be published as it is."""
    with tempfile.TemporaryDirectory() as folder:
        built = run("build", "--outdir", folder)
        said = built.stdout + built.stderr
        if built.returncode and any(each in said for each in UNREACHABLE):
            print("dist: the package index cannot be reached from here, so nothing was built.")
            return 0
        if built.returncode:
            print(said)
            return 1
        files = sorted(Path(folder).iterdir())
        checked = run("twine", "check", "--strict", *map(str, files))
        sdist = next(file for file in files if file.name.endswith(".tar.gz"))
        wheel = next(file for file in files if file.suffix == ".whl")
        listed = run("zipfile", "--list", str(wheel)).stdout
        faults = [f"{name} is not in the wheel" for name in NEEDED if name not in listed]
        if sdist.stat().st_size >= LARGEST:
            faults.append(f"{sdist.name} has {sdist.stat().st_size:,} bytes, {LARGEST:,} are too many")
        if checked.returncode:
            faults.append(checked.stdout + checked.stderr)
        for fault in faults:
            print(f"dist: {fault}")
        sizes = ", ".join(f"{file.name} {file.stat().st_size / 1e6:.2f} MB" for file in files)
        print(f"dist: {sizes}; {'not fit to be published' if faults else 'checked by twine'}.")
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
