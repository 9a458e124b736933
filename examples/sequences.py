"""The tenors of some products, for a loop over months, quarters and years.

A name with a tenor that its product does not have is an error.

Runs on simulated data. With a key of your own in TRAYPORT_API_KEY, remove the line with `sandboxed`.
"""

from __future__ import annotations

import trayport as tp
from trayport.testing import sandboxed

PRODUCTS = ["TTF", "NBP", "Germany Baseload", "France Baseload", "EUA"]

with sandboxed():
    tenors = {product: tp.sequences(product)["name"].str.split().str[-1] for product in PRODUCTS}
    every = list(dict.fromkeys(tenor for names in tenors.values() for tenor in names))
    print(" " * 18 + "".join(f"{tenor:>9}" for tenor in every))
    for product, names in tenors.items():
        print(f"{product:<18}" + "".join(f"{'x' if tenor in set(names) else '-':>9}" for tenor in every))

    print("\nTTF's, by the ids that requests name them by")
    print(tp.sequences("TTF")["name"].to_string())
