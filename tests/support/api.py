"""Plain requests to a sandbox, and checks of responses against the API's document."""

from __future__ import annotations

import datetime
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs
import numpy as np
import requests
import yaml

from trayport.sandbox import Sandbox

DOCUMENT = yaml.safe_load((Path(__file__).parents[1] / "data" / "openapi.yaml").read_text(encoding="utf-8"))

TTF = {"marketId": 10000065, "sequenceId": 10000305, "sequenceItemId": 244, "contractType": "SinglePeriod"}
EUA = {"marketId": 10000016, "sequenceId": 10000400, "sequenceItemId": 750, "contractType": "SinglePeriod"}
TRADES = {"from": "2024-02-05", "until": "2024-02-06", **TTF}

KEY_OF = {False: "sandbox-key", True: "sandbox-intraday"}
"""The keys without and with the entitlement to the current day."""

CONTRACTS = [
    TTF,
    EUA,
    {**TTF, "sequenceItemId": 262},
    {**TTF, "contractType": "Spread", "secondSequenceItemId": 245},
    {"instrumentId": 10641710, "sequenceId": 10000106, "sequenceItemId": 22, "contractType": "SinglePeriod"},
    {"instrumentId": 10009113, "sequenceId": 10000305, "sequenceItemId": 244, "contractType": "SinglePeriod"},
]
"""Liquid and illiquid contracts of markets and of instruments."""


def send(sandbox: Sandbox, path: str = "/api/trades", params: Any = TRADES, **options: Any) -> requests.Response:
    """Send a request with the sandbox's key."""
    headers = {"x-api-key": sandbox.key, **options.pop("headers", {})}
    return requests.get(sandbox.url + path, params=params, headers=headers, timeout=30, **options)


def get_json(sandbox: Sandbox, path: str, params: Any, **parameters: Any) -> Any:
    """Return the body of a response in JSON; its status must be 200."""
    got = send(sandbox, f"/api{path}", {**params, **parameters})
    assert 200 == got.status_code, got.text
    return got.json()


def refused_parameters(sandbox: Sandbox, path: str, params: Any) -> list[str]:
    """Return the parameters that a 400 names."""
    got = send(sandbox, f"/api{path}", params)
    assert 400 == got.status_code, got.text
    validate("Problem", got.json())
    return list(got.json()["errors"])


def validate(schema: str, document: object) -> None:
    """Validate a value against a schema of the API's document."""
    _validator(schema).validate(document)


@cache
def _validator(schema: str) -> Any:
    # OpenAPI 3.1 schemas are JSON Schema 2020-12. A validator in Python would take 160 times as long.
    document = {"$ref": f"#/components/schemas/{schema}", "components": DOCUMENT["components"]}
    return jsonschema_rs.Draft202012Validator(document)


def optional_fields(path: str) -> list[str]:
    """Return the optional fields of a path in the document."""
    for parameter in DOCUMENT["paths"][path]["get"]["parameters"]:
        if "$ref" in parameter:
            parameter = DOCUMENT["components"]["parameters"][parameter["$ref"].rpartition("/")[2]]
        if parameter["name"] == "optionalFields":
            return list(parameter["schema"]["items"]["enum"])
    raise KeyError(path)


def nanoseconds(text: str) -> int:
    """Return a UTC time in nanoseconds since 1970."""
    return int(np.datetime64(text, "ns").astype(np.int64))


def iso_time(nanoseconds: int) -> str:
    """Return a time as a parameter of a request, rounded down to whole seconds."""
    return datetime.datetime.fromtimestamp(nanoseconds // 10**9, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
