from typing import Any

import pytest
from attrs import evolve

from criteo_audiences import ConfigurationError, IdentifierType
from criteo_audiences.tables.columns import Choice, choose_column, choose_columns
from criteo_audiences.tables.files.layout import Layout

MD5 = "e13743a7f1db7f4246badd6fd6ff54ff"
UUID = "38400000-8cf0-11bd-b23e-10b96e40000d"
EMAIL, PHONE, MADID = IdentifierType.EMAIL, IdentifierType.PHONE_NUMBER, IdentifierType.MADID
ADVICE = "Choose one with column= (--column on the command line)."

# What columns hold, a few values each that take turns; `None` where a row ends before the cell.
VALUES = {
    "e-mails": ["planted@example.com", " Ann <planted@example.com> ", "planted+1@example.co.uk", ""],
    "few e-mails": ["planted@example.com", "n/a", "none", "-"],
    "digests": [MD5, (MD5 * 2).upper()],
    "flags": ["true", "false", ""],
    "dates": ["2024-01-15 10:00", "2023-12-01", None],
    "words": ["planted"],
    "numbers": ["1", "22", "3"],
    "phones": ["+49 151 0000-0000", "(0151) 000 0000", "p:+4915100000000", "tel:0151/0000000", "'+491510000000"],
    "labeled phones": ["whatsapp:+4915100000000", "Mobile: 0151 0000000", "Tel. (0151) 000 0000", '="+4915100000000"'],
    "labeled e-mails": [
        "Email: planted@example.com",
        "'planted@example.com",
        "planted\uff20example.com",
        '="planted@b.co"',
    ],
    "guarded ids": [f"'{UUID}", f'="{UUID}"', "00000000-0000-0000-0000-000000000000"],
    "figures": ["4.9151E+12", "n/a"],
    "ids": [UUID, UUID.upper(), UUID.replace("-", "")],
    "nothing": ["", " ", None],
}


def layout(columns: dict[str, str] | list[tuple[str, str]], rows: int = 24) -> Layout:
    """Makes a file with these headers and what is below them."""
    given = list(columns.items() if isinstance(columns, dict) else columns)
    kinds = [VALUES[kind] for _, kind in given]
    sample = tuple(tuple(values[row % len(values)] for values in kinds) for row in range(rows))
    return Layout(path="crm.csv", name="crm.csv", format="csv", names=tuple(name for name, _ in given), sample=sample)


def refusal(columns: Any, asked: str | None = None, kind: IdentifierType = EMAIL, **options: Any) -> str:
    """Returns why no column was chosen; never with a value in it."""
    with pytest.raises(ConfigurationError) as caught:
        choose_column(layout(columns, **options), asked, kind)
    message = str(caught.value)
    assert "planted" not in message
    assert MD5 not in message.lower()
    return message


@pytest.mark.parametrize(
    ("names", "asked", "position"),
    [
        (["id", "email"], "email", 1),
        (["Email", "email"], "email", 1),
        (["Email", "email"], "Email", 0),
        (["id", " E-Mail Address "], "email address", 1),
        (["id", "Kunden-E-Mail"], "kundenemail", 1),
        (["id", "email"], " email ", 1),
        (["id", "Adresse e-mail privée"], "adresse_email_privee", 1),
        (["id", "\uff25\uff4d\uff41\uff49\uff4c"], "email", 1),
        (["id", "Login"], "login", 1),
    ],
)
def test_a_column_asked_for_is_found(names: list[str], asked: str, position: int) -> None:
    """By its exact name, then without case, punctuation, accents and width."""
    choice = choose_column(layout([(name, "e-mails") for name in names]), asked, EMAIL)
    assert choice == Choice(position, names[position], 1.0)


@pytest.mark.parametrize(
    ("names", "asked", "message"),
    [
        (["id", "name"], "email", "crm.csv has no column of that name; its columns are: 'id', 'name'."),
        (["id", "---"], "!!!", "crm.csv has no column of that name; its columns are: 'id', '---'."),
        (["Email", "E-MAIL"], "e_mail", "crm.csv has several columns of that name: 'Email', 'E-MAIL'. Name one"),
        (["email", "email"], "column_3", "crm.csv has no column of that name; its columns are: 'email', 'email'."),
        (["id", "email"], "column_2", "crm.csv has no column of that name; its columns are: 'id', 'email'."),
    ],
)
def test_a_column_that_is_not_there_names_those_that_are(names: list[str], asked: str, message: str) -> None:
    """The message lists the columns, so that the next try succeeds; what was asked for is not repeated."""
    assert refusal([(name, "words") for name in names], asked).startswith(message)


@pytest.mark.parametrize("values", ["numbers", "dates", "phones", "words", "flags"])
def test_a_column_of_something_else_is_refused_for_emails(values: str) -> None:
    """Twenty values of which not one is an e-mail are no accident."""
    message = refusal({"Email": "e-mails", "Other": values}, "other", rows=40)
    assert message.startswith("The column 'Other' of crm.csv holds no e-mails: 0% of its first ")
    assert message.endswith(f"its columns are: 'Email', 'Other'. {ADVICE}")


@pytest.mark.parametrize(
    ("kind", "values"), [(PHONE, "labeled phones"), (EMAIL, "labeled e-mails"), (MADID, "guarded ids")]
)
def test_detection_sees_what_the_rule_reads(kind: IdentifierType, values: str) -> None:
    """Labels and guards, which the rule of a kind takes off, keep no column from being found."""
    header = {PHONE: "Phone", EMAIL: "E-mail", MADID: "IDFA"}[kind]
    assert choose_column(layout({"Note": "words", header: values}), None, kind) == Choice(1, header, 1.0)


def test_a_few_values_that_do_not_fit_are_read_all_the_same() -> None:
    """What was asked for is doubted only on evidence: a short, empty or hashed column passes."""
    for values, share in (("words", 0.0), ("nothing", 0.0), ("digests", 1.0), ("few e-mails", 0.25)):
        choice = choose_column(layout({"Contact": values}, rows=24 if values != "words" else 19), "contact", EMAIL)
        assert choice == Choice(0, "Contact", share)


@pytest.mark.parametrize(
    "kind", [kind for kind in IdentifierType if kind not in {EMAIL, PHONE, MADID}], ids=lambda kind: kind.value
)
def test_other_kinds_need_a_name(kind: IdentifierType) -> None:
    """Customer ids look like nothing in particular; numbers are no fault in them."""
    assert choose_column(layout({"Email": "e-mails", "ID": "numbers"}), "id", kind) == Choice(1, "ID", 1.0)
    message = refusal({"Email": "e-mails", "ID": "numbers"}, None, kind)
    assert message.endswith(f"the columns of crm.csv are: 'Email', 'ID'. {ADVICE}")


EMAIL_HEADERS = """
    Email; E-mail; EMAIL; e_mail; eMail; Email Address; EmailAddress; email_address; E-Mail-Adresse; Mail; Email ID
    E-mail 1 - Value; Adresse e-mail; Courriel; Adresse de courriel; Adresse email
    Correo electrónico; Dirección de correo electrónico; Correo; Indirizzo e-mail; Indirizzo di posta elettronica
    Endereço de e-mail; Correio eletrônico; E-mailadres; Adres e-mail; Adres poczty elektronicznej; E-postadress
    E-post; E-postadresse; E-mailová adresa; E-mail cím; Adresă de e-mail; Sähköposti; Sähköpostiosoite; E-posta
    E-posta adresi; Электронная почта; Эл. почта; Адрес электронной почты; Имейл; Електронна пошта
    Ηλεκτρονικό ταχυδρομείο; כתובת אימייל; דוא״ל; البريد الإلكتروني; عنوان البريد الإلكتروني; ईमेल पता; อีเมล
    メールアドレス; ﾒｰﾙｱﾄﾞﾚｽ; Eメール; 電子メール; 邮箱; 电子邮箱; 電子郵件; 이메일; 이메일 주소; Alamat email; Địa chỉ email
    E-Mail 1 - Wert; E-mail 1 - Valeur; Correo 1 - Valor; Adresse de messagerie; SMTP_ADDR; Attendee email; Requester email
    Customer Email; customer_email; Contact Email; Primary Email; User Email; Kunden-E-Mail; Email du client
    E-mail de contact; Email cliente; Email (client); Subscriber Email Address; 顧客メールアドレス; 客户邮箱
"""
PHONE_HEADERS = """
    Phone; Phone Number; phone_number; Telephone; Mobile; Mobile Phone; Mobile Phone Number; Cell; Cell Phone; Tel.
    Téléphone; Numéro de téléphone; Téléphone portable; Telefon; Telefonnummer; Handy; Handynummer; Mobilnummer; SMS
    Teléfono; Teléfono móvil; Telefono cellulare; Celular; Telefone; Telemóvel; Telefoonnummer; Numer telefonu
    Telefon komórkowy; Cep telefonu; Puhelinnumero; Телефон; Номер телефона; 電話番号; 携帯電話; 手机号; 전화번호
    Phone 1 - Value; Customer phone; WhatsApp
"""
MADID_HEADERS = (
    "idfa; IDFA; AAID; gaid; madid; MAID; Advertising ID; advertising_id; Mobile Advertising ID; device_idfa"
)


STAFF_HEADERS = """
    Contact Owner Email; Owner.Email; ContactOwnerEmail; Sales Rep Email; Account manager e-mail; Sender email; From Email
    Reply-To Email; Created By Email; created_by_email; Agent email; Assigned to (email); Kontaktinhaber-E-Mail
    E-Mail Verkäufer; Berater E-Mail; E-mail commercial; Courriel du vendeur; Propietario (correo); Email agente
    E-mailadres accountmanager; E-mail opiekuna; E-mail vendedor; Mittente e-mail
"""


def headers(text: str) -> list[str]:
    """Splits a list of headers."""
    return [header.strip() for line in text.strip().split("\n") for header in line.split(";")]


@pytest.mark.parametrize(
    ("header", "kind", "values"),
    [(header, EMAIL, "e-mails") for header in headers(EMAIL_HEADERS)]
    + [(header, PHONE, "phones") for header in headers(PHONE_HEADERS)]
    + [(header, MADID, "ids") for header in headers(MADID_HEADERS)],
)
def test_headers_are_known_in_many_languages(header: str, kind: IdentifierType, values: str) -> None:
    """Between other columns, also where no row shows what they hold."""
    filled = layout({"Name": "words", header: values, "Created": "dates"})
    assert choose_column(filled, None, kind) == Choice(1, header, 1.0)
    assert choose_column(layout({"Name": "words", header: values}, rows=0), None, kind) == Choice(1, header, 0.0)


@pytest.mark.parametrize("header", headers(STAFF_HEADERS))
def test_the_address_of_who_sells_or_sends_is_never_chosen(header: str) -> None:
    """Not where it is the only one, nor does it make a customer's doubtful; the message lists it all the same."""
    assert f"nearest are: '{header}' (100% fit). " in refusal({"Name": "words", header: "e-mails"})
    assert choose_column(layout({header: "e-mails", "Billing email": "e-mails"}), None, EMAIL).name == "Billing email"


@pytest.mark.parametrize(
    "header", ["Homeowner email", "Reporter email", "Email cofrom", "Agentur-E-Mail", "Repeat email"]
)
def test_words_that_only_contain_such_a_word_are_others(header: str) -> None:
    """They mention an e-mail, and its values confirm it."""
    assert choose_column(layout({"Name": "words", header: "e-mails"}), None, EMAIL).name == header


@pytest.mark.parametrize(
    ("columns", "position"),
    [
        ({"Billing Email": "e-mails", "Email": "e-mails"}, 1),
        ({"Email": "few e-mails", "Email opt-in": "flags"}, 0),
        ({"Email Verified": "flags", "Email opt-in": "dates", "Confirmed Email date": "dates", "Email": "e-mails"}, 3),
        ({"Email": "flags", "Work email": "e-mails"}, 1),
        ({"Customer Email": "e-mails", "Billing Email": "e-mails"}, 0),
        ({"E-mail 1 - Value": "e-mails", "E-mail 2 - Value": "e-mails"}, 0),
        ({"E-mail Address": "e-mails", "E-mail 2 Address": "e-mails", "E-mail 3 Address": "nothing"}, 0),
        ({"Person - Email - Work": "nothing", "Person - Email - Home": "e-mails"}, 1),
        ({"billing_email": "e-mails", "billing_email_verified": "flags"}, 0),
        ({"Email": "nothing", "Work email": "e-mails"}, 1),
        ({"email_sha256": "digests", "sha256": "digests"}, 0),
        ({"hashed_email": "digests", "id": "numbers"}, 0),
        ({"Email": "e-mails", "email_sha256": "digests"}, 0),
        ({"Mailing Street": "words", "E-Mail": "e-mails"}, 1),
        ({"Login": "e-mails", "Email": "few e-mails"}, 1),
    ],
)
def test_the_values_tell_which_of_several_headers_is_meant(columns: dict[str, str], position: int) -> None:
    """Clear names win over qualified ones, and consent flags, dates and empty columns drop out."""
    assert choose_column(layout(columns), None, EMAIL).position == position


def test_fax_numbers_are_no_phone_numbers() -> None:
    """Nobody is reached by fax."""
    columns = {"Fax phone": "phones", "Telefax": "phones", "Home Phone": "phones", "Phone verified": "dates"}
    assert choose_column(layout(columns), None, PHONE).name == "Home Phone"


@pytest.mark.parametrize(
    ("columns", "kind", "message"),
    [
        (
            {"Email": "e-mails", "E-Mail": "e-mails"},
            EMAIL,
            "crm.csv has several columns that may hold the e-mails: 'Email' (100% fit), 'E-Mail' (100% fit). ",
        ),
        (
            {"Work email": "e-mails", "Home email": "e-mails", "Email opt-in": "flags"},
            EMAIL,
            "several columns that may hold the e-mails: 'Work email' (100% fit), 'Home email' (100% fit). ",
        ),
        (
            {"Email": "few e-mails", "Work email": "e-mails"},
            EMAIL,
            "several columns that may hold the e-mails: 'Email' (25% fit), 'Work email' (100% fit). ",
        ),
        (
            {"Phone": "phones", "Mobile": "phones"},
            PHONE,
            "that may hold the phone numbers: 'Phone' (100% fit), 'Mobile' ",
        ),
        ({"idfa": "ids", "gaid": "ids"}, MADID, "that may hold the advertising ids: 'idfa' (100% fit), 'gaid' (100%"),
        (
            {"id": "numbers", "name": "words"},
            EMAIL,
            "No column of crm.csv is clearly an e-mail by its header and its values; its columns are: 'id', 'name'. ",
        ),
        ({"Email": "words", "id": "numbers"}, EMAIL, "by its header and its values; nearest are: 'Email' (0% fit). "),
        ({"Email": "flags", "Login": "e-mails"}, EMAIL, "nearest are: 'Email' (0% fit), 'Login' (100% fit). "),
        ({"Email sent": "few e-mails"}, EMAIL, "by its header and its values; nearest are: 'Email sent' (25% fit). "),
        ({"Work email": "nothing"}, EMAIL, "by its header and its values; nearest are: 'Work email' (empty). "),
        ({"sha256": "digests", "name": "words"}, EMAIL, "nearest are: 'sha256' (100% fit). "),
        (
            {"Phone": "figures"},
            PHONE,
            "is clearly a phone number by its header and its values; nearest are: 'Phone' (0%",
        ),
        (
            {"Device ID": "ids"},
            MADID,
            "is clearly an advertising id by its header and its values; nearest are: 'Device ",
        ),
    ],
)
def test_a_choice_that_is_not_clear_is_left_to_the_caller(columns: Any, kind: IdentifierType, message: str) -> None:
    """No guessing: the message names the columns, how many of their values fit, and the way to choose one."""
    shown = refusal(columns, None, kind)
    assert message in shown
    assert shown.endswith(ADVICE)


@pytest.mark.parametrize(
    ("columns", "asked", "positions"),
    [
        ([("email", "e-mails"), ("id", "numbers"), ("email", "e-mails"), ("email", "nothing")], "email", [0, 2, 3]),
        ([("email", "e-mails"), ("id", "numbers"), ("email", "e-mails"), ("email", "nothing")], None, [0, 2, 3]),
        ([("email", "nothing"), ("email", "nothing")], None, [0, 1]),
        ([("Email", "e-mails"), ("Email", "e-mails")], "e_mail", [0, 1]),
        ([("Email", "e-mails"), ("email", "e-mails"), ("email", "e-mails")], "email", [1, 2]),
        ([("email", "e-mails"), ("email", "e-mails")], "column_2", [1]),
        ([("email", "words"), ("email", "e-mails")], "email", [0, 1]),
        ([("", "e-mails"), ("id", "numbers")], "column_1", [0]),
        ([("column_2", "words"), ("email", "e-mails"), ("email", "e-mails")], "column_2_", [1]),
    ],
)
def test_one_name_means_all_columns_that_have_it(columns: Any, asked: str | None, positions: list[int]) -> None:
    """As in lists made for other platforms (`email,email,phone`); `column_` and a position means one of them."""
    assert [choice.position for choice in choose_columns(layout(columns), asked, EMAIL)] == positions


@pytest.mark.parametrize("values", ["words", "flags", "dates"])
def test_namesakes_of_which_one_holds_something_else_are_doubtful(values: str) -> None:
    """They are not of one meaning; the message says how to take one."""
    shown = refusal([("Email", "e-mails"), ("Email", values)])
    assert shown == (
        "crm.csv has several columns that may hold the e-mails: 'Email' (100% fit), 'Email' (0% fit). Some share a "
        "name: column='email' takes all of it, column='column_1' (and so on, by its position) one of them."
    )


def test_one_column_cannot_be_several() -> None:
    """Where one is wanted, such as the country's, namesakes are refused by their positions."""
    message = refusal([("country", "words"), ("id", "numbers"), ("country", "words")], "country", IdentifierType.GUM)
    assert message == (
        "crm.csv has several columns of that name: 'country', 'country'. Name one of them: 'column_1' or 'column_3'."
    )


@pytest.mark.parametrize("asked", ["email", None])
def test_names_that_cannot_be_right_say_what_may_be_wrong(asked: str | None) -> None:
    """A title above the header, or another encoding."""
    file = evolve(layout({"R\xe9port": "words", "2024": "numbers"}), likely_header=3, guess="cp1252")
    with pytest.raises(ConfigurationError) as caught:
        choose_column(file, asked, EMAIL)
    assert str(caught.value).endswith(
        " There, line 3 looks like the header: give skip_rows=2 (--skip-rows on the command line). They were read as cp1252, "
        "which is a guess: give encoding= (--encoding) if they look wrong."
    )


@pytest.mark.parametrize("rows", [0, 24])
def test_a_header_that_only_mentions_emails_is_not_chosen_unseen(rows: int) -> None:
    """Without a value to confirm it, `Email 2` may be anything."""
    assert "nearest are: 'Email 2' (empty). " in refusal({"Email 2": "nothing"}, rows=rows)


@pytest.mark.parametrize(
    "name",
    [
        "+33 6 12 34 56 78",
        "planted@example.com",
        MD5,
        "Ann 0151 0000000",
        "client-1234567",
        "LXEWQrcmsEQBYnyp+6wy9chTD7GQPMTbAiWHF5IaSIE=",
    ],
)
def test_a_name_that_may_be_a_datum_is_masked(name: str) -> None:
    """Keys of JSON may be anything; those beside them are shown."""
    assert refusal({"Paris": "words", name: "words", "line_2": "words"}, "email").endswith("'Paris', '…', 'line_2'.")


def test_a_very_wide_or_strange_header_stays_readable() -> None:
    """At most forty names, each of bounded length, with unreadable characters escaped."""
    shown = refusal(
        [("Pr\x1b[2Jnom", "words"), ("x" * 1_000, "words"), *((f"c{n}", "words") for n in range(1_000))], "email"
    )
    assert len(shown) < 500
    assert shown.isprintable()
    assert shown.endswith("'c37', ….")


def test_a_header_made_to_be_slow_is_not() -> None:
    """A thousand neutral words in a row are compared no longer than any other header."""
    for header in ("addressadresse" * 1_000, "dela" * 30 + "x", "clientscustomers" * 20 + "mail" * 20):
        refusal({header: "words"})
