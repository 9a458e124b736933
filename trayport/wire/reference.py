"""The objects and parameters of the Reference Data API.

Responses spell their fields in camelCase, attributes are in snake_case.
"""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar, get_origin

from attrs import fields, frozen, has

from ..contracts import Specification
from ..errors import DecodeError
from .request import Params

if TYPE_CHECKING:
    import cattrs

__all__ = ["ProductDetail", "ProductEntry", "SequenceEntry", "parse_json", "sequence_item_params", "structure"]

T = TypeVar("T")


@frozen
class ProductEntry:
    """A product in the list of instruments or markets."""

    id: int
    name: str


@frozen
class ProductDetail:
    """A product's own object, of which only the trading specifications are used."""

    id: int
    trading_specifications: Specification | None = None


@frozen
class SequenceEntry:
    """A sequence in a product's list."""

    id: int
    name: str
    display_name: str | None = None


def sequence_item_params(start: datetime.date | None, count: int) -> Params:
    """Return the parameters for the first ``count`` items that deliver after ``start``; after today for None."""
    dated = () if start is None else (("startDate", f"{start.isoformat()}T00:00:00Z"),)
    return (*dated, ("count", str(count)))


def parse_json(body: bytes, endpoint: str) -> Any:
    """Return the JSON document of a response, or raise ``DecodeError``."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError is a ValueError too
        hint = "; it is an HTML page" if body.lstrip().startswith(b"<") else ""
        raise DecodeError(endpoint, "$", f"the body is not JSON: {error}{hint}") from None


def structure(document: object, kind: type[T], endpoint: str) -> T:
    """Return a JSON document as a ``kind``, or raise ``DecodeError`` with the path of the wrong value.

    Parameters
    ----------
    document : object
        A parsed JSON document.
    kind : type
        An attrs class or a list of one.
    endpoint : str
        The endpoint's name, for the error.

    >>> structure([{"id": 7, "name": "Months", "displayName": "M"}], list[SequenceEntry], "sequences")
    [SequenceEntry(id=7, name='Months', display_name='M')]
    >>> structure([{"id": 7, "name": "Months", "displayName": 5}], list[SequenceEntry], "sequences")
    Traceback (most recent call last):
    trayport.errors.DecodeError: sequences: cannot read the response at $[0].displayName: invalid value for type, ...
    """
    import cattrs

    # An object iterates like an empty list, so an error object would be read as "no data".
    expected, name = (list, "a list") if get_origin(kind) is list else (dict, "an object")
    if not isinstance(document, expected):
        raise DecodeError(endpoint, "$", f"expected {name}, got {type(document).__name__}")
    try:
        return _fast(document, kind) if kind == list[ProductEntry] else _converter().structure(document, kind)
    except cattrs.BaseValidationError as error:
        detail, _, path = cattrs.transform_error(error)[0].partition(" @ ")
        # cattrs writes the path with our attributes' names.
        path = re.sub(r"(?<=\.)[a-z_]+", lambda name: _camel_case(name[0]), path)
        raise DecodeError(endpoint, path or "$", detail) from None


def _fast(document: object, kind: type[T]) -> T:
    """Structure a list of thousands with msgspec, in an eighth of the time; its errors come from the converter."""
    import msgspec

    try:
        return msgspec.convert(document, kind)
    except msgspec.ValidationError:
        return _converter().structure(document, kind)


@lru_cache(maxsize=1)
def _converter() -> cattrs.Converter:
    """Return a converter that reads camelCase, ignores unknown fields, and makes times zone-aware."""
    import cattrs
    from cattrs.gen import make_dict_structure_fn, override

    converter = cattrs.Converter(prefer_attrib_converters=True)

    def structure_object(kind: type[Any]) -> Callable[[Any, Any], Any]:
        renamed: dict[str, Any] = {each.name: override(rename=_camel_case(each.name)) for each in fields(kind)}
        fill = make_dict_structure_fn(kind, converter, **renamed)

        def hook(value: Any, kind: Any) -> Any:
            # Without this check, any value that supports ``in`` is read as an empty object.
            if not isinstance(value, dict):
                raise ValueError(f"expected an object, got {type(value).__name__}")
            return fill(value, kind)

        return hook

    converter.register_structure_hook_factory(has, structure_object)
    converter.register_structure_hook(datetime.datetime, lambda text, _: _moment(text))
    converter.register_structure_hook(datetime.date, lambda text, _: datetime.date.fromisoformat(text))
    converter.register_structure_hook(int, lambda value, _: _integer(value))
    converter.register_structure_hook(str, lambda value, _: _text(value))
    return converter


def _camel_case(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(word.title() for word in others)


def _moment(text: str) -> datetime.datetime | None:
    """Return a zone-aware time; None for placeholders such as 9999-12-31, which mean "never"."""
    moment = datetime.datetime.fromisoformat(text)
    if not 1900 < moment.year < 2200:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)


def _integer(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"{value!r} is not an integer")
    return value


def _text(value: Any) -> str:
    if value is None:  # one product without a name must not make the other thousands unreadable
        return ""
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not text")
    return value
