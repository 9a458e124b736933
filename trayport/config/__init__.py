"""Settings: what a caller says wins over the environment, and that over the settings file."""

from __future__ import annotations

from .checks import Progress, is_loopback
from .config import Config, Rate
from .secret import Secret
from .sources import origin, settings_file, variables

__all__ = ["Config", "Progress", "Rate", "Secret", "is_loopback", "origin", "settings_file", "variables"]
