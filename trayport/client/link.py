"""A link to a client that can be pickled: plans and errors keep one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from attrs import frozen

if TYPE_CHECKING:
    from .client import Client

__all__ = ["ClientLink"]


@frozen(eq=False)
class ClientLink:
    """A link to the client that made a plan or an error; once pickled, to the default client of its new process.

    A client's key and connections never leave the process.
    """

    client: Client
    default: ClassVar[Client]
    """The default client, which registers itself here."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _default_link, ()

    def __copy__(self) -> ClientLink:
        return self

    def __deepcopy__(self, _: object) -> ClientLink:
        return self


def _default_link() -> ClientLink:
    return ClientLink(ClientLink.default)
