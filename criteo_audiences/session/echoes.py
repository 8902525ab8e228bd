"""Hides texts of an answer that repeat data of its call, after comparing them with what was sent in every encoding."""

import base64
import binascii
import codecs
import contextlib
import hashlib
import html
import itertools
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any, Final

import orjson
from attrs import define, field

from criteo_audiences.models import HIDDEN, Compared, Prose

_UNIMPORTANT: Final = re.compile(r"[\W_]+")
_SPELLED_OUT: Final = re.compile(r"(?<=[^a-z0-9])(?:at|dot)(?=[^a-z0-9])", re.IGNORECASE)
_ESCAPED: Final = re.compile(r"u\+?([0-9a-f]{4})", re.IGNORECASE)
_CODES: Final = re.compile(r"[0-9]{2,3}(?:[ ,;.:_-]+[0-9]{2,3}){5,}")
_BITS: Final = re.compile(r"[01]{8}")
_DIGITS: Final = re.compile(r"[0-9]{16,}")
_WRITTEN_BYTES: Final = re.compile(r"(?:[0-9a-f]{2}[ :.-]?){6,}", re.IGNORECASE)
_BASE64: Final = re.compile(r"[A-Za-z0-9+/_-]{8,}")
_BASE32: Final = re.compile(r"[A-Z2-7]{8,}", re.IGNORECASE)
_URL_SAFE: Final = str.maketrans("-_", "+/")


def plain(text: str) -> str:
    """Returns a text without case and punctuation."""
    return _UNIMPORTANT.sub("", text.casefold())


def readings(text: str) -> Iterator[str]:
    """Yields the other readings of a text; decoded bytes come as text and as hexadecimal digits."""
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
    """Yields the bytes that a text may encode."""
    for found in _CODES.findall(text):
        yield bytes(code for code in map(int, re.findall("[0-9]+", found)) if code < 256)  # noqa: PLR2004 - a byte
    if bits := _BITS.findall(text):
        yield bytes(int(each, 2) for each in bits)
    for found in _DIGITS.findall(text):
        number = int(found)
        yield number.to_bytes((number.bit_length() + 7) // 8)
    for found in _WRITTEN_BYTES.findall(text):
        yield bytes.fromhex(re.sub("[^0-9A-Fa-f]", "", found))
    for found in _BASE64.findall(text):
        standard = found.translate(_URL_SAFE)
        for start in range(4):  # the encoded data may begin inside a group
            yield from _based(base64.b64decode, standard[start:], 4)
    for found in _BASE32.findall(text):
        yield from _based(base64.b32decode, found.upper(), 8)


def _based(decode: Callable[[str], bytes], text: str, size: int) -> Iterator[bytes]:
    """Yields the bytes that a text in base32 or base64 decodes to; its last group may lack its padding."""
    with contextlib.suppress(binascii.Error):
        yield decode(text + "=" * (-len(text) % size))
    with contextlib.suppress(binascii.Error):
        yield decode(text[: len(text) // size * size])


_TEXTS: Final = ("code", "instance", "traceId", "traceIdentifier")
_PROSE: Final = ("title", "detail")
_LISTS: Final = ("errors", "warnings")
_ITEM: Final = re.compile(r"@data/\d{1,9}(?=/|\Z)")
_HEXADECIMAL: Final = re.compile(r"[0-9a-f]{16,}")
_DIGEST: Final = re.compile(r"[0-9a-f]{32}(?:[0-9a-f]{32})?")
_UUID: Final = re.compile(r"(?=.*[a-f])[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_NUMBER: Final = re.compile(r"(?<![0-9A-Za-z])[0-9](?:[ ().\-/_]*[0-9]){6,14}(?![0-9A-Za-z])")
IDENTIFIERS: Final = b'"identifiers":['
"""Precedes the identifiers in the body of an amendment."""
_STRING: Final = re.compile(rb'"((?:[^"\\\\]|\\\\.)*)"')
_LONGEST: Final = 256
_MOST_TEXTS: Final = 64
"""Most different texts of an answer that are compared; a normal answer has a few. Any others are not shown."""
_MOST_IN_A_ROW: Final = 200
_LONGEST_TRACE: Final = 48
"""Hexadecimal digits of the longest trace id; a text with more is some digest."""
_WORD: Final = 6
"""Fewest characters of a sent text that is found anywhere; a shorter text is found only as a whole word."""
_PART: Final = 7
"""Fewest characters of a part of a sent text that is found."""
_BLOCK: Final = 8
"""Digits of a block of a digest: any 15 digits of a digest contain a whole block, by which the index finds them."""
_PIECE: Final = 1_000


def _digests(text: str) -> Iterator[str]:
    """Yields the digests of a text, computed as Criteo and others do."""
    raw = text.encode("utf-8", "surrogatepass")
    md5, sha256 = hashlib.md5(raw, usedforsecurity=False).hexdigest(), hashlib.sha256(raw).hexdigest()
    yield md5
    yield sha256
    yield hashlib.sha1(raw, usedforsecurity=False).hexdigest()
    yield hashlib.sha512(raw).hexdigest()
    yield hashlib.sha256(md5.encode()).hexdigest()
    yield hashlib.md5(sha256.encode(), usedforsecurity=False).hexdigest()


def _spellings(text: str) -> set[str]:
    """Returns the spellings in which a text may be hashed; only a text without letters may be a phone number."""
    if any(map(str.isalpha, text)):
        return {text, text.strip().lower()}
    digits = _digits(text)
    return {text, text.strip(), digits, f"+{digits}"} - {"", "+"}


def _digits(text: str) -> str:
    return "".join(filter(str.isdigit, text))


def _digests_of(texts: Iterable[str]) -> Iterator[str]:
    return (digest for text in texts for spelling in _spellings(text) for digest in _digests(spelling))


@define(eq=False)
class _Text:
    """A text of an answer, or several texts in a row.

    Attributes:
        members: the texts that are hidden if this one is an echo.
        readings: the text as it stands and decoded, without case and punctuation.
        equals: it is an echo if a sent text equals one of these.
        parts: it is an echo if a sent text contains one of these.
        words: it is an echo if a secret contains one of these.
        has_number: whether it may contain a phone number.
        is_echo: whether it repeats something that was sent.
    """

    members: tuple[str, ...]
    readings: list[str]
    equals: set[str] = field(factory=set)
    parts: set[str] = field(factory=set)
    words: set[str] = field(factory=set)
    has_number: bool = False
    is_echo: bool = False

    @classmethod
    def single(cls, text: str) -> "_Text":
        """Reads one text in every way."""
        parts = {plain(part) for part in (text, *re.split(r"[/\s]", text))}
        words = {word for word in re.split(r"[\W_]+", text.casefold()) if word}
        spoken = {text, *text.split(), *text.split("/"), *words}
        numbers = [] if _UUID.fullmatch(text) else _NUMBER.findall(text)
        # As they are dialed inside their country.
        dialed = {_digits(part).lstrip("0") for number in numbers for part in (number, *re.split("[/ ]", number))}
        said = list({plain(reading) for reading in (text, *readings(text))})
        return cls(
            members=(text,),
            readings=said,
            equals=parts | words | set(_digests_of(spoken)),  # what was sent as a hash may come back in plain text
            parts={part for part in parts | dialed if len(part) >= _PART},
            words={word for word in words if len(word) >= _PART},
            has_number=bool(numbers),
            is_echo=any(len(run) > _LONGEST_TRACE for run in _HEXADECIMAL.findall(plain(text))),
        )

    @classmethod
    def row(cls, texts: Sequence[str]) -> "_Text":
        """Reads texts together, because each may contain only a piece of what was sent."""
        joined = [plain("".join(texts)), plain("".join(reversed(texts)))]
        return cls(members=tuple(texts), readings=[*joined, *(text[::-1] for text in joined)])

    @property
    def runs(self) -> list[str]:
        """Its runs of hexadecimal digits."""
        return [run for reading in self.readings for run in _HEXADECIMAL.findall(reading)]


class _Shown:
    """The texts of an answer, with an index that quickly rules out that any of them contains a sent text."""

    def __init__(self, texts: Sequence[_Text]) -> None:
        self._texts = texts
        self._equals = {known for text in texts for known in text.equals}
        self._parts = {part for text in texts for part in text.parts}
        self._pieces = _windows((reading for text in texts for reading in text.readings), _WORD)
        self._runs = [(text, text.runs) for text in texts]
        self._blocks = _windows((run for _, runs in self._runs for run in runs), _BLOCK)

    def meet(self, sent: Sequence[str]) -> None:
        """Marks the texts of the answer that contain a sent text, a part of one, or a digest of one."""
        plains = {plain(text) for text in sent} - {""}
        joined = "\n".join(plains)
        has_digests = any(map(_DIGEST.fullmatch, sent))  # which may be that of any phone number
        equal = plains & self._equals
        parts = {part for part in self._parts if part in joined}
        within = [known for known in plains if len(known) >= _WORD and self._has_words_of(known)]
        digests = [digest for digest in _digests_of(sent if self._blocks else ()) if self._has_block_of(digest)]
        for text, runs in self._runs:
            text.is_echo = (
                text.is_echo
                or (text.has_number and has_digests)
                or not equal.isdisjoint(text.equals)
                or not parts.isdisjoint(text.parts)
                or any(known in reading for known in within for reading in text.readings)
                or any(run in digest or digest in run for digest in digests for run in runs)
            )

    def meet_secrets(self, secrets: Sequence[str]) -> None:
        """Marks the texts that contain a secret or a part of one."""
        self.meet(secrets)
        joined = "\n".join(map(plain, secrets))
        for text in self._texts:
            text.is_echo = text.is_echo or any(word in joined for word in text.words)

    def _has_words_of(self, known: str) -> bool:
        ends = (*range(_WORD, len(known), _WORD), len(known))
        return all(known[end - _WORD : end] in self._pieces for end in ends)

    def _has_block_of(self, digest: str) -> bool:
        return any(digest[at : at + _BLOCK] in self._blocks for at in range(0, len(digest), _BLOCK))


def _windows(texts: Iterable[str], size: int) -> set[str]:
    """Returns every substring of the texts with the given length."""
    return {text[at : at + size] for text in texts for at in range(len(text) - size + 1)}


_Place = tuple[dict[str, Any], str, str]
"""The object that contains a text, the text's key there, and the part of the text that is compared."""


class Echoes:
    """Compares the displayed texts of an answer with the identifiers, secrets and tokens of its call.

    Args:
        body: the request's body, in pieces.
        secrets: secrets that the call carried outside its body.
        has_prose: whether sentences of the answer may be shown as well, because the call carries no identifiers.
    """

    def __init__(
        self, body: Sequence[bytes | memoryview], secrets: Collection[str], *, has_prose: bool = False
    ) -> None:
        self._body = body
        self._secrets = list(secrets)
        self._has_prose = has_prose

    def compare(self, document: Any, most: int) -> None:
        """Marks the texts of an answer's document that may be shown, and replaces the others.

        Args:
            document: decoded JSON.
            most: the most problems to keep of each list.
        """
        if not isinstance(document, dict):
            return
        mark = Prose if self._has_prose else Compared
        places = self._found(document, most, _TEXTS)
        shown = self._shown_of(places, _TEXTS)
        for holder, key, text in places:
            holder[key] = mark(holder[key]) if text in shown else _hidden(holder[key])
        sentences = self._found(document, most, _PROSE) if self._has_prose else []
        shown = self._shown_of(sentences, _PROSE)
        for holder, key, text in sentences:
            if text in shown:
                holder[key] = Prose(" ".join(holder[key].split()))

    def _found(self, document: dict[str, Any], most: int, names: Sequence[str]) -> list[_Place]:
        return [(holder, key, _ITEM.sub("", holder[key])) for holder, key in _places(document, most, names)]

    def _shown_of(self, places: Sequence[_Place], names: Sequence[str]) -> set[str]:
        """Returns which texts of an answer may be shown."""
        if not places:  # as in nearly every answer: what was sent need not be read
            return set()
        rows = [[text for _, key, text in places if key == name] for name in names]
        return self._may_be_shown([text for _, _, text in places], rows)

    def _may_be_shown(self, texts: Sequence[str], rows: Sequence[Sequence[str]]) -> set[str]:
        """Returns the texts that repeat nothing of what was sent."""
        different = dict.fromkeys(text for text in ("", *texts) if len(text) <= _LONGEST)
        singles = [_Text.single(text) for text in itertools.islice(different, _MOST_TEXTS)]
        compared = {member for text in singles for member in text.members}
        kept = [[text for text in row if text in compared][:_MOST_IN_A_ROW] for row in (*rows, texts)]
        found = [*singles, *(_Text.row(row) for row in kept if len(row) > 1)]
        known = _Shown(found)
        known.meet_secrets(self._secrets)
        for piece in _identifiers(self._body):
            known.meet(piece)
        return compared - {member for text in found if text.is_echo for member in text.members}


def _places(document: dict[str, Any], most: int, names: Sequence[str]) -> Iterator[tuple[dict[str, Any], str]]:
    """Yields the place of each text of an answer that messages may show: its object and its key."""
    if names is _TEXTS and isinstance(document.get("error"), str):
        yield document, "error"
    for name in _LISTS:
        entries = document.get(name)
        for entry in entries[:most] if isinstance(entries, list) else ():
            if isinstance(entry, dict):
                yield from ((entry, key) for key in names if isinstance(entry.get(key), str))


def _hidden(text: str) -> str:
    """Replaces a text, but keeps the reference to an item (`@data/N`) that it begins with."""
    item = _ITEM.match(text)
    return f"{item[0]}/{HIDDEN}" if item else HIDDEN


def _identifiers(body: Sequence[bytes | memoryview]) -> Iterator[list[str]]:
    """Yields the identifiers of an amendment in groups; other calls carry none."""
    opening = b"".join(body[:1])
    if IDENTIFIERS not in opening:
        return
    _, _, first = opening.partition(IDENTIFIERS)
    for piece in (first, *map(bytes, body[1:])):
        inside = piece.strip(b",").removesuffix(b"]}}}")
        try:
            found: list[Any] = orjson.loads(b"[%b]" % inside)
        except orjson.JSONDecodeError:  # not JSON: its strings are compared all the same
            found = [text.decode("utf-8", "replace") for text in _STRING.findall(piece)]
        for start in range(0, len(found), _PIECE):
            yield [each for each in found[start : start + _PIECE] if isinstance(each, str)]
