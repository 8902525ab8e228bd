"""The rules for identifiers: pure functions that normalize, validate, recognize and hash them, without I/O."""

from criteo_audiences.identifiers.opt_outs import MOST_PLACES, OptOutCount, OptOuts
from criteo_audiences.identifiers.phone import (
    find_region,
    has_phone_form,
    hash_phone,
    normalize_phone,
    require_numbering_plans,
    require_region,
)
from criteo_audiences.identifiers.preparation import Fingerprints, Preparation, RowCounts
from criteo_audiences.identifiers.raw_values import (
    BLANKS,
    DIGESTS_OF_NOTHING,
    Reject,
    RejectReason,
    SourceRow,
    digest,
    is_hash_in_other_form,
    is_hashed,
)
from criteo_audiences.identifiers.rules import (
    Rule,
    hash_email,
    normalize_email,
    normalize_ip_address_v4,
    normalize_mobile_ad_id,
    normalize_opaque,
    rule_for,
)

__all__ = [
    "BLANKS",
    "DIGESTS_OF_NOTHING",
    "MOST_PLACES",
    "Fingerprints",
    "OptOutCount",
    "OptOuts",
    "Preparation",
    "Reject",
    "RejectReason",
    "RowCounts",
    "Rule",
    "SourceRow",
    "digest",
    "find_region",
    "has_phone_form",
    "hash_email",
    "hash_phone",
    "is_hash_in_other_form",
    "is_hashed",
    "normalize_email",
    "normalize_ip_address_v4",
    "normalize_mobile_ad_id",
    "normalize_opaque",
    "normalize_phone",
    "require_numbering_plans",
    "require_region",
    "rule_for",
]
