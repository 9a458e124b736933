"""Products are found by exact name, alias, prefix and search."""

from __future__ import annotations

import pytest

from trayport import AmbiguousContract, ContractError, Instrument, Market
from trayport.contracts import Product
from trayport.refdata.products import Products
from trayport.sandbox import universe
from trayport.wire import ProductEntry

INSTRUMENTS = [
    ProductEntry(10002096, "TTF Hi Cal 51.6"),
    ProductEntry(10002806, "TTF Hi Cal 51.6 EEX"),
    ProductEntry(10002228, "TTF Hi Cal 51.6 ICE"),
    ProductEntry(10001126, "Germany Baseload"),
    ProductEntry(10641710, "Germany Baseload EEX"),
    ProductEntry(10641750, "Germany Baseload EEX/France Baseload EEX"),
    ProductEntry(10001075, "EEX France Baseload Anon"),
    ProductEntry(10000625, "NBP ICE"),
    ProductEntry(10006025, "NBP ICE"),
    ProductEntry(10002071, "NBP"),
]
MARKETS = [
    ProductEntry(10000065, "TTF Hi Cal 51.6"),
    ProductEntry(10000016, "EUA"),
    ProductEntry(77, "Germany Baseload*"),
]


ALIASES = {
    "Carbon": "EUA",
    "Star*": "EUA*",
    "By Id": "instrument:10641710",
    "Beginning": "EEX Fr",
    "Built In": "TTF",
    "NBP": "NBP ICE",
    "Other NBP": "instrument:10006025",
    "Dead": "Nothing like it",
}


@pytest.fixture(scope="module")
def products() -> Products:
    return Products.build(INSTRUMENTS, MARKETS, {name: to for name, to in ALIASES.items() if name != "NBP"})


@pytest.mark.parametrize(
    "text, product",
    [
        ("TTF Hi Cal 51.6 EEX", Instrument(10002806)),
        ("ttf  hi cal 51.6 eex", Instrument(10002806)),
        ("TTF Hi Cal 51.6", Market(10000065)),
        ("TTF Hi Cal 51.6*", Market(10000065)),
        ("TTF Hi Cal 51.6 *", Market(10000065)),
        ("market:TTF Hi Cal 51.6", Market(10000065)),
        ("instrument:TTF Hi Cal 51.6", Instrument(10002096)),
        ("instrument: ttf hi cal 51.6", Instrument(10002096)),
        ("Germany Baseload", Market(77)),
        ("market:10000065", Market(10000065)),
        ("instrument:10000625", Instrument(10000625)),
        ("TTF", Market(10000065)),
        ("ttf*", Market(10000065)),
        ("instrument:TTF", Instrument(10002096)),
        ("carbon", Market(10000016)),
        ("Carbon*", Market(10000016)),
        ("star", Market(10000016)),
        ("by id", Instrument(10641710)),
        ("beginning", Instrument(10001075)),
        ("built in", Market(10000065)),
        ("instrument:Built In", Instrument(10002096)),
        ("other nbp", Instrument(10006025)),
        ("EEX Fr", Instrument(10001075)),
        ("TTF Hi Cal 51.6 E", Instrument(10002806)),
        ("Germany*", Market(77)),
        ("market:germany", Market(77)),
        ("eu", Market(10000016)),
        ("NBP", Instrument(10002071)),
    ],
)
def test_name_finds_its_product(products: Products, text: str, product: Product) -> None:
    assert product == products.find(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  ",
        "*",
        "market:",
        "Spain",
        "market:NBP ICE",
        "market:5",
        "51.6",
        "TTF Hi Cal 51.6 EEX*",
        "market:²",
        "market:" + "9" * 5000,
    ],
)
def test_unknown_name_finds_no_product(products: Products, text: str) -> None:
    assert products.find(text) is None


@pytest.mark.parametrize(
    "text, candidates",
    [
        ("Germany", ("Germany Baseload*", "Germany Baseload EEX", "Germany Baseload EEX/France Baseload EEX")),
        (
            "instrument:Germany",
            ("instrument:Germany Baseload", "Germany Baseload EEX", "Germany Baseload EEX/France Baseload EEX"),
        ),
        ("TTF Hi", ("TTF Hi Cal 51.6*", "TTF Hi Cal 51.6 EEX", "TTF Hi Cal 51.6 ICE")),
        ("NBP ICE", ("instrument:10000625", "instrument:10006025")),
    ],
)
def test_prefix_of_several_names_lists_them_nearest_first(
    products: Products, text: str, candidates: tuple[str, ...]
) -> None:
    with pytest.raises(AmbiguousContract) as caught:
        products.find(text)

    assert candidates == caught.value.candidates
    assert None not in [products.find(candidate) for candidate in candidates]


def test_own_alias_precedes_a_built_in_alias_and_a_product_name() -> None:
    found = Products.build(INSTRUMENTS, MARKETS, {"TTF": "TTF Hi Cal 51.6 EEX", "NBP": "Germany Baseload EEX"})

    assert (Instrument(10002806), Instrument(10641710)) == (found.find("TTF"), found.find("nbp"))


@pytest.mark.parametrize("written", ["My Carbon", "  my   CARBON ", "My Carbon*", "market: My Carbon"])
@pytest.mark.parametrize("asked", ["my carbon", "MY\tCarbon", "My Carbon *", "market:my carbon"])
def test_case_and_spaces_of_an_alias_are_ignored(written: str, asked: str) -> None:
    assert Market(10000016) == Products.build(INSTRUMENTS, MARKETS, {written: " eUa"}).find_exact(asked)


@pytest.mark.parametrize(
    "target, product",
    [
        ("TTF Hi Cal 51.6", Market(10000065)),
        ("TTF Hi Cal 51.6*", Market(10000065)),
        ("instrument:TTF Hi Cal 51.6", Instrument(10002096)),
        ("instrument:10002228", Instrument(10002228)),
        ("market:10000065", Market(10000065)),
    ],
)
def test_alias_states_the_kind_and_hides_a_product_of_its_name(target: str, product: Product) -> None:
    products = Products.build(INSTRUMENTS, MARKETS, {"germany baseload": target})

    assert product == products.find_exact("Germany Baseload") == products.find("germany  baseload")
    # The hidden ones are found by their ids.
    assert ["instrument:10001126", "market:77"] == [
        (products.by_id(hidden) or pytest.fail("no product")).label for hidden in (Instrument(10001126), Market(77))
    ]


def test_alias_of_no_product_or_several_is_an_error(products: Products) -> None:
    with pytest.raises(ContractError, match="the alias 'dead' is for 'Nothing like it', and there is no such product"):
        products.find("Dead")
    with pytest.raises(AmbiguousContract):
        Products.build(INSTRUMENTS, MARKETS, ALIASES).find("NBP")


@pytest.mark.parametrize("aliases", [{}, ALIASES], ids=["plain", "with-aliases"])
def test_every_canonical_name_finds_its_own_product(aliases: dict[str, str]) -> None:
    odd = [ProductEntry(number, name) for number, name in enumerate(
        ["", "euA", "EUA", " eua ", "TTF", " ", "Foo*", "TTF*", "2024", "market:EUA", "instrument:5"], 1)]  # fmt: skip
    products = Products.build([*INSTRUMENTS, *odd], [*MARKETS, *odd[5:]], aliases)

    for product in products:
        assert product == products.find(product.label), product.label
    labels = [product.label for product in products]
    assert len(labels) == len(set(labels))
    assert {"instrument:TTF Hi Cal 51.6", "TTF Hi Cal 51.6*", "instrument:10000625", "instrument:1"} <= set(labels)


@pytest.mark.parametrize(
    "aliases",
    [{}, {"ttf hi cal 51.6": "EUA", "TTF": "NBP", "Germany  Baseload EEX": "France Baseload", "Peak": "Nowhere"}],
    ids=["plain", "hidden"],
)
def test_every_canonical_name_in_a_catalogue_of_real_size_finds_its_product(aliases: dict[str, str]) -> None:
    listed = universe.products().values()
    instruments, markets = (
        [ProductEntry(product.id, product.name) for product in listed if product.kind == kind]
        for kind in ("instrument", "market")
    )
    products = Products.build(instruments, markets, aliases)

    assert len(listed) == len({product.label for product in products})
    assert [] == [product.label for product in products if products.find_exact(product.label) != product]


def test_prefix_is_not_an_exact_name(products: Products) -> None:
    assert products.find_exact("TTF Hi Cal 51.6 E") is None
    assert Market(10000065) == products.find_exact("TTF")


def test_found_products_have_names(products: Products) -> None:
    assert "TTF Hi Cal 51.6*" == (products.find("TTF") or pytest.fail("no product")).label
    assert "Germany Baseload*" == (products.by_id(Market(77)) or pytest.fail("no product")).label
    assert products.by_id(Instrument(77)) is None


@pytest.mark.parametrize(
    "text, first",
    [
        ("ttf", "TTF Hi Cal 51.6*"),
        ("ttf eex", "TTF Hi Cal 51.6 EEX"),
        ("eex ttf", "TTF Hi Cal 51.6 EEX"),
        ("germany base", "Germany Baseload*"),
        ("france", "EEX France Baseload Anon"),
        ("germnay baseload", "Germany Baseload*"),
        ("tft", "TTF Hi Cal 51.6*"),
        ("carbon", "EUA*"),
        ("nbp", "NBP"),
        ("instrument:ttf", "instrument:TTF Hi Cal 51.6"),
    ],
)
def test_search_finds_parts_and_misspellings_of_words(products: Products, text: str, first: str) -> None:
    assert first == products.search(text, 5)[0][1].label


def test_scores_are_sorted_and_an_exact_name_scores_1(products: Products) -> None:
    scores = [score for score, _ in products.search("germany baseload", 10)]

    assert 1.0 == scores[0]
    assert scores == sorted(scores, reverse=True)


def test_search_for_an_unknown_word_finds_nothing(products: Products) -> None:
    assert [] == products.search("qqqq", 5)
