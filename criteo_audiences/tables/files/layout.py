"""Describes a file: format, encoding, delimiter, header and first rows; also detects and converts encodings."""

import codecs
import itertools
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Final, Literal

from attrs import field, frozen

from criteo_audiences.errors import ConfigurationError
from criteo_audiences.tables.files.paths import LiteralPath

Compression = Literal["none", "gzip", "zstd"]
Format = Literal["csv", "parquet", "json", "query", "stream"]
Row = tuple[str | None, ...]


LONGEST_LINE: Final = 2_000_000
"""Most bytes of a row of delimited text; the engine refuses longer rows, and may silently lose the last one."""

SAMPLED_ROWS: Final = 1_000
"""Rows of data that are read before a column is chosen."""


@frozen(kw_only=True)
class Layout:
    """How a file must be read: determined before the engine opens it, so that the engine has nothing to guess.

    Attributes:
        path: the file that is read: the original, or a clean copy of it.
        name: the file's own name, for messages.
        format: `json` is one JSON object a line.
        names: the columns' names in order, trimmed; of JSON, the sampled objects' keys in order of first appearance.
        types: the engine's types of Parquet columns; empty for the other formats.
        files: Parquet files that are one table.
        partitioned: whether the directories of those files are columns, too.
        held: for each column of JSON, the values in the sample that are neither text nor whole numbers: `lists`,
            `structures`, `fractions`, or empty.
        delimiter: the character between a CSV file's cells.
        skip: rows of a CSV file before its first row of data; an empty line counts as a row, as for DuckDB.
        compression: the compression of the file at `path`.
        quotes: whether a quote occurs after a CSV file's header, so that rows may span lines.
        likely_header: the number of a later line of a CSV file that looks more like its header, `None` without one.
        guess: the encoding in which a text was read, if it is only a guess; empty if it is certain.
        rows: how many rows of data there are, without empty lines; `None` if that is unknown.
        recount: counts the rows again without lines of blanks, which `rows` may include; `None` if `rows` is exact.
        is_broken: whether there are rows with broken quotes; the copy has `BROKEN` in all cells of these rows.
        hiding: the first row of a CSV file with a quoted cell that may hide whole rows; `None` without one.
        notes: remarks on the file for the report, a sentence each.
        sample: the first rows, one entry per column; `None` for a missing cell.
    """

    path: str
    name: str
    format: Format
    names: tuple[str, ...]
    types: tuple[str, ...] = ()
    files: tuple[LiteralPath, ...] = ()
    partitioned: bool = False
    held: tuple[str, ...] = ()
    delimiter: str = ","
    skip: int = 0
    compression: Compression = "none"
    quotes: bool = False
    likely_header: int | None = None
    guess: str = ""
    rows: int | None = None
    recount: Callable[[], int] | None = field(default=None, repr=False)
    is_broken: bool = False
    hiding: int | None = None
    notes: tuple[str, ...] = ()
    sample: tuple[Row, ...] = field(default=(), repr=False)


REPLACEMENT: Final = "\ufffd"
"""Replaces bytes that could not be decoded; no identifier may contain it."""

_ASCII: Final = bytes(range(0x80))
# Share of the bytes beyond ASCII that must be well-formed UTF-8 if the rest is damage and not another encoding. Text in
# a code page is hardly ever well-formed UTF-8 by accident.
_WELL_FORMED: Final = 0.5
_SURELY_WELL_FORMED: Final = 0.9
# Japanese spreadsheets write Shift JIS. In Japanese text, more than a fifth of the characters beyond ASCII are kana. In
# text of another code page, far fewer are, by accident.
_KANA = re.compile("[\u3041-\u30ff]+")
_LEAST_KANA: Final = 0.2
_MOST_DAMAGE: Final = 0.01
_SAMPLED_PIECES: Final = 512
_ENOUGH_LINES: Final = 64 * 1024
# Share of the bytes beyond ASCII that must be within words that are typical of an encoding.
_MOST_INSIDE: Final = 0.9
_SURE_CHARACTERS: Final = 20
_SURE_LETTERS: Final = 16
# Words of two-byte characters without a Latin letter next to them: `\xc5sa` is a Swedish name, not a Chinese word.
_PAIRS: Final = rb"(?<![A-Za-z\x80-\xff])(?:[\xa1-\xfe][%s])+(?![A-Za-z\x80-\xff])"
_HIGH_PAIRS: Final = re.compile(_PAIRS % rb"\xa1-\xfe")
_BIG5_PAIRS: Final = re.compile(_PAIRS % rb"\x40-\x7e\xa1-\xfe")
# The least share of common characters in a text. Text in another encoding has characters from the whole range.
_EAST_ASIAN: Final = (
    ("euc_jp", _HIGH_PAIRS, 1.0),
    ("euc_kr", _HIGH_PAIRS, 0.9),
    ("gb2312", _HIGH_PAIRS, 0.7),
    ("big5", _BIG5_PAIRS, 0.8),
)
_WIDER: Final = {"euc_kr": "cp949", "gb2312": "gb18030", "big5": "cp950"}
_COMMON_LEADS: Final = {"gb2312": (0xB0, 0xD7), "big5": (0xA4, 0xC6)}
# A quarter of the characters in Chinese text; none is common in Japanese.
_LAST_CHINESE = re.compile(rb"(?:[\xa1-\xff]{2})*?[\xd0-\xd7][\xa1-\xff]")
_HANGUL = re.compile("[\uac00-\ud7a3]")
_LONG_RUN = re.compile(rb"(?<![A-Za-z])[\xa8\xaa\xaf\xb2-\xb4\xb8\xba\xbf-\xff]{2,}(?![A-Za-z])")
_LETTERS: Final = {
    "cp1251": "оеаинтсрвлОЕАИНТСРВЛ",
    "koi8-r": "оеаинтсрвлОЕАИНТСРВЛ",
    "cp1253": "αοιετσνηυρςκ",
    "cp1255": "יוהלארתבמש",
    "cp1256": "اليمنرتبهو",
}
_LEAST_LETTERS: Final = 0.5
_CLEARLY: Final = 0.1
# `l` with stroke, `a` with ogonek and `z` with dot between letters; in Western text these bytes are superscripts.
_POLISH = re.compile(rb"[A-Za-z][\xb3\xb9\xbf][A-Za-z]")
# Letters of Czech, Hungarian and Croatian of which no Western language has all.
_CENTRAL: Final = tuple(frozenset(letters.encode("cp1250")) for letters in ("řšč", "řžě", "őűö", "čćšž"))
# Bytes decoded at a time. Decoding damaged or foreign text is slow, and other threads cannot run meanwhile (the GIL).
_PIECE: Final = 32 * 1024


@frozen
class Guess:
    """The encoding that a text's bytes suggest.

    Attributes:
        encoding: the codec's name.
        sure: whether no other encoding fits the bytes equally well.
    """

    encoding: str
    sure: bool


def narrow_encoding(read: Callable[[], Iterable[bytes]]) -> Guess:
    """Returns the encoding that fits a text best: UTF-8 with damaged places, that of another alphabet, or cp1252.

    Args:
        read: starts to read the whole text from its beginning; the text is not clean UTF-8.
    """
    decoder = codecs.getincrementaldecoder("utf-8")("ignore")
    beyond_ascii = well_formed = 0
    for chunk in _pieces(read()):
        beyond = len(chunk.translate(None, _ASCII))
        beyond_ascii += beyond
        well_formed += len(decoder.decode(chunk).encode()) - (len(chunk) - beyond)
    if well_formed >= beyond_ascii * _WELL_FORMED:
        return Guess("utf-8", sure=well_formed >= beyond_ascii * _SURELY_WELL_FORMED)
    if _is_japanese(read(), "cp932"):
        return Guess("cp932", sure=True)
    lines = _foreign_lines(read())
    return _double_byte(lines) or _other_alphabet(lines) or _latin(lines)


def _is_japanese(chunks: Iterable[bytes], encoding: str) -> bool:
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    beyond_ascii = kana = damaged = 0
    for chunk in itertools.islice(_pieces(chunks), _SAMPLED_PIECES):
        text = decoder.decode(chunk)
        beyond_ascii += len(text) - len(text.encode("ascii", "ignore"))
        kana += len(text) - len(_KANA.sub("", text))
        damaged += text.count(REPLACEMENT)
    return kana >= beyond_ascii * _LEAST_KANA and damaged <= beyond_ascii * _MOST_DAMAGE


def _foreign_lines(chunks: Iterable[bytes]) -> bytes:
    """Returns the first lines with bytes beyond ASCII, because only few lines of a file may have any."""
    kept: list[bytes] = []
    size = 0
    rest = b""
    for piece in itertools.islice(_pieces(chunks), _SAMPLED_PIECES):
        *lines, rest = (rest + piece).split(b"\n")
        foreign = [line for line in lines if not line.isascii()]
        kept += foreign
        size += sum(map(len, foreign))
        if size > _ENOUGH_LINES:
            break
    return b"\n".join((*kept, rest))


def _double_byte(lines: bytes) -> Guess | None:
    """Detects encodings of East Asia, in which nearly all bytes beyond ASCII belong to words of two-byte characters."""
    beyond_ascii = len(lines.translate(None, _ASCII))
    for encoding, words, least in _EAST_ASIAN:
        found = words.findall(lines)
        inside = sum(len(word.translate(None, _ASCII)) for word in found)
        characters = "".join(word.decode(encoding, "ignore") for word in found)
        if inside < beyond_ascii * _MOST_INSIDE or not characters:
            continue
        if encoding == "euc_jp":
            if _is_japanese([lines], encoding):
                return Guess(encoding, sure=True)
        elif _common(characters, encoding) >= least * len(characters):
            return _settled(encoding, characters)
    return None


def _settled(encoding: str, characters: str) -> Guess:
    """Returns the guess for text that looks Chinese or Korean; unsure if it may be Japanese in kanji only."""
    enough = len(characters) >= _SURE_CHARACTERS
    if encoding == "gb2312" and not _LAST_CHINESE.match(characters.encode(encoding)):
        return Guess("euc_jp" if enough else "gb18030", sure=False)
    return Guess(_WIDER[encoding], sure=enough)


def _common(characters: str, encoding: str) -> int:
    """Counts the characters that are typical of an encoding: Hangul, or those in its range of common characters."""
    if encoding == "euc_kr":
        return len(_HANGUL.findall(characters))
    first, last = _COMMON_LEADS[encoding]
    return sum(1 for character in characters if first <= character.encode(encoding, "replace")[0] <= last)


def _other_alphabet(lines: bytes) -> Guess | None:
    """Detects Cyrillic and other alphabets by their most common letters; their words consist of bytes beyond ASCII."""
    words = b"".join(_LONG_RUN.findall(lines))
    if len(words) < len(lines.translate(None, _ASCII)) * _MOST_INSIDE:
        return None
    shares = {
        encoding: sum(map(words.count, (bytes([byte]) for byte in letters.encode(encoding)))) / len(words)
        for encoding, letters in _LETTERS.items()
    }
    best, second = sorted(shares, key=shares.__getitem__, reverse=True)[:2]
    if shares[best] < _LEAST_LETTERS:
        return None
    return Guess(best, sure=shares[best] - shares[second] >= _CLEARLY and len(words) >= _SURE_LETTERS)


def _latin(lines: bytes) -> Guess:
    """Distinguishes Central European text from Western text by letters in places where no Western word has them."""
    bytes_there = frozenset(lines.translate(None, _ASCII))
    if _POLISH.search(lines) or any(bytes_there >= letters for letters in _CENTRAL):
        return Guess("cp1250", sure=True)
    return Guess("cp1252", sure=False)


def transcoded(chunks: Iterable[bytes], encoding: str) -> Iterator[bytes]:
    """Yields a text in UTF-8 without a byte order mark, with `REPLACEMENT` for bytes that cannot be decoded.

    Raises:
        ConfigurationError: when the codec cannot read the text at all, such as UTF-16 without a byte order mark.
    """
    try:
        yield from _transcoded(chunks, encoding)
    except UnicodeError:  # it contains the text, so it must not become the context of the error below
        failed = True
    else:
        failed = False
    if failed:
        raise ConfigurationError(
            f"The text cannot be read with encoding={encoding!r} (--encoding): leave it out, or name the codec it was "
            "written with; UTF-16 and UTF-32 without a byte order mark need 'utf-16-le' or the like."
        )


def _transcoded(chunks: Iterable[bytes], encoding: str) -> Iterator[bytes]:
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
