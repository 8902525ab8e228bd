"""By this module Spark finds the data source `criteo_audiences`: it imports all that are named `pyspark_...`.

It is a module outside the package for the same reason. Where the extra `spark` is not installed, or Spark is older than
4.1, it has no data source, so that Spark finds those of others.
"""

from contextlib import suppress

with suppress(ImportError):
    from criteo_audiences.integrations.spark import CriteoDataSource as DefaultSource  # noqa: F401 - Spark's name
