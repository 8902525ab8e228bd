"""Draws docs/demo.svg: what `make demo` prints in a terminal of 80 columns. Run it with `make picture`."""

import re
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).parent.parent
PICTURE = ROOT / "docs" / "demo.svg"


def main() -> None:
    """Runs the demo and draws what it prints."""
    command = [sys.executable, "-m", "criteo_audiences", "demo", "--quiet"]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    console = Console(record=True, width=82, file=sys.stdout)
    console.print(Text("$ make demo", style="bold"))
    for line in printed.splitlines():
        text = Text(line)
        text.highlight_regex("^OK", "bold green")
        console.print(text)
    drawn = console.export_svg(title="criteo-audiences", unique_id="demo")
    PICTURE.write_text(re.sub(r"\s*@font-face \{.*?\}\n", "", drawn, flags=re.DOTALL), encoding="utf-8")


if __name__ == "__main__":
    main()
