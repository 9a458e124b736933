"""Settings: arguments win over the environment, and the environment over the settings file."""

from __future__ import annotations

from .checks import Progress, is_loopback, without_password
from .config import Config, Rate, Secret
from .permissions import belongs_to_another_user, is_open_to_others, owner_only_command, private_folder
from .sources import environment_variables, key_source, settings_file

__all__ = [
    "Config",
    "Progress",
    "Rate",
    "Secret",
    "belongs_to_another_user",
    "is_loopback",
    "is_open_to_others",
    "key_source",
    "owner_only_command",
    "private_folder",
    "environment_variables",
    "settings_file",
    "without_password",
]
