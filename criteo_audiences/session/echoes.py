"""What an answer shows of what its own call has sent: a server may put anything into a code or a trace id."""

import hashlib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Final

import orjson

from criteo_audiences.models import HIDDEN, Compared

_TEXTS: Final = ("code", "instance", "traceId", "traceIdentifier")
_LISTS: Final = ("errors", "warnings")
_ITEM: Final = re.compile(r"@data/\d{1,9}(?=/|\Z)")
_UNIMPORTANT: Final = re.compile(r"[\W_]+")
_HEXADECIMAL: Final = re.compile(r"[0-9a-f]{16,}")
_DIGEST: Final = re.compile(r"[0-9a-f]{32}(?:[0-9a-f]{32})?")
_UUID: Final = re.compile(r"(?=.*[a-f])[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_NUMBER: Final = re.compile(r"(?<![0-9A-Za-z])[0-9](?:[ ().\-/_]*[0-9]){6,14}(?![0-9A-Za-z])")
_STRING: Final = re.compile(rb'"((?:[^"\\\\]|\\\\.)*)"')
_LONGEST: Final = 256
_WORD: Final = 6
"""Characters from which a text sent counts wherever it occurs; a shorter one counts as a whole word only."""
_PART: Final = 7
"""Characters from which a part of a text sent counts."""


def _plain(text: str) -> str:
    return _UNIMPORTANT.sub("", text.casefold())


def _digests(text: str) -> Iterator[str]:
    """Yields what a text may be hashed to, as Criteo and others do it."""
    raw = text.encode("utf-8", "surrogatepass")
    md5 = hashlib.md5(raw, usedforsecurity=False).hexdigest()
    yield md5
    yield hashlib.sha1(raw, usedforsecurity=False).hexdigest()
    yield hashlib.sha256(raw).hexdigest()
    yield hashlib.sha512(raw).hexdigest()
    yield hashlib.sha256(md5.encode()).hexdigest()


def _spellings(text: str) -> set[str]:
    """Returns what of a text may be hashed; the digits of an address or a digest are nobody's number."""
    if any(map(str.isalpha, text)):
        return {text, text.strip().lower()}
    digits = "".join(filter(str.isdigit, text))
    return {text, text.strip(), digits, f"+{digits}"} - {"", "+"}


class Echoes:
    """Compares the texts of an answer that are shown with the identifiers, secrets and tokens of its call.

    Args:
        body: of the request, in pieces.
        secrets: what else the call carried.
    """

    def __init__(self, body: Sequence[bytes], secrets: Collection[str]) -> None:
        self._body = body
        self._secrets = secrets
        self._known: dict[str, str] = {}

    def compare(self, document: Any, most: int) -> None:
        """Marks, in an answer's document, the texts that may be shown, and takes out those that may not.

        Args:
            document: decoded JSON.
            most: problems that are kept of each list.
        """
        if not isinstance(document, dict):
            return
        if isinstance(document.get("error"), str):
            document["error"] = self._compared(document["error"])
        for name in _LISTS:
            entries = document.get(name)
            for entry in entries[:most] if isinstance(entries, list) else ():
                if isinstance(entry, dict):
                    entry.update({key: self._compared(entry[key]) for key in _TEXTS if isinstance(entry.get(key), str)})

    def _compared(self, text: str) -> str:
        if len(text) > _LONGEST:
            return HIDDEN
        if text not in self._known:
            self._known[text] = self._hidden(text) if self._is_echo(text) else Compared(text)
        return self._known[text]

    @staticmethod
    def _hidden(text: str) -> str:
        """Keeps which item of a call a text is about."""
        item = _ITEM.match(text)
        return f"{item[0]}/{HIDDEN}" if item else HIDDEN

    def _is_echo(self, text: str) -> bool:
        text = _ITEM.sub("", text)
        if not _UUID.fullmatch(text) and any(self._may_be_sent(run) for run in _NUMBER.findall(text)):
            return True
        whole, parts = _plain(text), {_plain(part) for part in re.split(r"[/\s]", text)}
        words = {word for word in re.split(r"[\W_]+", text.casefold()) if word}
        if not self._sent.isdisjoint({whole, *parts, *words}) or self._contains_any(whole):
            return True
        if any(len(part) >= _PART and part in self._all_sent for part in {whole, *parts}):
            return True
        if any(len(word) >= _PART and word in secret for secret in self._plain_secrets for word in words):
            return True
        if any(
            digest in self._sent for word in {text, *text.split(), *text.split("/"), *words} for digest in _of(word)
        ):
            return True
        return any(run in self._all_digests or self._has_digest(run) for run in _HEXADECIMAL.findall(whole))

    def _may_be_sent(self, number: str) -> bool:
        """Tells whether digits may be a phone number of the call, as it is dialed inside its country.

        What was sent as a digest may be any number.
        """
        parts = ("".join(filter(str.isdigit, part)).lstrip("0") for part in (number, *re.split("[/ ]", number)))
        return self._has_sent_digests or any(len(part) >= _PART and part in self._all_sent for part in parts)

    @cached_property
    def _has_sent_digests(self) -> bool:
        return any(map(_DIGEST.fullmatch, self._identifiers))

    def _contains_any(self, text: str) -> bool:
        return any(
            text[start : start + length] in self._sent
            for length in self._lengths
            for start in range(len(text) - length + 1)
        )

    def _has_digest(self, run: str) -> bool:
        lengths = (32, 40, 64, 128)
        return any(
            run[start : start + length] in self._digests for length in lengths for start in range(len(run) - length + 1)
        )

    @cached_property
    def _texts(self) -> list[str]:
        return [*self._identifiers, *self._secrets]

    @cached_property
    def _identifiers(self) -> list[str]:
        return _identifiers(self._body)

    @cached_property
    def _sent(self) -> set[str]:
        return {_plain(text) for text in self._texts} - {""}

    @cached_property
    def _plain_secrets(self) -> list[str]:
        return [_plain(secret) for secret in self._secrets]

    @cached_property
    def _lengths(self) -> list[int]:
        return sorted({len(text) for text in self._sent if _WORD <= len(text) <= _LONGEST})

    @cached_property
    def _all_sent(self) -> str:
        return "\n".join(self._sent)

    @cached_property
    def _digests(self) -> set[str]:
        return {digest for text in self._texts for spelling in _spellings(text) for digest in _digests(spelling)}

    @cached_property
    def _all_digests(self) -> str:
        return "\n".join(self._digests)


def _of(word: str) -> Iterable[str]:
    """Yields the digests of the spellings of a word: an identifier that was sent hashed may come back in clear."""
    return (digest for spelling in _spellings(word) for digest in _digests(spelling))


def _identifiers(body: Sequence[bytes]) -> list[str]:
    """Returns the identifiers of an amendment; other calls carry none."""
    if not body or b'"identifiers":' not in body[0]:
        return []
    whole = b"".join(body)
    try:
        document: Any = orjson.loads(whole)
    except orjson.JSONDecodeError:  # whatever it is, nothing of it is shown
        return [text.decode("utf-8", "replace") for text in _STRING.findall(whole)]
    for name in ("data", "attributes", "identifiers"):
        document = document.get(name) if isinstance(document, Mapping) else None
    return [each for each in document if isinstance(each, str)] if isinstance(document, list) else []
