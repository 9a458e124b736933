"""Docstrings of the public names are numpydoc: parameters with types and defaults, results and errors in sections."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import trayport as tp


def public() -> Iterator[tuple[str, Callable[..., Any]]]:
    """Return the public functions and classes, and the public methods of the classes."""
    for name in tp.__all__:
        value = getattr(tp, name)
        if inspect.isclass(value) and (issubclass(value, BaseException) or getattr(value, "_is_protocol", False)):
            continue
        if inspect.isclass(value) or inspect.isroutine(value):
            yield name, value
        if inspect.isclass(value):
            for method, member in vars(value).items():
                if not method.startswith("_") and inspect.isroutine(getattr(value, method)):
                    yield f"{name}.{method}", member.__func__ if isinstance(member, classmethod) else member


PUBLIC = dict(public())


def parameters(value: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    found = inspect.signature(value).parameters
    return {name: each for name, each in found.items() if name not in ("self", "cls")}


@pytest.mark.parametrize("name", PUBLIC)
def test_every_parameter_has_its_type_and_default(name: str) -> None:
    text = inspect.getdoc(PUBLIC[name]) or ""
    described = {
        each.strip().lstrip("*"): spec
        for names, spec in re.findall(r"^([*\w, ]+?) : (.+)$", text, re.MULTILINE)
        for each in names.split(",")
    }
    missing = [each for each in parameters(PUBLIC[name]) if each not in described]
    without_default = [
        each
        for each, parameter in parameters(PUBLIC[name]).items()
        if parameter.default not in (parameter.empty, ...) and each in described
        if "default" not in described[each] and "optional" not in described[each]
    ]

    assert ([], []) == (missing, without_default), text


@pytest.mark.parametrize("name", [name for name, value in PUBLIC.items() if not inspect.isclass(value)])
def test_every_result_has_a_section(name: str) -> None:
    text = inspect.getdoc(PUBLIC[name]) or ""
    annotation = str(inspect.signature(PUBLIC[name]).return_annotation)

    assert annotation in ("None", "NoReturn") or re.search(r"^(Returns|Yields)\n-+$", text, re.MULTILINE), text
