"""The types that a caller writes in annotations of their own."""

from __future__ import annotations

import datetime
from typing import Literal, TypeAlias

import pandas as pd

When: TypeAlias = str | datetime.date | datetime.datetime | pd.Timestamp
"""A moment: ISO 8601 text, a date, a datetime or a Timestamp; naive ones are read in ``Config.tz``."""

Interval: TypeAlias = str
"""Candles: "1min" "5min" "15min" "30min" "1h" "4h" "1d" "7d" "1mo"; books: any number of them, as in "15s" or "2h"."""

BreakerState: TypeAlias = Literal["closed", "half-open", "open"]
"""State of a circuit breaker: requests pass, one trial request may pass, or none passes."""

__all__ = ["BreakerState", "Interval", "When"]
