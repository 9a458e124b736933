"""Settings: what a caller says wins over the environment, and that over the settings file."""

from __future__ import annotations

from .checks import Progress, is_loopback
from .config import Config, Rate
from .permissions import belongs_to_another_user, is_open_to_others, owner_only_command, private_folder
from .secret import Secret
from .sources import origin, settings_file, variables

__all__ = [
    "Config",
    "Progress",
    "Rate",
    "Secret",
    "belongs_to_another_user",
    "is_loopback",
    "is_open_to_others",
    "origin",
    "owner_only_command",
    "private_folder",
    "settings_file",
    "variables",
]
