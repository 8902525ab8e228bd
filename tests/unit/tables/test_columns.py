import pytest

from criteo_audiences import ConfigurationError
from criteo_audiences.tables.columns import choose_column

MD5 = "e13743a7f1db7f4246badd6fd6ff54ff"


@pytest.mark.parametrize(
    ("header", "column", "position"),
    [
        (["id", "email"], "email", 1),
        (["Email", "email"], "email", 1),
        (["Email", "email"], "Email", 0),
        (["id", " E-Mail Address "], "email address", 1),
        (["id", "Kunden-E-Mail"], "kundenemail", 1),
        (["id", "email"], " email ", 1),
        (["id", "Email"], None, 0 + 1),
        (["id", "E-mail"], None, 1),
        (["id", "E_MAIL"], None, 1),
        (["Primary Email", "phone"], None, 0),
        (["name", "Adresse e-mail"], None, 1),
        (["имя", "Эл. почта"], None, 1),
        (["氏名", "メールアドレス"], None, 1),
    ],
)
def test_a_column_is_found(header: list[str], column: str | None, position: int) -> None:
    """By its exact name, then without case and punctuation; without a name, by an unmistakable header."""
    assert choose_column(header, column, file="crm.csv") == position


@pytest.mark.parametrize(
    ("header", "column", "message"),
    [
        (["id", "name"], "email", "crm.csv has no column of that name; its columns are: 'id', 'name'."),
        (["Email", "E-MAIL"], "e_mail", "The columns include several of that name: 'Email', 'E-MAIL'."),
        (["id", "---"], "!!!", "crm.csv has no column of that name; its columns are: 'id', '---'."),
        (["email", "email"], "email", "The columns include several of that name: 'email', 'email'."),
    ],
)
def test_a_column_that_is_not_there_names_those_that_are(header: list[str], column: str, message: str) -> None:
    """The message lists the columns, so that the next try succeeds; what was asked for is not repeated."""
    with pytest.raises(ConfigurationError) as caught:
        choose_column(header, column, file="crm.csv")
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (["id", "name"], "No column of crm.csv is clearly an e-mail by its header; its columns are: 'id', 'name'. "),
        (["email_opt_in", "email2"], "its columns are: 'email_opt_in', 'email2'. "),
        (["email", "Work Email"], "The columns include several that may be: 'email', 'Work Email'. "),
    ],
)
def test_a_choice_that_is_not_clear_is_left_to_the_caller(header: list[str], message: str) -> None:
    """No guessing: the message names the columns and the way to choose one."""
    with pytest.raises(ConfigurationError) as caught:
        choose_column(header, None, file="crm.csv")
    assert str(caught.value).endswith(message + "Choose one with column= (--column on the command line).")


@pytest.mark.parametrize(
    "header",
    [["1", "planted@example.com"], ["Ann <planted@example.com>"], [MD5], [MD5.upper() * 2, "x"]],
)
@pytest.mark.parametrize("column", ["email", None])
def test_a_file_without_a_header_is_noticed_and_not_shown(header: list[str], column: str | None) -> None:
    """A first row of identifiers is data, and stays out of the message."""
    with pytest.raises(ConfigurationError, match="has no header row: its first line already holds data") as caught:
        choose_column(header, column, file="crm.csv")
    assert "planted" not in str(caught.value)
    assert MD5 not in str(caught.value).lower()


def test_a_phone_number_in_the_place_of_a_header_is_not_shown() -> None:
    """Names that are mostly a number are masked; those beside them are shown."""
    with pytest.raises(ConfigurationError) as caught:
        choose_column(["Paris", "+33 6 12 34 56 78", "line_2"], "email", file="crm.csv")
    assert str(caught.value).endswith("its columns are: 'Paris', '…', 'line_2'.")


def test_a_very_wide_or_strange_header_stays_readable() -> None:
    """At most forty names, each of bounded length, with unreadable bytes escaped."""
    with pytest.raises(ConfigurationError) as caught:
        choose_column(["Pr\udce9nom", "x" * 1_000, *map("c{}".format, range(1_000))], "email", file="crm.csv")
    shown = str(caught.value)
    assert len(shown) < 500
    assert shown.isprintable()
    assert shown.endswith("'c37', ….")
