"""What an identifier is: pure functions that normalize, validate, recognise and hash, without I/O."""

from criteo_audiences.identifiers.email import hash_email, normalize_email
from criteo_audiences.identifiers.fingerprints import Fingerprints
from criteo_audiences.identifiers.hashing import digest, is_hashed
from criteo_audiences.identifiers.preparing import Preparation
from criteo_audiences.identifiers.reasons import RejectReason

__all__ = ["Fingerprints", "Preparation", "RejectReason", "digest", "hash_email", "is_hashed", "normalize_email"]
