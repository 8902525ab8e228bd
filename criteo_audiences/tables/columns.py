"""Which column of a file holds the e-mails; pure functions over its header."""

from collections.abc import Sequence
from typing import Final

from criteo_audiences.errors import ConfigurationError
from criteo_audiences.identifiers import is_hashed

# Headers that say e-mail and nothing else, as CRMs export them in several languages, folded to letters and digits.
_EMAIL_HEADERS: Final = frozenset(
    {
        "email",
        "emailaddress",
        "emailaddresses",
        "emailid",
        "useremail",
        "customeremail",
        "contactemail",
        "primaryemail",
        "workemail",
        "personalemail",
        "adresseemail",
        "adressemail",
        "courriel",
        "emailadresse",
        "mailadresse",
        "correo",
        "correoelectronico",
        "correoelectrónico",
        "indirizzoemail",
        "enderecodeemail",
        "endereçodeemail",
        "emailadres",
        "epost",
        "epostadress",
        "sähköposti",
        "adresemail",
        "элпочта",
        "メールアドレス",
        "邮箱",
        "이메일",
    }
)
_MOST_SHOWN: Final = 40
_LONGEST_SHOWN: Final = 60
_MOST_DIGITS: Final = 5  # a name with more is shown to nobody: it may be a phone number in a file without a header


def choose_column(header: Sequence[str], column: str | None, *, file: str) -> int:
    """Returns the position of the named column, or of the one whose header is unmistakably an e-mail.

    Args:
        header: the file's first row.
        column: the name asked for, compared exactly, otherwise without case and surrounding space.
        file: the file's name, for messages.

    Raises:
        ConfigurationError: naming the columns that exist, when none or several fit. A first row that holds data is
            never shown.
    """
    names = [name.strip() for name in header]
    if any("@" in name or is_hashed(name) for name in names):
        raise ConfigurationError(f"{file} has no header row: its first line already holds data. Add a line of names.")
    if column is not None:
        return _only(_positions(names, column), f"{file} has no column of that name", "several of that name", names)
    candidates = [position for position, name in enumerate(names) if _fold(name) in _EMAIL_HEADERS]
    advice = "Choose one with column= (--column on the command line)."
    return _only(
        candidates, f"No column of {file} is clearly an e-mail by its header", "several that may be", names, advice
    )


def _positions(names: Sequence[str], column: str) -> list[int]:
    exact = [position for position, name in enumerate(names) if name == column.strip()]
    return exact or [position for position, name in enumerate(names) if _fold(name) == _fold(column) != ""]


def _fold(name: str) -> str:
    return "".join(character for character in name.casefold() if character.isalnum())


def _only(positions: Sequence[int], nothing: str, several: str, names: Sequence[str], advice: str = "") -> int:
    if len(positions) == 1:
        return positions[0]
    if positions:
        found = ", ".join(_shown(names[position]) for position in positions)
        raise ConfigurationError(f"The columns include {several}: {found}. {advice}".rstrip())
    existing = ", ".join(_shown(name) for name in names[:_MOST_SHOWN]) + (", …" if len(names) > _MOST_SHOWN else "")
    raise ConfigurationError(f"{nothing}; its columns are: {existing}. {advice}".rstrip())


def _shown(name: str) -> str:
    if sum(map(str.isdigit, name)) > _MOST_DIGITS:
        return "'…'"
    return repr(name if len(name) <= _LONGEST_SHOWN else name[:_LONGEST_SHOWN] + "…")
