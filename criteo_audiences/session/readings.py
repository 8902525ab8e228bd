"""Decodes a text in every way it may be written: encoded, backwards, spelled out."""

import base64
import binascii
import codecs
import contextlib
import html
import re
from collections.abc import Callable, Iterator
from typing import Final

_UNIMPORTANT: Final = re.compile(r"[\W_]+")
_SPELLED_OUT: Final = re.compile(r"(?<=[^a-z0-9])(?:at|dot)(?=[^a-z0-9])", re.IGNORECASE)
_ESCAPED: Final = re.compile(r"u\+?([0-9a-f]{4})", re.IGNORECASE)
_CODES: Final = re.compile(r"[0-9]{2,3}(?:[ ,;.:_-]+[0-9]{2,3}){5,}")
_BITS: Final = re.compile(r"[01]{8}")
_DIGITS: Final = re.compile(r"[0-9]{16,}")
_HEXADECIMAL: Final = re.compile(r"(?:[0-9a-f]{2}[ :.-]?){6,}", re.IGNORECASE)
_BASE64: Final = re.compile(r"[A-Za-z0-9+/_-]{8,}")
_BASE32: Final = re.compile(r"[A-Z2-7]{8,}", re.IGNORECASE)
_URL_SAFE: Final = str.maketrans("-_", "+/")


def plain(text: str) -> str:
    """Returns a text without case and punctuation."""
    return _UNIMPORTANT.sub("", text.casefold())


def readings(text: str) -> Iterator[str]:
    """Yields the other readings of a text; bytes that are no text come as hexadecimal digits."""
    yield text[::-1]
    yield codecs.decode(text, "rot13")
    yield _SPELLED_OUT.sub("", text)
    yield html.unescape(text)
    yield _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text)
    for once in dict.fromkeys(_decoded(text)):
        yield once.decode("utf-8", "ignore")
        yield once.hex()
        for twice in _decoded(once.decode("latin-1")):
            yield twice.decode("utf-8", "ignore")


def _decoded(text: str) -> Iterator[bytes]:
    """Yields the bytes that a text may stand for."""
    for found in _CODES.findall(text):
        yield bytes(code for code in map(int, re.findall("[0-9]+", found)) if code < 256)  # noqa: PLR2004 - a byte
    if bits := _BITS.findall(text):
        yield bytes(int(each, 2) for each in bits)
    for found in _DIGITS.findall(text):
        number = int(found)
        yield number.to_bytes((number.bit_length() + 7) // 8)
    for found in _HEXADECIMAL.findall(text):
        yield bytes.fromhex(re.sub("[^0-9A-Fa-f]", "", found))
    for found in _BASE64.findall(text):
        standard = found.translate(_URL_SAFE)
        for start in range(4):  # it may begin in the middle
            yield from _based(base64.b64decode, standard[start:], 4)
    for found in _BASE32.findall(text):
        yield from _based(base64.b32decode, found.upper(), 8)


def _based(decode: Callable[[str], bytes], text: str, size: int) -> Iterator[bytes]:
    """Yields what a text in groups of characters decodes to; its last group may lack its padding."""
    with contextlib.suppress(binascii.Error):
        yield decode(text + "=" * (-len(text) % size))
    with contextlib.suppress(binascii.Error):
        yield decode(text[: len(text) // size * size])
