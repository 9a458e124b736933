"""The types that a caller writes in annotations of their own."""

from __future__ import annotations

import datetime
from typing import TypeAlias

import pandas as pd

When: TypeAlias = str | datetime.date | datetime.datetime | pd.Timestamp
"""A moment: ISO 8601 text, a date, a datetime or a Timestamp; naive ones are read in ``Config.tz``."""

__all__ = ["When"]
