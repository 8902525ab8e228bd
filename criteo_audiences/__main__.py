"""`python -m criteo_audiences`: the command line."""

import sys


def main() -> None:
    """Runs the command line, or says which extra it needs."""
    try:
        from criteo_audiences.cli import app, open_streams  # noqa: PLC0415 - the extra may not be installed

        open_streams()
        app()
    except ModuleNotFoundError as missing:
        if missing.name not in {"typer", "rich"}:
            raise
        sys.exit("The command line needs the extra 'cli': pip install 'criteo-audiences[cli]'")
    except KeyboardInterrupt:  # before a command has started
        sys.exit(130)


if __name__ == "__main__":
    main()
