"""The reasons for which a value is rejected."""

from enum import StrEnum


class RejectReason(StrEnum):
    """The reasons a value is rejected for, as they stand in a report."""

    EMPTY = "empty"
    NO_AT_SIGN = "no_at_sign"
    SEVERAL_AT_SIGNS = "several_at_signs"
    NO_LOCAL_PART = "no_local_part"
    NO_DOT_IN_DOMAIN = "no_dot_in_domain"
    WHITE_SPACE_INSIDE = "white_space_inside"
    FORBIDDEN_CHARACTER = "forbidden_character"
    BAD_DOMAIN = "bad_domain"
    TOO_LONG = "too_long"
    NO_COUNTRY_CODE = "no_country_code"
    UNKNOWN_COUNTRY = "unknown_country"
    UNKNOWN_COUNTRY_CODE = "unknown_country_code"
    TOO_SHORT = "too_short"
    NO_SUCH_NUMBER = "no_such_number"
    NOT_A_PHONE = "not_a_phone"
    SEVERAL_NUMBERS = "several_numbers"
    SPREADSHEET_NUMBER = "spreadsheet_number"
    MD5_OF_PHONE = "md5_of_phone"
    LIMITED_AD_TRACKING = "limited_ad_tracking"
    HASHED_AD_ID = "hashed_ad_id"
    NOT_A_MOBILE_AD_ID = "not_a_mobile_ad_id"
    DIGEST_OF_NOTHING = "digest_of_nothing"
    HASH_IN_OTHER_FORM = "hash_in_other_form"
    NOT_AN_IP_ADDRESS = "not_an_ip_address"
    BROKEN_QUOTES = "broken_quotes"
    NO_CELL = "no_cell"
