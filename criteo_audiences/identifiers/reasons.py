"""Why a value is no identifier."""

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
