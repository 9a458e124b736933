"""The Reference Data API's answers as values, and the one converter that makes them."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar, get_origin

from attrs import frozen

from ..contracts import SequenceItem, Specification
from ..errors import DecodeError

if TYPE_CHECKING:
    import cattrs

__all__ = ["Detail", "Entry", "Items", "SequenceEntry", "parse", "read"]

T = TypeVar("T")


@frozen
class Entry:
    """A product in the list of instruments or markets."""

    id: int
    name: str


@frozen
class SequenceEntry:
    """A sequence in a product's list."""

    id: int
    name: str
    display_name: str | None = None


@frozen
class Items:
    """What is known of a sequence: every item whose delivery ends after ``since``."""

    since: datetime.date
    items: tuple[SequenceItem, ...]


@frozen
class Detail:
    """A product's own page; only its trading specifications are of use."""

    id: int
    trading_specifications: Specification | None = None


@lru_cache(maxsize=1)
def converter() -> cattrs.Converter:
    """camelCase on the wire, snake_case here; unknown keys are passed over, times are zone-aware."""
    import cattrs
    from cattrs.gen import make_dict_structure_fn, override

    made = cattrs.Converter(prefer_attrib_converters=True)
    made.register_structure_hook(datetime.datetime, lambda text, _: _moment(text))
    made.register_structure_hook(datetime.date, lambda text, _: datetime.date.fromisoformat(text))
    made.register_structure_hook(int, lambda value, _: _whole(value))
    made.register_structure_hook(str, lambda value, _: _text(value))
    for model in (Entry, SequenceEntry, SequenceItem, Specification, Detail, Items):
        renamed: dict[str, Any] = {
            attribute.name: override(rename=_camel(attribute.name)) for attribute in model.__attrs_attrs__
        }
        made.register_structure_hook(model, _of_object(make_dict_structure_fn(model, made, **renamed)))
    return made


def _of_object(structure: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """``structure`` for objects alone; without it, whatever knows ``in`` would pass for an empty one."""

    def hook(value: Any, kind: Any) -> Any:
        if not isinstance(value, dict):
            raise ValueError(f"expected an object, got {type(value).__name__}")
        return structure(value, kind)

    return hook


def read(document: object, kind: type[T], endpoint: str) -> T:
    """A parsed JSON document as a ``kind``, or a ``DecodeError`` that points at what is wrong with it."""
    import cattrs

    # An object walks like an empty list, and an error would pass for "no data".
    expected, name = (list, "a list") if get_origin(kind) is list else (dict, "an object")
    if not isinstance(document, expected):
        raise DecodeError(endpoint, "$", f"expected {name}, got {type(document).__name__}")
    try:
        return _quickly(document, kind) if kind == list[Entry] else converter().structure(document, kind)
    except cattrs.BaseValidationError as error:
        detail, _, path = cattrs.transform_error(error)[0].partition(" @ ")
        raise DecodeError(endpoint, path or "$", detail) from None


def _quickly(document: object, kind: type[T]) -> T:
    """What has thousands of elements, in an eighth of the time; if one is not as it should be, by the converter."""
    import msgspec

    try:
        return msgspec.convert(document, kind)
    except msgspec.ValidationError:
        return converter().structure(document, kind)


def parse(body: bytes, endpoint: str) -> Any:
    """An answer's JSON document."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError is a ValueError too
        hint = "; it is an HTML page" if body.lstrip().startswith(b"<") else ""
        raise DecodeError(endpoint, "$", f"no JSON: {error}{hint}") from None


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(word.title() for word in others)


def _moment(text: str) -> datetime.datetime | None:
    """A moment with its zone; None for the placeholders of systems that know no "never"."""
    moment = datetime.datetime.fromisoformat(text)
    if not 1900 < moment.year < 2200:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)


def _whole(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"{value!r} is no whole number")
    return value


def _text(value: Any) -> str:
    if value is None:  # a nameless one among thousands must not take the others with it
        return ""
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is no text")
    return value
