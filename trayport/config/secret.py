"""The API key, wrapped so that it stays where it is."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from .._redact import hide

__all__ = ["Secret"]


class Secret:
    """The API key, in a wrapping that neither prints nor pickles what is in it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text
        hide(text)

    def reveal(self) -> str:
        """The key itself, for the one header that carries it."""
        return self._text

    @property
    def digest(self) -> str:
        """A few letters that tell this key from others, and nothing else about it."""
        return hashlib.blake2b(self._text.encode(), digest_size=6, person=b"trayport").hexdigest()

    def __repr__(self) -> str:
        return "'***'"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __reduce__(self) -> tuple[Callable[[], None], tuple[()]]:
        return _no_secret, ()

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, _: object) -> Secret:
        return self  # a copy stays in this process; only what leaves it goes without the key


def _no_secret() -> None:
    """What a pickled key becomes: nothing."""
