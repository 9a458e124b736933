"""What keeps data from arriving: each thing that has to be right looked at once, with the remedy where it is not."""

from __future__ import annotations

from .checks import Check, Diagnosis
from .examination import Patient, examine

__all__ = ["Check", "Diagnosis", "Patient", "examine"]
