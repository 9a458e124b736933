"""The public names: pinned, documented, and imported without side effects."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

import trayport as tp
from trayport import Client, api
from trayport.api import DEFAULT
from trayport.cli import main
from trayport.client import References
from trayport.queries import QUERIES, Queries

PINNED_QUERIES = [
    "trades",
    "private_trades",
    "ohlcv",
    "last_trade",
    "activity",
    "top_of_book",
    "order_book",
    "snapshots",
]
REFERENCE = [
    "instruments",
    "markets",
    "search",
    "sequences",
    "sequence_items",
    "specification",
    "venues",
    "resolve",
    "label",
    "refresh",
]
ERRORS = [
    "APIError",
    "AmbiguousContract",
    "BadRequest",
    "CircuitOpen",
    "ConfigError",
    "ConnectionFailed",
    "ContractError",
    "DecodeError",
    "Failure",
    "Interrupted",
    "IntradayNotAllowed",
    "NotAllowed",
    "NotFound",
    "PartialDataError",
    "QueryError",
    "RateLimited",
    "ServerError",
    "TimedOut",
    "TransportError",
    "TrayportError",
    "TrayportWarning",
    "UnknownContract",
]
OBJECTS = [
    "Check",
    "Client",
    "Config",
    "Contract",
    "Diagnosis",
    "Front",
    "Hook",
    "Instrument",
    "Market",
    "Period",
    "Plan",
    "RequestEvent",
    "Specification",
    "Status",
]
REST = ["__version__", "configure", "doctor", "plan", "sandbox", "status", "stream", "testing"]
FILES = ["save", "to_arrow", "to_polars"]


def test_the_public_names_are_these_and_no_others() -> None:
    assert sorted(PINNED_QUERIES + REFERENCE + ERRORS + OBJECTS + REST + FILES) == sorted(tp.__all__)


@pytest.mark.parametrize("name", sorted(tp.__all__))
def test_every_public_name_exists_and_has_a_docstring(name: str) -> None:
    value = getattr(tp, name)

    assert name == "__version__" or bool(inspect.getdoc(value))


def test_dir_lists_the_public_names_only() -> None:
    assert sorted(tp.__all__) == dir(tp)


def test_a_name_that_does_not_exist_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'trade'"):
        _ = tp.trade  # type: ignore[attr-defined]


def public(value: object) -> set[str]:
    return {name for name in dir(value) if not name.startswith("_")}


def test_every_public_attribute_of_a_client_is_a_query_or_a_reference_call_or_listed_here() -> None:
    assert set(QUERIES) == public(Queries)
    assert {*REFERENCE, "catalogue"} == public(References)
    others = {"catalogue", "clock", "close", "config", "doctor", "session", "status"}
    assert {*QUERIES, *REFERENCE, *others} == public(Client)


def test_every_query_is_a_flat_function_in_plan_in_stream_and_a_command() -> None:
    assert PINNED_QUERIES == list(QUERIES)
    for name in QUERIES:
        assert name in api.__all__
        assert name in public(tp.plan) & public(tp.stream)
        command = name.replace("_", "-")
        for words in ([command, "--help"], ["plan", command, "--help"]):
            with pytest.raises(SystemExit) as ended:
                main(words)
            assert 0 == ended.value.code


def test_every_flat_function_is_a_method_of_the_default_client() -> None:
    assert {*QUERIES, *REFERENCE, "configure", "doctor", "plan", "status", "stream"} == set(api.__all__)
    for name in api.__all__:
        assert getattr(DEFAULT, name) == getattr(api, name) == getattr(tp, name)


@pytest.mark.parametrize("name", PINNED_QUERIES)
@pytest.mark.parametrize("face", [tp.plan, tp.stream], ids=["plan", "stream"])
def test_plan_and_stream_have_the_same_queries_with_the_same_signatures(face: object, name: str) -> None:
    assert inspect.signature(getattr(tp, name)) == inspect.signature(getattr(face, name))


@pytest.mark.parametrize("name", PINNED_QUERIES)
def test_options_are_keyword_only(name: str) -> None:
    parameters = inspect.signature(getattr(tp, name)).parameters
    positional = [each.name for each in parameters.values() if each.kind is each.POSITIONAL_OR_KEYWORD]

    subject = [] if name in ("private_trades", "activity") else ["contract"]
    times = [] if name in ("last_trade", "snapshots") else ["start", "end"]
    interval = ["interval"] if name in ("ohlcv", "top_of_book", "order_book") else []
    assert [*subject, *times, *interval] == positional


@pytest.mark.parametrize("name", PINNED_QUERIES)
def test_the_docstring_of_a_query_has_all_sections(name: str) -> None:
    text = inspect.getdoc(getattr(tp, name)) or ""

    assert [] == [part for part in ("Parameters", "Returns", "Raises", "Examples", "DataFrame") if part not in text]


@pytest.mark.parametrize("name", [*REFERENCE, *FILES, "configure", "doctor", "status"])
def test_the_docstring_of_every_other_function_has_its_errors_and_an_example(name: str) -> None:
    text = inspect.getdoc(getattr(tp, name)) or ""

    assert [] == [part for part in ("Raises", ">>> import trayport as tp") if part not in text]


PROGRAM = """
import sys, threading, socket, os
opened, read = [], []
sys.addaudithook(lambda event, args: opened.append(event) if event in ("socket.__new__", "socket.connect") else None)
class Watched(dict): pass
get = os.environ.__class__.__getitem__
os.environ.__class__.__getitem__ = lambda self, name: (read.append(name), get(self, name))[1]
import pandas
before = set(sys.modules)
read.clear()
import trayport
print(threading.active_count(), opened, [name for name in read if name.startswith("TRAYPORT")])
print(sorted({name.partition(".")[0] for name in set(sys.modules) - before}))
print([name for name in sys.modules if name.startswith("trayport.")])
"""
IMPORTED_LATER = {
    "requests", "urllib3", "pyrate_limiter", "tqdm", "brotli", "diskcache", "cattrs", "msgspec", "platformdirs",
    "filelock", "redis", "prometheus_client",
    "pyarrow",  # only the modules that pandas imports
}  # fmt: skip


def test_importing_starts_no_thread_opens_no_socket_and_reads_no_key() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    activity, packages, rooms = done.stdout.splitlines()

    assert "1 [] []" == activity
    assert set() == IMPORTED_LATER & set(eval(packages))
    assert {
        "trayport.sandbox",
        "trayport.transport",
        "trayport.refdata",
        "trayport.testing",
        "trayport.diagnosis",
    }.isdisjoint(eval(rooms))
