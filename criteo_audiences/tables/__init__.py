"""Files as sources of identifiers."""

from criteo_audiences.tables.table import Table

__all__ = ["Table"]
