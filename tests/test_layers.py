"""Imports go down, never up and never across: the rooms of the house stay apart."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

import trayport

HOUSE = Path(trayport.__file__).parent

LAYERS = [
    {"errors", "typing", "venues", "_atomic", "_redact", "_console", "_version"},
    {"_time", "_parallel", "_yaml", "endpoints", "sandbox"},
    {"contracts", "config"},
    {"wire", "spans", "hooks", "status"},
    {"queries", "decoding", "analysis", "limits", "metrics", "plots"},
    {"planner", "transport", "files"},
    {"fetching", "refdata"},
    {"diagnosis", "archive"},
    {"client"},
    {"api"},
    {"jobs", "live"},
    {"cli", "testing"},
]
LEVEL = {room: level for level, rooms in enumerate(LAYERS) for room in rooms}
# Rooms that may use less than the rooms below them.
APART = {"sandbox": {"_redact", "venues"}, "metrics": {"_redact", "errors", "hooks", "status", "typing"}}


def rooms() -> list[str]:
    return sorted(path.stem for path in HOUSE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists())


def imports(room: str) -> Iterator[tuple[Path, str]]:
    """Every room of ours that a room imports, wherever in its files it does so."""
    return ((path, module.split(".")[0]) for path, module in modules(room))


def modules(room: str) -> Iterator[tuple[Path, str]]:
    """Every module of ours that a room imports, as a dotted path below the package."""
    folder = HOUSE / room
    for path in sorted(folder.rglob("*.py")) if folder.is_dir() else [HOUSE / f"{room}.py"]:
        inside = path.relative_to(HOUSE).parts[:-1]
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                for name in targets(node, inside):
                    yield path, name
            elif isinstance(node, ast.Import):
                for alias in node.names:
                    parts = alias.name.split(".")
                    if parts[0] == "trayport":
                        yield path, ".".join(parts[1:]) or "__init__"
            elif isinstance(node, ast.Call) and is_import_module(node):
                yield path, str(node.args[0].value).lstrip(".").removeprefix("trayport.")  # type: ignore[attr-defined]


def is_import_module(node: ast.Call) -> bool:
    """Return True for ``import_module`` with a constant name of this package."""
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    first = node.args[0] if node.args else None
    named = isinstance(first, ast.Constant) and isinstance(first.value, str)
    return name == "import_module" and named and first.value.startswith((".", "trayport"))  # type: ignore[union-attr]


def targets(node: ast.ImportFrom, inside: tuple[str, ...]) -> list[str]:
    """Return the modules that one `from … import …` imports from."""
    module = (node.module or "").split(".") if node.module else []
    if node.level == 0:
        if module[:1] != ["trayport"]:
            return []
        module = module[1:]
    else:
        module = [*inside[: len(inside) - node.level + 1], *module]
    if module and (HOUSE / Path(*module)).is_dir():
        inner, door = HOUSE / Path(*module), exported(".".join(module))
        past = [alias.name not in door and (inner / f"{alias.name}.py").exists() for alias in node.names]
        return [
            ".".join([*module, alias.name] if inside_it else module)
            for alias, inside_it in zip(node.names, past, strict=True)
        ]
    return [".".join(module)] if module else [alias.name for alias in node.names]


def exported(room: str) -> list[str]:
    """Return the public names of a room."""
    return list(getattr(importlib.import_module(f"trayport.{room}"), "__all__", []))


def test_every_room_has_a_level() -> None:
    assert [] == [room for room in rooms() if room not in ("__init__", "__main__", *LEVEL)]


@pytest.mark.parametrize("room", sorted(set(LEVEL) & set(rooms())))
def test_a_room_imports_only_lower_rooms(room: str) -> None:
    wrong = [
        f"{path.relative_to(HOUSE)} imports {other}"
        for path, other in imports(room)
        if other != room and LEVEL.get(other, 99) >= LEVEL[room]
    ]

    assert [] == wrong


def test_rooms_are_entered_by_their_door() -> None:
    past = {
        (room, module)
        for room in rooms()
        for _, module in modules(room)
        if "." in module and module.split(".")[0] != room
    }

    assert set() == past


@pytest.mark.parametrize("room", sorted(APART))
def test_sandbox_and_metrics_import_only_the_rooms_of_their_list(room: str) -> None:
    assert {other for _, other in imports(room) if other != room} <= APART[room]


def test_the_check_sees_imports_inside_functions_and_below_type_checking() -> None:
    assert ("refdata" in {other for _, other in imports("client")}) is True
    assert ("transport" in {other for _, other in imports("client")}) is True
