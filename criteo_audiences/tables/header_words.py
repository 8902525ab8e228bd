# ruff: noqa: RUF001 - letters of other scripts are what other languages are written in
"""Recognizes column names in many languages and tools, compares them, and masks those that messages must not show."""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from enum import IntEnum
from functools import cache
from typing import Final

from attrs import frozen

from criteo_audiences.identifiers import is_hash_in_other_form, is_hashed
from criteo_audiences.models import IdentifierType

_MOST_SHOWN: Final = 40
_LONGEST_SHOWN: Final = 60
_MOST_DIGITS: Final = 5  # a name with more digits is masked: it may be a phone number in a file without a header

_ADDRESS = re.compile(r"[^\s@]@[^\s@]")
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_NUMBER = re.compile(r"\+?[\d\s()./\-]{7,}")
_DATE = re.compile(r"\d{4}[-./]?\d{2}[-./]?\d{2}|\d{2}[-./]\d{2}[-./]\d{4}")
_FEWEST_DIGITS: Final = 7


def fold(name: str) -> str:
    """Returns a name's letters and digits without case, width and accents, for comparison with other names."""
    decomposed = unicodedata.normalize("NFKD", name.casefold())
    return "".join(character for character in decomposed if character.isalnum())


def engine_names(names: Sequence[str]) -> list[str]:
    """Returns a unique name for every column, because the engine ignores case.

    A name that is empty, or that several columns share, becomes `column_` and the column's position, from 1.
    """
    folded = Counter(name.lower() for name in names)
    given = [name if name and folded[name.lower()] == 1 else None for name in names]
    taken = {name.lower() for name in given if name}
    return [name or _by_position(position, taken) for position, name in enumerate(given, start=1)]


def _by_position(position: int, taken: Container[str]) -> str:
    """Returns a name made of a column's position; appends `_` while another column has the same name."""
    name = f"column_{position}"
    while name in taken:
        name += "_"
    return name


def looks_like_data(name: str) -> bool:
    """Whether a name is an e-mail address, a digest, a device id or a phone number, so a cell of data and no name."""
    if _ADDRESS.search(name) or is_hashed(name) or is_hash_in_other_form(name) or _UUID.fullmatch(name):
        return True
    digits = sum(map(str.isdigit, name))
    return digits >= _FEWEST_DIGITS and bool(_NUMBER.fullmatch(name)) and not _DATE.fullmatch(name)


def shown(name: str) -> str:
    """Returns a name for a message, quoted; masks what may be personal data."""
    return repr(_bounded(name))


def written(name: str, quote: str = '"') -> str:
    """Returns a name, or a text, for a message, quoted as in SQL; masks what may be personal data."""
    printable = "".join(letter if letter.isprintable() else "\ufffd" for letter in _bounded(name))
    return f"{quote}{printable.replace(quote, quote * 2)}{quote}"


def _bounded(name: str) -> str:
    if looks_like_data(name) or sum(map(str.isdigit, name)) > _MOST_DIGITS:
        return "…"
    return name if len(name) <= _LONGEST_SHOWN else name[:_LONGEST_SHOWN] + "…"


def listed(names: Iterable[str], show: Callable[[str], str] = shown) -> str:
    """Returns names for a message, at most forty of them."""
    texts = [show(name) for name in names]
    return ", ".join(texts[:_MOST_SHOWN]) + (", …" if len(texts) > _MOST_SHOWN else "")


class Wording(IntEnum):
    """How clearly a header names a kind of identifier: the lower the value, the clearer."""

    EXACT = 0
    """The identifier and nothing else: `E-mail address`."""
    OWNED = 1
    """The identifier of the person the row is about: `Customer email`."""
    MENTIONED = 2
    """A header in which the word occurs: `Billing email`, but also `Email opt-in`."""
    STAFF = 3
    """The identifier of the seller or sender rather than of the customer: `Account manager email`, `Sender email`."""
    OTHER = 4
    """A header without any word for the identifier."""


@frozen
class _Words:
    """The words that name one kind of identifier in headers. They are compared without case, accents and spaces.

    Attributes:
        things: words for the identifier.
        neutral: words that may occur next to those without changing the meaning.
    """

    things: tuple[str, ...]
    neutral: tuple[str, ...]


def _words(*lines: str) -> tuple[str, ...]:
    return tuple(word.strip() for line in lines for word in line.split(","))


_OWNERS: Final = _words(
    "customer, customers, client, clients, user, users, contact, contacts, subscriber, member, person, lead, buyer",
    "attendee, attendees, purchaser, requester, registrant, respondent, applicant, donor, passenger, guest, traveler",
    "primary, main, default, preferred, account, profile, your, my, recipient, visitor, shopper, participant",
    "kunde, kunden, kontakt, benutzer, nutzer, teilnehmer, haupt, empfänger, käufer, mitglied, principal, principale",
    "du, de la, del, della, do, cliente, clienti, clientes, utilisateur, usuario, usuário, utente, contatto",
    "contacto, contato, klant, klanten, hoofd, klient, klienta, klientów, użytkownika, kund, kunds, zákazník",
    "zákazníka, müşteri, principaux, hlavní, основной, клиента, 顧客, お客様, 会員, 客户, 고객",
)
_SHORTEST_TELLING: Final = 4
# Words for people other than customers: many exports contain their addresses as well. They count as whole words only.
_STAFF: Final = _words(
    "owner, manager, rep, reps, representative, salesperson, salesman, seller, agent, assignee, assigned, employee",
    "staff, sender, from, reply, replyto, advisor, adviser, consultant, operator, merchant, author, creator, coach",
    "recruiter, inhaber, besitzer, eigentümer, betreuer, berater, verkäufer, vertriebler, vertrieb, mitarbeiter",
    "absender, bearbeiter, sachbearbeiter, propriétaire, commercial, vendeur, conseiller, gestionnaire, expéditeur",
    "collaborateur, propietario, comercial, vendedor, agente, gestor, asesor, remitente, empleado, proprietario",
    "venditore, commerciale, consulente, mittente, dipendente, proprietário, responsável, remetente, consultor",
    "eigenaar, verkoper, accountmanager, adviseur, medewerker, afzender, vertegenwoordiger, właściciel, właściciela",
    "opiekun, opiekuna, sprzedawca, sprzedawcy, handlowiec, handlowca, doradca, doradcy, nadawca, nadawcy, ägare",
    "säljare, avsändare, ejer, sælger, selger",
)
_COMPOUNDED: Final = 7
"""Fewest letters of a word that counts within another one, as in `Kontaktinhaber`; shorter ones occur by accident."""
_BY: Final = re.compile(r"\b(?:created|modified|updated|assigned|sold|handled) by\b", re.IGNORECASE)
_WORD_ENDS: Final = re.compile(r"[\W_]+|(?<=[a-z])(?=[A-Z])")
_NUMBERED: Final = _words(
    "1, value, wert, valeur, valor, valore, waarde, wartość, värde, field",
    "des, de, d, of, the, la, el, le, l, di, da, do",
)

_KINDS: Final = {
    IdentifierType.EMAIL: _Words(
        things=_words(
            "email, emails, mail, mails, courriel, courriels, mél, correo, correos, correo electrónico",
            "correo-e, correos electrónicos, correio eletrônico, correio electrónico, posta elettronica",
            "courrier électronique, messagerie électronique, messagerie, smtp addr, smtp address",
            "epost, e-posta, e-postası, e-pošta, e-poczta",
            "poczta elektroniczna, poczty elektronicznej, sähköposti, sähköpostiosoite, e-post, e-posti, e-pasts",
            "el. paštas, elpaštas",
            "elektroninis paštas, emailová, elektronická pošta, elektronski naslov, elektroničke pošte, surel",
            "thư điện tử, электронная почта, электронной почты, эл. почта, эл. почты, имейл, емейл, почта",
            "електронна пошта, електронної пошти, ел. пошта, ηλεκτρονικό ταχυδρομείο, ηλεκτρονική διεύθυνση",
            "ηλεκτρονικού ταχυδρομείου, אימייל, דואל, דואר אלקטרוני, البريد الإلكتروني, بريد إلكتروني, الإيميل, ईमेल",
            "อีเมล, メール, メールアドレス, メアド, eメール, Eメールアドレス, 電子メール, 電子メールアドレス, 邮箱",
            "邮箱地址, 电子邮箱, 电子邮件, 电子邮件地址, 邮件, 電子郵件, 電郵, 信箱, 電子信箱, 이메일, 전자우편",
            "메일",
        ),
        neutral=_words(
            "address, addresses, id, adresse, adresses, adres, adresi, adresă, adresa, adresach, adress, adressen",
            "cím, címe, dirección, direcciones, indirizzo, indirizzi, endereço, endereços, adrese, adresas, osoite",
            "aadress, адрес, адреса, διεύθυνση, כתובת, عنوان, địa chỉ, alamat, पता, ที่อยู่, アドレス, 地址, 주소",
        ),
    ),
    IdentifierType.PHONE_NUMBER: _Words(
        things=_words(
            "phone, phones, telephone, mobile, cell, cellphone, cellular, sms, whatsapp, msisdn, tel, gsm, téléphone",
            "portable, mobil, handy, telefon, telefonu, telefono, teléfono, telefone, telefoon, telephon, rufnummer",
            "mobilnummer, mobiltelefon, handynummer, festnetz, móvil, celular, cellulare, telemóvel, mobiel, komórka",
            "komórkowy, puhelin, matkapuhelin, puhelinnumero, telefoonnummer, telefonnummer, cep, cep telefonu",
            "телефон, телефона, мобильный, мобільний, τηλέφωνο, κινητό, טלפון, נייד, هاتف, الهاتف, جوال, फ़ोन, โทรศัพท์",
            "電話, 電話番号, 携帯, 携帯電話, 携帯番号, 手机, 手机号, 手机号码, 电话, 手機, 電話號碼, 电话号码, 전화",
            "전화번호, 휴대폰, 휴대전화, 핸드폰",
        ),
        neutral=_words(
            "number, numbers, no, nr, num, nummer, numéro, número, numero, numer, číslo, numarası, numara, номер",
            "αριθμός, מספר, رقم, नंबर, 番号, 号码, 號碼, 번호, phone, telephone, telefon, telefono, téléphone",
            "telefone, teléfono, телефон",
        ),
    ),
    IdentifierType.MADID: _Words(
        things=_words(
            "madid, maid, madids, maids, idfa, aaid, gaid, adid, gps adid, advertising id, advertiser id, ad id",
            "rdid, advertising identifier, mobile advertising id, mobile ad id, google advertising id, google ad id",
            "apple advertising id, android advertising id, identifier for advertisers, device advertising id",
            "mobile advertising identifier",
        ),
        neutral=_words("device, id, mobile, raw, ios, android, apple, google"),
    ),
}


_Index = Mapping[str, Sequence[str]]


@frozen
class _Folded:
    """The words of one kind, folded and indexed by their first letter.

    Attributes:
        things: words for the identifier.
        neutral: words that may occur next to those without changing the meaning.
        neutral_or_owners: the same, and the words for customers.
        telling: words for the identifier that are long enough to be recognized within a longer text.
    """

    things: _Index
    neutral: _Index
    neutral_or_owners: _Index
    telling: Sequence[str]


@cache
def _folded(kind: IdentifierType) -> _Folded:
    things, neutral = map(_fold_all, (_KINDS[kind].things, (*_KINDS[kind].neutral, *_NUMBERED)))
    # A short word within others means something else: `mel` in `Melissa`.
    telling = [word for word in things if not word.isascii() or len(word) >= _SHORTEST_TELLING]
    return _Folded(
        things=_index(things),
        neutral=_index(neutral),
        neutral_or_owners=_index(neutral | _fold_all(_OWNERS)),
        telling=telling,  # no pattern: compiling one blocks all threads for milliseconds
    )


@cache
def _folded_staff() -> frozenset[str]:
    return _fold_all(_STAFF)


def _fold_all(words: Iterable[str]) -> frozenset[str]:
    return frozenset(map(fold, words))


def _index(words: Iterable[str]) -> _Index:
    index: dict[str, list[str]] = {}
    for word in words:
        index.setdefault(word[0], []).append(word)
    return index


def _consists_of(text: str, things: _Index, neutral: _Index) -> bool:
    """Whether a text without spaces consists of one of `things` and any number of `neutral` words around it."""
    reached = {(0, False)}  # positions that words lead up to, and whether one of `things` is among these words
    for start, letter in enumerate(text):
        for named in (False, True):
            if (start, named) in reached:
                reached |= {
                    (start + len(word), named) for word in neutral.get(letter, ()) if text.startswith(word, start)
                }
                if not named:
                    reached |= {
                        (start + len(word), True) for word in things.get(letter, ()) if text.startswith(word, start)
                    }
    return (len(text), True) in reached


_LONGEST: Final = 80
# `Telefax` contains no word for a phone, `Fax phone` does; neither is a phone column.
_NEVER: Final = "fax"


def has_wording(kind: IdentifierType) -> bool:
    """Whether columns of this kind can be found by their header."""
    return kind in _KINDS


def named_kinds(header: str) -> list[IdentifierType]:
    """Returns the kinds of identifier that a header names in any way."""
    return [kind for kind in _KINDS if wording(header, kind) is not Wording.OTHER]


def wording(header: str, kind: IdentifierType) -> Wording:
    """Returns how clearly a header names a kind of identifier."""
    folded = fold(header)[:_LONGEST]
    words = _folded(kind)
    if kind is IdentifierType.PHONE_NUMBER and _NEVER in folded:
        return Wording.OTHER
    if _consists_of(folded, words.things, words.neutral):
        return Wording.EXACT
    if _consists_of(folded, words.things, words.neutral_or_owners):
        return Wording.OWNED
    if not any(word in folded for word in words.telling):
        return Wording.OTHER
    return Wording.STAFF if _is_of_staff(header) else Wording.MENTIONED


def _is_of_staff(header: str) -> bool:
    """Whether a header names a seller or a sender, and not the customer."""
    staff = _folded_staff()
    words = {fold(word) for word in _WORD_ENDS.split(header[:_LONGEST])}
    compounds = (word for word in words if any(len(each) >= _COMPOUNDED and each in word for each in staff))
    return not words.isdisjoint(staff) or any(compounds) or bool(_BY.search(header.replace("_", " ")[:_LONGEST]))
