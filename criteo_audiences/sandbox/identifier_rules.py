"""Which strings Criteo counts as valid identifiers of a kind.

Criteo publishes the accepted forms in its guides (https://developers.criteo.com), not in OpenAPI.
"""

import re
from collections.abc import Callable
from typing import Final

_HASHED_EMAIL = r"[0-9a-fA-F]{64}|[0-9a-fA-F]{32}"
_PLAIN_EMAIL = r"[^@\s]+@[^@\s]+\.[^@\s]+"

# One identifier type covers plain text, MD5, SHA-256 and SHA-256 of MD5: the server decides from the string.
is_email: Final = re.compile(f"{_HASHED_EMAIL}|{_PLAIN_EMAIL}").fullmatch

# "+" and the country code, spaces and hyphens allowed; or the SHA-256 of the digits. There is no MD5 form.
is_phone_number: Final = re.compile(r"\+[0-9](?:[ -]*[0-9])+|[0-9a-fA-F]{64}").fullmatch

# IDFA and AAID are UUIDs; Criteo publishes no rule on their case.
is_mobile_ad_id: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}").fullmatch

# OpenAPI names the type IpAddressV4; Criteo publishes no more about it.
_OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
is_ip_address_v4: Final = re.compile(rf"{_OCTET}(?:\.{_OCTET}){{3}}").fullmatch


def is_opaque_id(text: str) -> bool:
    """Returns whether the text can be an id whose form its issuer decides (identityLink, gum, customerId …)."""
    return text.isprintable() and not text.isspace() and bool(text)


Rule = Callable[[str], object]
"""Takes an identifier and returns something true when it is valid."""
