"""Which encoding a text is in, and the same text in UTF-8."""

import codecs
import itertools
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Final

REPLACEMENT: Final = "\ufffd"
"""Stands for what could not be decoded; no identifier may hold it."""

# Longer marks stand before the shorter ones that they begin with.
_MARKS: Final = (
    (b"\xff\xfe\x00\x00", "utf-32-le"),
    (b"\x00\x00\xfe\xff", "utf-32-be"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
)
_PEEK: Final = 4096
_ASCII: Final = bytes(range(0x80))
# Of the bytes beyond ASCII, how many must be well-formed UTF-8 for the others to be damage and not another encoding.
# Text of a code page hardly ever is, by accident.
_WELL_FORMED: Final = 0.5
# Japanese spreadsheets write Shift JIS. A fifth of the characters beyond ASCII being kana is less than any Japanese
# text has, and far more than another code page's text has by accident.
_KANA = re.compile("[\u3041-\u30ff]+")
_LEAST_KANA: Final = 0.2
_MOST_DAMAGE: Final = 0.01
_SAMPLED_PIECES: Final = 512
# Bytes decoded at a time: damaged and foreign text takes long to decode, and Python's lock is held meanwhile.
_PIECE: Final = 32 * 1024


def wide_encoding(start: bytes) -> str | None:
    """Returns UTF-16 or UTF-32 when a file begins with its mark, or like UTF-16 without one; `None` otherwise."""
    for mark, encoding in _MARKS:
        if start.startswith(mark):
            return encoding
    even, odd = start[:_PEEK:2], start[1:_PEEK:2]
    # Half of the bytes of Western text in UTF-16 are zero, all on the same side.
    for zeros, letters, encoding in ((odd, even, "utf-16-le"), (even, odd, "utf-16-be")):
        if zeros.count(0) > len(zeros) // 2 and not letters.count(0):
            return encoding
    return None


def narrow_encoding(read: Callable[[], Iterable[bytes]]) -> str:
    """Returns the encoding that explains a text's bytes: UTF-8 with damaged places, Shift JIS, or else cp1252.

    Args:
        read: begins to read the whole text, which is not clean UTF-8.
    """
    decoder = codecs.getincrementaldecoder("utf-8")("ignore")
    beyond_ascii = well_formed = 0
    for chunk in _pieces(read()):
        beyond = len(chunk.translate(None, _ASCII))
        beyond_ascii += beyond
        well_formed += len(decoder.decode(chunk).encode()) - (len(chunk) - beyond)
    if well_formed >= beyond_ascii * _WELL_FORMED:
        return "utf-8"
    return "cp932" if _is_japanese(read()) else "cp1252"


def _is_japanese(chunks: Iterable[bytes]) -> bool:
    decoder = codecs.getincrementaldecoder("cp932")("replace")
    beyond_ascii = kana = damaged = 0
    for chunk in itertools.islice(_pieces(chunks), _SAMPLED_PIECES):
        text = decoder.decode(chunk)
        beyond_ascii += len(text) - len(text.encode("ascii", "ignore"))
        kana += len(text) - len(_KANA.sub("", text))
        damaged += text.count(REPLACEMENT)
    return kana >= beyond_ascii * _LEAST_KANA and damaged <= beyond_ascii * _MOST_DAMAGE


def transcoded(chunks: Iterable[bytes], encoding: str) -> Iterator[bytes]:
    """Yields a text in UTF-8 without a byte order mark, `REPLACEMENT` where bytes mean nothing."""
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    begun = False
    for chunk in _pieces(chunks):
        text = decoder.decode(chunk)
        if text and not begun:
            begun, text = True, text.removeprefix("\ufeff")
        if text:
            yield text.encode()
    rest = decoder.decode(b"", final=True)
    if rest:
        yield rest.encode()


def _pieces(chunks: Iterable[bytes]) -> Iterator[bytes]:
    for chunk in chunks:
        for start in range(0, len(chunk), _PIECE):
            yield chunk[start : start + _PIECE]
