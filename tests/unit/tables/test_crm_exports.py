"""Files shaped like those that CRMs, shops, mail tools and spreadsheets export; nobody should have to name a column."""

import csv
import gzip
import hashlib
import io
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve, field, frozen

from criteo_audiences import ConfigurationError, CriteoClient, IdentifierType, Table
from criteo_audiences.sandbox import Sandbox
from criteo_audiences.tables.columns import Choice, choose_column

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

ROWS = 40


def _turns(*values: str) -> Callable[[int], str]:
    return lambda row: values[row % len(values)]


# What cells hold, by row.
FILLED: Mapping[str, Callable[[int], str]] = {
    "id": lambda row: f"{row * 7919 + 100_001}",
    "e-mail": lambda row: "" if row % 9 == 8 else f"Person{row}@example.{('com', 'org', 'net')[row % 3]}",
    "other e-mail": lambda row: f"home{row}@example.test",
    "staff's e-mail": lambda row: f"{('sales', 'anna')[row % 2]}@shop.test",
    "sha256": lambda row: hashlib.sha256(b"person%d@example.com" % row).hexdigest(),
    "few e-mails": lambda row: f"old{row}@example.org" if row % ROWS == 3 else "",
    "first": _turns("Zoë", "José", "Jörg", "Anna", "Renée"),
    "last": _turns("Núñez", "O'Neil", "Müller, Dr.", "d'Été", 'van "Bo" Dam'),
    "street": _turns("Rue de l'Église 1", "Hauptstraße 5; Hof", "1 Main St, Apt 2", ""),
    "phone": lambda row: f"+4930000{row:04}",
    "lead phone": lambda row: f"p:+4930000{row:04}",
    "flag": _turns("true", "false"),
    "yes": _turns("yes", "no", ""),
    "date": lambda row: f"2024-0{row % 9 + 1}-15 10:00:00",
    "amount": lambda row: f"{row}.50",
    "note": _turns('Called twice.\nSaid "later".', "", "Prefers mail\r\n\r\nin the evening", "a; b, c\td"),
    "label": _turns("Work", "Home"),
    "word": _turns("subscribed", "customer", "lead"),
    "display": lambda row: f"Person {row}",
    "domain": _turns("example.com", "example.org"),
    "lists": _turns("Newsletter, VIP", "Newsletter"),
    "none": lambda _: "",
    "kanji": _turns("山田 太郎", "さとう はなこ", "スズキ", "高橋 メイ"),
    "turkish": _turns("İstanbul", "Şişli", "Çeşme"),
    "polish": _turns("Łódź", "Kraków", "Gdańsk"),
}


@frozen
class Export:
    """An export: its columns with what they hold, the column that is meant, and how the tool writes the file."""

    tool: str
    columns: Mapping[str, str]
    column: str
    delimiter: str = ","
    encoding: str = "utf-8"
    line_end: str = "\n"
    quoting: Any = csv.QUOTE_MINIMAL
    before: str = ""
    after: str = ""
    compress: Callable[[bytes], bytes] = bytes
    kind: IdentifierType = field(default=IdentifierType.EMAIL)
    first: int = 0  # the number of its first row: rows of other numbers hold other people

    def cells(self, header: str) -> list[str]:
        """Returns what the rows hold below a header."""
        return [FILLED[self.columns[header]](row) for row in range(self.first, self.first + ROWS)]

    def content(self) -> bytes:
        """Returns the file's bytes."""
        text = io.StringIO(newline="")
        writer = csv.writer(text, delimiter=self.delimiter, lineterminator=self.line_end, quoting=self.quoting)
        writer.writerow(self.columns)
        writer.writerows(zip(*map(self.cells, self.columns), strict=True))
        return self.compress((self.before + text.getvalue() + self.after).encode(self.encoding))


def columns(text: str) -> dict[str, str]:
    """Reads `header: what it holds`, separated by bars."""
    pairs = (part.rsplit(":", 1) for part in text.replace("\n", " ").split("|"))
    return {header.strip(): kind.strip() for header, kind in pairs}


HUBSPOT = columns(
    "Record ID: id | First Name: first | Last Name: last | Email: e-mail | Phone Number: phone | Contact owner: display"
    "| Email Domain: domain | Work email: other e-mail | Marketing emails clicked: amount | Create Date: date | Notes: note"
)
SALESFORCE = columns(
    "Contact ID: id | First Name: first | Last Name: last | Mailing Street: street | Email: e-mail | Email Opt Out: flag"
    "| Email Bounced Date: date | Mobile: phone | Description: note"
)
SHOPIFY = columns(
    "Customer ID: id | First Name: first | Last Name: last | Email: e-mail | Accepts Email Marketing: yes"
    "| Default Address Address1: street | Phone: phone | Accepts SMS Marketing: yes | Total Spent: amount | Note: note"
)
KLAVIYO = columns(
    "Email: e-mail | Klaviyo ID: id | First Name: first | Last Name: last | Phone Number: phone"
    "| Email Marketing Consent: word | Email Marketing Consent Timestamp: date | Email Lists: lists"
    "| Email Suppressions: none | SMS Marketing Consent: word"
)
MAILCHIMP = columns(
    "Email Address: e-mail | First Name: first | Last Name: last | Address: street | MEMBER_RATING: amount"
    "| OPTIN_TIME: date | CONFIRM_TIME: date | LEID: id | EUID: id | NOTES: note | TAGS: lists"
)
WOOCOMMERCE = columns(
    "order_id: id | status: word | billing_first_name: first | billing_last_name: last | billing_email: e-mail"
    "| billing_phone: phone | shipping_address_1: street | order_total: amount | customer_note: note"
)
PIPEDRIVE = columns(
    "Person - Name: display | Person - Label: label | Person - Email - Work: e-mail | Person - Email - Home: none"
    "| Person - Email - Other: none | Person - Phone - Work: phone | Person - Email messages count: amount"
)
GOOGLE = columns(
    "First Name: first | Last Name: last | Notes: note | E-mail 1 - Label: label | E-mail 1 - Value: e-mail"
    "| E-mail 2 - Label: label | E-mail 2 - Value: other e-mail | Phone 1 - Label: label | Phone 1 - Value: phone"
)
OUTLOOK = columns(
    "First Name: first | Last Name: last | Business Street: street | E-mail Address: e-mail | E-mail Type: word"
    "| E-mail Display Name: display | E-mail 2 Address: few e-mails | E-mail 3 Address: none | Notes: note"
)
FACEBOOK = columns(
    "id: id | created_time: date | ad_id: id | ad_name: word | form_name: display | is_organic: flag | platform: word"
    "| email: e-mail | full_name: last | phone_number: lead phone | work_email: other e-mail"
)
STRIPE = columns(
    "id: id | Description: note | Customer Email: e-mail | Name: last | Created (UTC): date | Card ID: id"
    "| Amount: amount | email_verified (metadata): flag"
)
ZOHO = columns(
    "Record Id: id | Contact Owner: display | First Name: first | Last Name: last | Email: e-mail"
    "| Secondary Email: few e-mails | Email Opt Out: flag | Mailing Street: street | Created Time: date"
)
ACTIVECAMPAIGN = columns(
    "ID: id | Email: e-mail | First Name: first | Last Name: last | Phone: phone | Date created: date"
    "| Last Email Open: date | Number of Emails Sent: amount | Tags: lists"
)
BREVO = columns(
    "CONTACT ID: id | EMAIL: e-mail | FIRSTNAME: first | LASTNAME: last | SMS: phone | DOUBLE_OPT-IN: yes"
    "| EMAIL_BLACKLISTED: flag | ADDED_TIME: date"
)
MAGENTO = columns(
    "ID: id | Name: last | Email: e-mail | Group: word | Phone: phone | Customer Since: date | Confirmed email: word"
    "| Billing Address: street | Date of Birth: date"
)
INTERCOM = columns(
    "User ID: id | Name: last | Email: e-mail | Unsubscribed from Emails: flag | Email verified: flag | Last email: date"
)
GERMAN = columns(
    "Kunden-Nr.: id | Vorname: first | Nachname: last | Straße: street | E-Mail-Adresse: e-mail"
    "| Einwilligung E-Mail: yes | Geändert am: date | Bemerkung: note"
)
FRENCH = columns(
    "N° client: id | Prénom: first | Nom: last | Adresse: street | Adresse e-mail: e-mail | Téléphone portable: phone"
    "| Consentement e-mail: yes | Créé le: date"
)
SPANISH = columns(
    "N.º: id | Nombre: first | Apellidos: last | Dirección: street | Correo electrónico: e-mail | Teléfono móvil: phone"
)
ITALIAN = columns(
    "Codice: id | Città: first | Indirizzo: street | Indirizzo e-mail: e-mail | Telefono cellulare: phone"
)
PORTUGUESE = columns("Código: id | Endereço: street | Endereço de e-mail: e-mail | Telefone: phone | Observações: note")
DUTCH = columns("Klantnr.: id | Voornaam: first | Adres: street | E-mailadres: e-mail | Telefoonnummer: phone")
POLISH = columns("Numer: id | Miasto: polish | Adres e-mail: e-mail | Zgoda e-mail: yes | Telefon komórkowy: phone")
SWEDISH = columns("Kundnr: id | Förnamn: first | E-postadress: e-mail | Mobiltelefon: phone | Samtycke e-post: yes")
CZECH = columns("Číslo: id | Jméno: first | E-mailová adresa: e-mail | Telefon: phone | Souhlas: yes")
TURKISH = columns("No: id | Şehir: turkish | E-posta adresi: e-mail | Cep telefonu: phone | E-posta izni: yes")
JAPANESE = columns(
    "顧客番号: id | 氏名: kanji | メールアドレス: e-mail | 電話番号: phone | メール配信: yes | 登録日: date"
)
SALESFORCE_REPORT = columns(
    "Contact Owner Email: staff's e-mail | Contact ID: id | Last Name: last | Account Owner Email: staff's e-mail"
    "| Email: e-mail | Created By Email: staff's e-mail"
)
BIGCOMMERCE_ORDERS = columns(
    "Order ID: id | Customer Name: last | Billing Email: e-mail | Sales Rep Email: staff's e-mail | Order Notes: note"
)
ZENDESK = columns(
    "Id: id | Requester: last | Requester email: e-mail | Requester domain: domain | Assignee: display"
    "| Assignee email: staff's e-mail | Subject: note"
)
EVENTBRITE = columns("Order no.: id | Attendee first name: first | Attendee email: e-mail | Ticket type: word")
CAMPAIGN = columns(
    "Campaign: word | From Email: staff's e-mail | Reply-To Email: staff's e-mail | To Email: e-mail | Opened: yes"
)
BRAZE = columns(
    "external_id: id | email: e-mail | email_subscribe: word | email_opted_in_at: date | email_sha256: sha256"
)
DYNAMICS_GERMAN = columns(
    "(Nicht ändern) Kontakt: id | Vollständiger Name: last | E-Mail: e-mail | E-Mail-Adresse 2: other e-mail"
    "| E-Mails nicht zulassen: yes | Besitzer E-Mail: staff's e-mail"
)
SAP = columns("KUNNR: id | NAME1: last | ORT01: polish | SMTP_ADDR: e-mail | TELF1: phone")
GOOGLE_GERMAN = columns(
    "Vorname: first | Nachname: last | E-Mail 1 - Label: label | E-Mail 1 - Wert: e-mail | E-Mail 2 - Label: label"
    "| E-Mail 2 - Wert: other e-mail | Telefon 1 - Wert: phone"
)
OUTLOOK_FRENCH = columns(
    "Prénom: first | Nom: last | Adresse de messagerie: e-mail | Type de messagerie: word"
    "| Nom complet de l'adresse de messagerie: display | Adresse de messagerie 2: other e-mail"
)
QUEBEC = columns(
    "N°: id | Nom: last | Courriel du vendeur: staff's e-mail | Courriel client: e-mail | Consentement courriel: yes"
)
ATTRIBUTION = columns("click_time: date | customer_id: id | hashed_email: word | E-Mail: e-mail | note: note")

ALL = {"quoting": csv.QUOTE_ALL}
CRLF = {"line_end": "\r\n"}
EXCEL: dict[str, Any] = {"delimiter": ";", "encoding": "cp1252", "line_end": "\r\n"}
FOOTER = '\n"Contacts report"\n"Copyright (c) 2000-2024 example.com, inc."\n"Confidential: do not distribute"\n'

EXPORTS = [
    Export("HubSpot", HUBSPOT, "Email", encoding="utf-8-sig", **ALL),
    Export("HubSpot, zipped on the way", HUBSPOT, "Email", compress=gzip.compress, **ALL),
    Export("Salesforce", SALESFORCE, "Email", encoding="cp1252", after=FOOTER, **ALL),
    Export("Shopify", SHOPIFY, "Email"),
    Export("Klaviyo", KLAVIYO, "Email", **ALL),
    Export("Mailchimp", MAILCHIMP, "Email Address", **ALL),
    Export("WooCommerce", WOOCOMMERCE, "billing_email", encoding="utf-8-sig"),
    Export("Pipedrive", PIPEDRIVE, "Person - Email - Work", **ALL),
    Export("Google Contacts", GOOGLE, "E-mail 1 - Value"),
    Export("Google Contacts, as for Outlook", GOOGLE, "E-mail 1 - Value", encoding="utf-16", delimiter="\t", **CRLF),
    Export("Outlook", OUTLOOK, "E-mail Address", encoding="cp1252", **CRLF, **ALL),
    Export("Facebook Lead Ads", FACEBOOK, "email", encoding="utf-16", delimiter="\t"),
    Export("Stripe", STRIPE, "Customer Email"),
    Export("Zoho", ZOHO, "Email", encoding="utf-8-sig"),
    Export("ActiveCampaign", ACTIVECAMPAIGN, "Email", **ALL),
    Export("Brevo", BREVO, "EMAIL", delimiter=";"),
    Export("Magento", MAGENTO, "Email", **ALL),
    Export("Intercom", INTERCOM, "Email"),
    Export("Excel, German", GERMAN, "E-Mail-Adresse", before="sep=;\r\n", **EXCEL),
    Export("Excel, French", FRENCH, "Adresse e-mail", **EXCEL),
    Export("Excel, Spanish", SPANISH, "Correo electrónico", **EXCEL),
    Export("Excel, Italian", ITALIAN, "Indirizzo e-mail", **EXCEL),
    Export("Excel, Portuguese", PORTUGUESE, "Endereço de e-mail", **EXCEL),
    Export("Excel, Dutch", DUTCH, "E-mailadres", **EXCEL),
    Export("Excel, Polish", POLISH, "Adres e-mail", **EXCEL | {"encoding": "cp1250"}),
    Export("Excel, Swedish", SWEDISH, "E-postadress", **EXCEL),
    Export("Excel, Czech, as Unicode text", CZECH, "E-mailová adresa", delimiter="\t", encoding="utf-16", **CRLF),
    Export("Excel, Turkish", TURKISH, "E-posta adresi", **EXCEL | {"encoding": "cp1254"}),
    Export("Excel, Japanese", JAPANESE, "メールアドレス", encoding="cp932", **CRLF),
    Export("Excel, Japanese, as UTF-8", JAPANESE, "メールアドレス", encoding="utf-8-sig", **CRLF),
    Export("Excel for the Mac", FRENCH, "Adresse e-mail", delimiter=";", encoding="cp1252", line_end="\r"),
    Export("Salesforce, a report with owners", SALESFORCE_REPORT, "Email", **ALL),
    Export("BigCommerce, orders", BIGCOMMERCE_ORDERS, "Billing Email"),
    Export("Zendesk", ZENDESK, "Requester email"),
    Export("Eventbrite", EVENTBRITE, "Attendee email"),
    Export("a mail tool's log", CAMPAIGN, "To Email"),
    Export("Braze", BRAZE, "email"),
    Export("Dynamics 365, German", DYNAMICS_GERMAN, "E-Mail", encoding="utf-8-sig"),
    Export("SAP", SAP, "SMTP_ADDR", encoding="utf-16", delimiter="|"),
    Export("Google Contacts, German", GOOGLE_GERMAN, "E-Mail 1 - Wert"),
    Export("Outlook, French", OUTLOOK_FRENCH, "Adresse de messagerie", **EXCEL),
    Export("Excel, Quebec", QUEBEC, "Courriel client", before="sep=;\r\n", **EXCEL),
    Export("a warehouse", ATTRIBUTION, "E-Mail", delimiter="\x01", compress=zstd.compress),
    Export("a shop's cron job", SHOPIFY, "Email", delimiter="|", compress=gzip.compress),
    Export("Facebook, phones", FACEBOOK, "phone_number", "\t", "utf-16", kind=IdentifierType.PHONE_NUMBER),
    Export("Brevo, phones", BREVO, "SMS", ";", kind=IdentifierType.PHONE_NUMBER),
    Export("Excel, French, phones", FRENCH, "Téléphone portable", **EXCEL, kind=IdentifierType.PHONE_NUMBER),
    Export("Excel, Japanese, phones", JAPANESE, "電話番号", encoding="cp932", kind=IdentifierType.PHONE_NUMBER),
]


@pytest.mark.parametrize("export", EXPORTS, ids=lambda export: export.tool)
def test_an_export_needs_no_column_named(export: Export, desk: Any) -> None:
    """The column of identifiers is found, whatever else is in the file, and read to the letter."""
    layout = desk.inspect(export.content())
    choice = choose_column(layout, None, export.kind)
    assert choice == Choice(list(export.columns).index(export.column), export.column, 1.0)
    assert [row[choice.position] for row in layout.sample[:ROWS]] == export.cells(export.column)
    assert layout.rows == len(layout.sample) == ROWS + export.after.strip().count("\n") + bool(export.after)


@pytest.mark.parametrize(
    ("text", "candidates"),
    [
        (
            "Person - Email - Work: e-mail | Person - Email - Home: other e-mail",
            "'Person - Email - Work' (100% fit), 'Person - Email - Home' (100% fit)",
        ),
        (
            "Attendee email: e-mail | Buyer email: other e-mail | Organizer: display",
            "'Attendee email' (100% fit), 'Buyer email' (100% fit)",
        ),
        ("Name: last | Account Manager Email: staff's e-mail", "'Account Manager Email' (100% fit)"),
        ("id: id | email_sha256: sha256 | email_md5: sha256", "'email_sha256' (100% fit), 'email_md5' (100% fit)"),
    ],
)
def test_an_export_with_no_best_column_is_refused(desk: Any, text: str, candidates: str) -> None:
    """Two equally good ones, or only somebody else's: the message lists them with the share that fits."""
    layout = desk.inspect(Export("any", columns(text), "").content())
    with pytest.raises(ConfigurationError) as caught:
        choose_column(layout, None, IdentifierType.EMAIL)
    assert candidates in str(caught.value)


async def test_exports_upload_end_to_end(tmp_path: Path) -> None:
    """As one table, without a column named, they send what a list of the cells of their columns sends."""
    ours = [each for each in EXPORTS if each.kind is IdentifierType.EMAIL]
    exports = {tmp_path / f"{at}.csv": evolve(each, first=at * ROWS) for at, each in enumerate(ours)}
    for path, export in exports.items():
        path.write_bytes(export.content())
    cells = {export.tool: export.cells(export.column) for export in exports.values()}
    options: Any = {"hash": None, "dedupe": True}
    async with Sandbox() as sandbox, CriteoClient(sandbox.credentials, base_url=sandbox.url) as criteo:
        by_file, by_list = sandbox.add_contact_list(), sandbox.add_contact_list()
        report = await criteo.marketing_solutions.upload_contact_list(
            by_file, Table.from_file(exports.keys()), **options
        )
        everybody = [cell for each in cells.values() for cell in each]
        await criteo.marketing_solutions.upload_contact_list(by_list, everybody, **options)
    held = sandbox.contact_list(by_file).identifiers
    assert [tool for tool, each in cells.items() if not {cell.lower() for cell in each if cell} <= held] == []
    assert held == sandbox.contact_list(by_list).identifiers
    assert report.ok
    assert len(held) == report.valid > len(exports) * ROWS / 2
