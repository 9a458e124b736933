"""Types for annotations in the code of callers."""

from __future__ import annotations

import datetime
from typing import Literal, TypeAlias

import pandas as pd

When: TypeAlias = str | datetime.date | datetime.datetime | pd.Timestamp
"""A time: ISO 8601 text, a date, a datetime or a Timestamp. A naive one is read in ``Config.tz``."""

Interval: TypeAlias = str
"""Of candles: "1min" "5min" "15min" "30min" "1h" "4h" "1d" "7d" "1mo"; of books: a whole number of seconds, minutes or
hours, such as "15s" or "2h"."""

BreakerState: TypeAlias = Literal["closed", "half-open", "open"]
"""State of a circuit breaker: requests pass, one trial request may pass, or none passes."""

__all__ = ["BreakerState", "Interval", "When"]
