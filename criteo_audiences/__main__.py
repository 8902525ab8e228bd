"""`python -m criteo_audiences`: the command line."""

import sys


def main() -> None:
    """Runs the command line, or says which extra it needs."""
    try:
        from criteo_audiences.cli import app  # noqa: PLC0415 - the extra may not be installed
    except ModuleNotFoundError as missing:
        if missing.name not in {"typer", "rich"}:
            raise
        sys.exit("The command line needs the extra 'cli': pip install 'criteo-audiences[cli]'")
    app()


if __name__ == "__main__":
    main()
