"""A sandbox in a process of its own, until its standard input is closed.

``python server.py OPTIONS``: a JSON object with the arguments of ``Sandbox``, and a table for each fault. The first
line of the output has the base URLs, the last one the counts, both as JSON. Each line of the input is a number of
seconds, for which the sandbox is closed; then another one begins on the same port.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from typing import Any

from support.canary import KEY

from trayport.sandbox import Fault, Rights, Sandbox, count_violations


def main(options: dict[str, Any]) -> None:
    """Serve until standard input ends, then print the counts of all sandboxes."""
    faults = [Fault(**fault) for fault in options.pop("faults", ())]
    total: Counter[str] = Counter()
    port = 0
    while True:
        with Sandbox(port, key=KEY, keys={KEY: Rights()}, faults=faults, **options) as sandbox:
            if not port:
                # Leave the key out: the output is searched for it.
                urls = {name: text for name, text in sandbox.settings.items() if name != "api_key"}
                print(json.dumps(urls), flush=True)
            port = int(sandbox.url.rpartition(":")[2])
            seconds = sys.stdin.readline()
            opened, open_now = sandbox.connections
            total.update({"sandboxes": 1, "requests": sandbox.answered, "connections": opened})
            total.update(f"status {each.status}" for each in sandbox.asked)
            for (path, rule), count in count_violations(sandbox.asked).items():
                total[f"violation of {path}: {rule}"] += count
        if not seconds:
            break
        time.sleep(float(seconds))
    print(json.dumps({**total, "open at the end": open_now}), flush=True)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
