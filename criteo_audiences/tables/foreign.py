"""Formats that are no list of rows, recognized by how their files begin."""

from typing import Final

from criteo_audiences.errors import ConfigurationError

EXPECTED: Final = "CSV, TSV or JSON lines (plain, gzip or zstd), or Parquet"

# Longer beginnings stand before shorter ones that they begin with.
_FOREIGN: Final = (
    (b"PK\x03\x04", "an Excel workbook or another zip archive (save its sheet as CSV)"),
    (b"PK\x05\x06", "an empty zip archive"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Excel workbook (save its sheet as CSV)"),
    (b"BZh", "bzip2-compressed"),
    (b"\xfd7zXZ\x00", "xz-compressed"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"\x04\x22\x4d\x18", "lz4-compressed"),
    (b"\xff\x06\x00\x00sNaPpY", "snappy-compressed"),
    (b"SQLite format 3\x00", "an SQLite database"),
    (b"%PDF-", "a PDF"),
    (b"{\\rtf", "a rich-text document"),
    (b"PARE", "an encrypted Parquet file"),
    (b"PAR1", "a Parquet file inside a compressed one"),
    (b"ORC", "an ORC file"),
    (b"Obj\x01", "an Avro file"),
    (b"ARROW1", "an Arrow file"),
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"\x1f\x8b", "gzip inside a compressed file"),
    (b"\x28\xb5\x2f\xfd", "zstd inside a compressed file"),
)
_MARKUP: Final = ((b"<?xml", "XML"), (b"<!doctype html", "a web page"), (b"<html", "a web page"))
# What is neither text nor a delimiter in use; \x01 is Hive's.
_CONTROLS: Final = bytes(set(range(0x20)) - set(b"\x01\t\n\v\f\r\x1a\x1b")) + b"\x7f"
_MOST_CONTROLS: Final = 0.01
_STRAY: Final = 2  # control characters that a short text may hold by accident


def require_rows(start: bytes, name: str) -> None:
    """Refuses what begins as no list of rows does.

    Args:
        start: the first bytes, decompressed; UTF-16 and Parquet have been told apart already.
        name: the file's name, for the message.

    Raises:
        ConfigurationError: says what the file is and what is expected.
    """
    for magic, what in _FOREIGN:
        if start.startswith(magic) and not (magic.isalnum() and _reads_on(start[len(magic) :])):
            raise ConfigurationError(f"{name} is {what}; expected {EXPECTED}.")
    begun = start.removeprefix(b"\xef\xbb\xbf").lstrip()[:64].lower()
    for tag, what in _MARKUP:
        if begun.startswith(tag):
            raise ConfigurationError(f"{name} is {what}; expected {EXPECTED}.")
    if not is_stray(controls_in(start), len(start)):
        raise binary(name)


def controls_in(content: bytes) -> int:
    """Counts control characters that no text has."""
    return len(content) - len(content.translate(None, _CONTROLS))


def is_stray(controls: int, size: int) -> bool:
    """Tells whether so few control characters stand in so many bytes that they are an accident in a text."""
    return controls <= max(_STRAY, size * _MOST_CONTROLS)


def stray_nul(name: str, line: int) -> ConfigurationError:
    """Returns the error for a text with a zero byte in it."""
    return ConfigurationError(
        f"Line {line:,} of {name} holds a NUL (a zero byte), which no text holds; "
        "export the file again, or take it out with tr -d '\\000'."
    )


def binary(name: str) -> ConfigurationError:
    """Returns the error for what is no text."""
    return ConfigurationError(f"{name} is binary; expected {EXPECTED}.")


def _reads_on(rest: bytes) -> bool:
    """Tells whether letters that could be a format's mark are only the beginning of a header, as in `ORCID`."""
    begun = rest[:32]
    return begun.isascii() and begun.translate(None, _CONTROLS) == begun
