"""Numbers of examples of property tests: few by default, as many as a property deserves under the profile ``ci``."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

__all__ = ["examples", "load"]

_FEW = 8


def load() -> None:
    """Load the profile that ``HYPOTHESIS_PROFILE`` names: ``dev`` unless set, or ``ci``."""
    # The default deadline of 200 ms fails on a loaded machine. Fixtures are shared by all examples on purpose.
    common = {"deadline": None, "suppress_health_check": list(HealthCheck)}
    settings.register_profile("dev", max_examples=_FEW, **common)
    settings.register_profile("ci", max_examples=100, **common)
    settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))


def examples(count: int) -> settings:
    """Return settings for ``count`` examples under ``ci``, and for a third of them, at most a few, under ``dev``."""
    few = min(_FEW, max(1, count // 3))
    return settings(max_examples=count if settings.default.max_examples > _FEW else few)
