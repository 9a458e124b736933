"""The place where output appears."""

from __future__ import annotations

import sys

__all__ = ["in_notebook"]


def in_notebook() -> bool:
    """Return True in a Jupyter notebook."""
    shell = sys.modules.get("IPython")
    return type(shell.get_ipython() if shell else None).__name__ == "ZMQInteractiveShell"
