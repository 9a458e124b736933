"""The parameters of a request, read as the API reads them, and refusals of requests that break its rules.

Page numbers refer to the API guide, see docs/sources.md.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Mapping

NS = 1_000_000_000
MINUTE = 60 * NS
HOUR = 60 * MINUTE
DAY = 24 * HOUR


class Refused(Exception):
    """A request that is not answered with 200.

    Parameters
    ----------
    status : int
        The status of the response.
    title : str
        The title of the problem details.
    rule : str
        The rule that the request broke.
    errors : Mapping of str to iterable of str, optional
        The messages of a 400 by parameter. The bodies of other statuses are not known, see ``Switches.refusals``.
    """

    def __init__(self, status: int, title: str, rule: str, errors: Mapping[str, Iterable[str]] | None = None) -> None:
        super().__init__(status, rule)
        self.status = status
        self.title = title
        self.rule = rule
        self.errors = None if errors is None else {name: list(messages) for name, messages in errors.items()}


def bad_request(errors: Mapping[str, Iterable[str]]) -> Refused:
    """Return a refusal with 400. Only the message of the range limit is known from users; the other texts are ours."""
    rule = "; ".join(f"{name}: {message}" for name, messages in errors.items() for message in messages)
    return Refused(400, "One or more validation errors occurred.", rule, errors)


def unauthorized(rule: str) -> Refused:
    """Return a refusal with 401: unknown keys, and the current day's data without the entitlement."""
    return Refused(401, "Unauthorized", rule)


def forbidden(rule: str) -> Refused:
    """Return a refusal with 403: data without the entitlement."""
    return Refused(403, "Forbidden", rule)


def not_found(name: str) -> Refused:
    """Return a refusal with 404: unknown ids and paths."""
    return Refused(404, "Not Found", f"{name} is not there")


class Parameters:
    """The parameters of a request: names in any case, values repeated or separated by commas, unknown names ignored.

    Parameters
    ----------
    pairs : iterable of (str, str)
        Names and values as they came.
    """

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        self.pairs = tuple(pairs)
        self._values: dict[str, list[str]] = {}
        for name, value in self.pairs:
            self._values.setdefault(name.lower(), []).extend(value.split(","))

    @property
    def names(self) -> frozenset[str]:
        """Names of the parameters in lower case."""
        return frozenset(self._values)

    def all(self, name: str) -> list[str]:
        """Return all values of a parameter."""
        return [value.strip() for value in self._values.get(name.lower(), ()) if value.strip()]

    def one(self, name: str) -> str | None:
        """Return the value of a parameter that takes one value; None if it is missing."""
        values = self.all(name)
        if len(values) > 1:
            raise bad_request({name: ["Only one value is allowed."]})
        return values[0] if values else None

    def numbers(self, name: str) -> list[int]:
        """Return the values of a parameter of whole numbers."""
        values = self.all(name)
        for value in values:
            if not value.isascii() or not value.isdigit() or len(value) > 18:
                raise bad_request({name: [f"The value '{value}' is not valid."]})
        return [int(value) for value in values]

    def number(self, name: str) -> int | None:
        """Return the value of a parameter that takes one whole number; None if it is missing."""
        return None if self.one(name) is None else self.numbers(name)[0]

    def required(self, *names: str) -> None:
        """Raise Refused unless all of the parameters are given."""
        missing = [name for name in names if not self.all(name)]
        if missing:
            raise bad_request({name: [f"The {name} field is required."] for name in missing})

    def flag(self, name: str, default: bool) -> bool:
        """Return the value of a parameter that takes true or false."""
        value = self.one(name)
        if value is None:
            return default
        if value.lower() not in ("true", "false"):
            raise bad_request({name: [f"The value '{value}' is not valid."]})
        return value.lower() == "true"


# ISO 8601 without fractions of a second; a missing part means the start of its unit (guide p. 6).
_TIME = re.compile(
    r"(?P<year>\d{4})(?:-(?P<month>\d\d)(?:-(?P<day>\d\d)"
    r"(?:T(?P<hour>\d\d)(?::(?P<minute>\d\d)(?::(?P<second>\d\d))?)?(?P<zone>Z|[+-]\d\d(?::?\d\d)?)?)?)?)?",
    re.IGNORECASE | re.ASCII,
)
_UNITS = (("year", 0), ("month", 1), ("day", 1), ("hour", 0), ("minute", 0), ("second", 0))
_YEARS = range(1970, 2200)
_WIDEST_OFFSET = 14 * 3600
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


def moment(name: str, text: str) -> int:
    """Return the time of a parameter, in nanoseconds since 1970."""
    match = _TIME.fullmatch(text)
    parts = match.groupdict() if match else {}
    try:
        numbers = [int(parts[unit] or least) for unit, least in _UNITS]
        found = datetime.datetime(*numbers, tzinfo=datetime.UTC)  # type: ignore[arg-type, misc]
        offset = _offset(parts["zone"])
        if found.year not in _YEARS:
            raise ValueError
    except (KeyError, ValueError):
        raise bad_request({name: [f"The value '{text}' is not valid."]}) from None
    return (int((found - _EPOCH).total_seconds()) - offset) * NS


def _offset(zone: str | None) -> int:
    if zone is None or zone in "Zz":
        return 0
    digits = zone[1:].replace(":", "").ljust(4, "0")
    seconds = int(digits[:2]) * 3600 + int(digits[2:]) * 60
    if seconds > _WIDEST_OFFSET or int(digits[2:]) > 59:
        raise ValueError(zone)
    return seconds if zone[0] == "+" else -seconds


def date_at(nanoseconds: int) -> datetime.date:
    """Return the UTC date of a time in nanoseconds since 1970."""
    return (_EPOCH + datetime.timedelta(seconds=nanoseconds // NS)).date()


def midnight(date: datetime.date) -> int:
    """Return the time at which a date begins, in nanoseconds since 1970."""
    return (date - _EPOCH.date()).days * DAY
