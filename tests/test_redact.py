"""Log records show no key."""

from __future__ import annotations

import logging
from collections.abc import Callable
from urllib.parse import quote

import pytest
from support.fake import Clock
from support.wire import Wire, http, reset

import trayport
from trayport import Config, _redact
from trayport.config import Secret
from trayport.endpoints import TRADES, Request
from trayport.transport import Session

KEY = "hush-4b1d!77/e0+9"


SECRET = Secret(KEY)


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Callable[[], str]:
    """Returns all log records with all of their attributes."""
    caplog.set_level(logging.DEBUG)
    return lambda: "\n".join(f"{caplog.handler.format(record)} {record.__dict__}" for record in caplog.records)


@pytest.mark.parametrize(
    "name",
    ["trayport.transport.session", "trayport.sandbox.server", "trayport.sandbox.listener", "urllib3.connectionpool",
     "urllib3.connection", "urllib3.util.retry", "urllib3.poolmanager", "urllib3.response"],
)  # fmt: skip
@pytest.mark.parametrize(
    "log",
    [
        pytest.param(lambda logger: logger.debug(f"sent X-API-KEY: {KEY}"), id="message"),
        pytest.param(lambda logger: logger.debug("sent %s", {"X-API-KEY": KEY}), id="argument"),
        pytest.param(lambda logger: logger.debug("sent %(key)s", {"key": KEY.upper()}), id="named"),
        pytest.param(lambda logger: logger.debug("%s", quote(KEY, safe="")), id="as-in-a-url"),
        pytest.param(lambda logger: logger.debug("%r", KEY.encode()), id="bytes"),
        pytest.param(lambda logger: logger.debug("%d", KEY), id="does-not-fit"),
        pytest.param(lambda logger: logger.debug(KEY, stack_info=True), id="stack"),
    ],
)
def test_no_record_of_this_package_or_of_urllib3_shows_a_key(
    name: str, log: Callable[[logging.Logger], None], logged: Callable[[], str]
) -> None:
    _redact.watch()
    log(logging.getLogger(name))

    text = logged()
    assert name in text
    assert [] == [each for each in (KEY, quote(KEY, safe="")) if each.lower() in text.lower()]


def test_traceback_is_logged_without_the_key(logged: Callable[[], str]) -> None:
    def fail() -> None:
        raise RuntimeError(f"no such key: {KEY}")

    try:
        try:
            fail()
        except RuntimeError:
            raise ValueError("because of that")  # noqa: B904  # as in code of other packages
    except ValueError:
        logging.getLogger("trayport.transport.session").exception("it failed")

    text = logged()
    assert "no such key: ***" in text
    assert "because of that" in text
    assert KEY not in text


def test_record_without_a_key_is_unchanged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    error = RuntimeError("nothing")
    logging.getLogger("trayport.transport.session").debug("%s took %d", "trades", 3, exc_info=error)

    record = caplog.records[-1]
    assert ("%s took %d", ("trades", 3), error) == (record.msg, record.args, (record.exc_info or (None, None))[1])


def test_every_logger_of_this_package_has_the_filter() -> None:
    import pkgutil

    for module in pkgutil.walk_packages(trayport.__path__, "trayport."):
        if not module.name.endswith("__main__"):
            __import__(module.name)
    ours = [
        logger
        for name, logger in logging.root.manager.loggerDict.items()
        if name.startswith("trayport.") and isinstance(logger, logging.Logger)
    ]

    assert len(ours) >= 3
    assert [] == [logger.name for logger in ours if _redact._FILTER not in logger.filters]


def test_short_word_is_not_hidden() -> None:
    Secret("the")

    assert "the usual" == _redact.redacted("the usual")


def test_records_of_urllib3_about_a_session_show_no_key(logged: Callable[[], str]) -> None:
    clock = Clock()
    echo = f'{{"title":"what is {KEY}?"}}'.encode()
    with Wire(reset, http(503, echo), http(302, b"", Location=f"/{KEY}"), http(200, b"[1]", X_Echo=KEY)) as wire:
        config = Config(KEY, analytics_url=f"{wire.url}/{KEY}", reference_url=wire.url, limiter="off")
        session = Session(config, clock=clock, wait=clock.wait)
        with pytest.raises(trayport.APIError, match="redirects") as caught:
            session.send(Request(TRADES, (("q", KEY),)))
        session.send(Request(TRADES))
        session.close()

    text = logged()
    assert "urllib3.connectionpool" in text
    assert [] == [each for each in (KEY, quote(KEY), quote(KEY, safe="")) if each in f"{text} {caught.value!r}"]
