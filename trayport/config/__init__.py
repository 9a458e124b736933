"""Settings: what a caller says wins over the environment, and that over the settings file."""

from __future__ import annotations

from .checks import Progress, is_loopback
from .config import Config, Rate
from .secret import Secret
from .sources import settings_file

__all__ = ["Config", "Progress", "Rate", "Secret", "is_loopback", "settings_file"]
