"""Imports go down, never up and never across: the rooms of the house stay apart."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import trayport

HOUSE = Path(trayport.__file__).parent

LAYERS = [
    {"_redact", "errors", "typing", "_version", "_console"},
    {"_time", "_parallel", "config", "venues", "endpoints"},
    {"contracts", "hooks"},
    {"queries", "decoding"},
    {"planner", "transport"},
    {"refdata"},
    {"diagnosis"},
    {"client"},
    {"api"},
    {"files", "plots", "sandbox", "metrics"},
    {"cli", "testing"},
]
LEVEL = {room: level for level, rooms in enumerate(LAYERS) for room in rooms}
# Rooms that stand apart may use less than what lies below them.
APART = {"sandbox": {"_redact", "contracts", "venues", "errors"}, "metrics": {"_redact", "hooks", "errors"}}


def rooms() -> list[str]:
    return sorted(path.stem for path in HOUSE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists())


def imports(room: str) -> Iterator[tuple[Path, str]]:
    """Every room of ours that a room imports, wherever in its files it does so."""
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
                        yield path, parts[1] if len(parts) > 1 else "__init__"


def targets(node: ast.ImportFrom, inside: tuple[str, ...]) -> list[str]:
    """The rooms that one `from … import …` reaches into."""
    module = (node.module or "").split(".") if node.module else []
    if node.level == 0:
        if module[:1] != ["trayport"]:
            return []
        module = module[1:]
    else:
        module = [*inside[: len(inside) - node.level + 1], *module]
    return [module[0]] if module else [alias.name for alias in node.names]


def test_every_room_has_a_level() -> None:
    assert sorted(LEVEL) == [room for room in rooms() if room not in ("__init__", "__main__")]


@pytest.mark.parametrize("room", sorted(LEVEL))
def test_a_room_imports_only_what_lies_below_it(room: str) -> None:
    wrong = [
        f"{path.relative_to(HOUSE)} imports {other}"
        for path, other in imports(room)
        if other != room and LEVEL.get(other, 99) >= LEVEL[room]
    ]

    assert [] == wrong


@pytest.mark.parametrize("room", sorted(APART))
def test_a_room_that_stands_apart_knows_only_its_few_friends(room: str) -> None:
    assert {other for _, other in imports(room) if other != room} <= APART[room]


def test_the_check_sees_imports_inside_functions_and_below_type_checking() -> None:
    assert ("refdata" in {other for _, other in imports("client")}) is True
    assert ("transport" in {other for _, other in imports("client")}) is True
