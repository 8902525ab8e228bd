"""The command line: parses arguments, prints results; all it does, it does through the package's public names."""

from criteo_audiences.cli.app import app
from criteo_audiences.cli.output import open_streams

__all__ = ["app", "open_streams"]
