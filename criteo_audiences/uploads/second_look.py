"""A second look at a source, for the rows of the identifiers that Criteo showed as refused."""

import logging
from collections.abc import Mapping

from criteo_audiences.models import IdentifierType
from criteo_audiences.tables.origins import SourceRow
from criteo_audiences.uploads.intake import Intake

_log = logging.getLogger("criteo_audiences.uploads")


async def rows_of(intake: Intake, sought: Mapping[IdentifierType, set[str]]) -> tuple[SourceRow, ...]:
    """Returns the first row of each identifier that the source still holds; none when it cannot be read again.

    Args:
        intake: what has read the source.
        sought: identifiers as they went out, by kind.
    """
    if not sought:
        return ()
    try:
        return tuple(await intake.first_rows(sought))
    except Exception as error:  # noqa: BLE001 - the upload is over: whatever happens here, it is no failure of it
        _log.warning("The rows of refused identifiers are not known: %s at the second look.", type(error).__name__)
        return ()
