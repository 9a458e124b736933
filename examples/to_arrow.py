"""A stream as an Arrow table, which other tools such as DuckDB read.

Runs on simulated data. With a key of your own in TRAYPORT_API_KEY, remove the line with `sandboxed`.
"""

from __future__ import annotations

import trayport as tp
from trayport.testing import sandboxed

with sandboxed():
    table = tp.to_arrow(tp.stream.trades("TTF Apr-24", "2023-12-01", "2024-02-10"))
    print(f"{table.num_rows} rows, {table.nbytes / 1e6:.1f} MB")
    print(table.schema.to_string(show_schema_metadata=False))
