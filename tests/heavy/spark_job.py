"""A Spark job on two cores that asks for the trades of many contracts; the settings come from TRAYPORT_* variables.

The last line of the output is a JSON object.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from typing import Any

import pandas as pd
from pyspark.sql import SparkSession

import trayport as tp

MONTHS = ("Apr-24", "May-24", "Jun-24", "Jul-24", "Aug-24", "Sep-24", "Oct-24", "Nov-24", "Dec-24", "Jan-25", "Feb-25")
CONTRACTS = [f"{product} {month}" for product in ("TTF", "NBP") for month in MONTHS]
# Each contract takes two requests.
WINDOW = ("2024-01-01", "2024-02-05")


def count(contract: str) -> dict[str, Any]:
    """Return the number of trades of a contract, and the state of the process that asked for them."""
    rows = len(tp.trades(contract, *WINDOW))
    status = tp.status()
    return {
        "contract": contract,
        "rows": rows,
        "process": os.getpid(),
        "attempts": status.counts.attempts,
        "limiter": status.limiter.kind,
        "used": status.limiter.used,
    }


def trades(batches: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    """Return the trades of the contracts in each batch."""
    for batch in batches:
        for contract in batch["contract"]:
            frame = tp.trades(contract, *WINDOW).reset_index()
            # Spark's timestamps have microseconds, and it refuses finer ones. It also refuses strings in several Arrow
            # chunks, which the frame of a query of several requests has, and accepts them as Python objects.
            frame["timestamp"] = frame["timestamp"].dt.as_unit("us")
            frame["contract"] = frame["contract"].astype(object)
            yield frame[["timestamp", "contract", "price", "quantity"]]


def main() -> None:
    """Count the trades by ``map`` and by ``mapInPandas``."""
    builder = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
    spark = builder.config("spark.sql.session.timeZone", "UTC").getOrCreate()
    start = time.monotonic()
    mapped = spark.sparkContext.parallelize(CONTRACTS, 4).map(count).collect()
    seconds = {"map": time.monotonic() - start}

    names = spark.createDataFrame([(name,) for name in CONTRACTS], "contract string").repartition(4)
    schema = "timestamp timestamp, contract string, price double, quantity double"
    start = time.monotonic()
    rows = names.mapInPandas(trades, schema).groupBy("contract").count().collect()
    seconds["mapInPandas"] = time.monotonic() - start
    spark.stop()

    result = {
        "map": mapped,
        "mapInPandas": {row["contract"]: row["count"] for row in rows},
        "seconds": seconds,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
