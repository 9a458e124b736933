"""Whose certificates are believed; that they are looked at is no setting."""

from __future__ import annotations

import os
import ssl
from pathlib import Path

from attrs import frozen

from ..errors import ConfigError

__all__ = ["Trust", "trusted"]


@frozen
class Trust:
    """Where trust comes from: a bundle, or a context that asks the operating system; certifi's list if neither."""

    bundle: str | None = None
    context: ssl.SSLContext | None = None

    @property
    def verify(self) -> str | bool:
        """What requests calls it."""
        return self.bundle or True


def trusted(bundle: Path | None) -> Trust:
    """The explicit bundle, else the environment's, else the operating system's store, else certifi's list.

    Raises ``ConfigError`` if there is no such bundle.
    """
    if bundle is not None:
        if not bundle.exists():
            raise ConfigError(f"ca_bundle={str(bundle)!r}: there is no such file or folder of certificates")
        return Trust(bundle=str(bundle))
    # The second is curl's, which requests reads, too.
    named = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
    if named:
        return Trust(bundle=named)
    try:
        import truststore
    except ImportError:
        return Trust()
    return Trust(context=truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
