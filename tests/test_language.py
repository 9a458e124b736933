"""Plain, technical English: the constructions that prose, error sentences and names must not have.

``python tests/test_language.py FILE ...`` prints the findings in files, and their number in 1,000 words.
"""

from __future__ import annotations

import ast
import io
import json
import re
import sys
import tokenize
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import frozen

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("trayport", "tests", "benchmarks", "examples", "notebooks", "docs")


@frozen
class Rule:
    """A construction that must not occur, with a line that it finds and one that it leaves alone."""

    name: str
    pattern: str
    finds: str
    leaves: str


RULES = (
    Rule(
        "clause with what",
        r"\bwhat(?:ever|soever)?\b(?! to\b)",
        "What arrived is kept.",
        "The error explains what to do.",
    ),
    Rule(
        "who as a noun",
        r"(?:^|[.;:,(]\s*|\b(?:for|by|of|to|and|or|with|from|than|as|since|but|that|those|all|one|knows|is)\s+)"
        r"who(?:ever|m)?\b",
        "Who waits for a permit polls.",
        "Callers and processes who share a key wait in one queue.",
    ),
    Rule(
        "so many",
        r"\bso (?:many|much|long|often|few|soon|late|wide|fast)\b",
        "Wait so many seconds.",
        "Wait the given number of seconds, so that a retry succeeds.",
    ),
    Rule(
        "speaking data",
        r"\b(?:tells?|told|telling|says?|said|saying)\b",
        "The status tells how the limiter is doing.",
        "The status reports the state of the limiter.",
    ),
    Rule(
        "standing and lying data",
        r"\b(?:stands?|stood|standing|lies|lay|lying)\b(?!-)",
        "The key stands in a file.",
        "The sandbox is a stand-in for both APIs.",
    ),
    Rule("question for query", r"\bquestions?\b", "A question of one request.", "A query of one request."),
    Rule(
        "answers with",
        r"\banswers? with\b",
        "The function answers with a frame.",
        "The function returns a frame.",
    ),
    Rule(
        "riddles of the glossary",
        r"\b(?:twins?|ledgers?|dice|fates?|relents?|under way|leave to|misfits?|sturdy|unfit|harvest|a glance)\b",
        "Requests under way are counted in the ledger.",
        "Requests in flight are counted.",
    ),
    Rule(
        "nobody and somebody",
        r"\b(?:nobody|somebody|anybody|everybody)\b",
        "Nobody waits for the response.",
        "No caller waits for the response.",
    ),
    Rule(
        "as it is",
        r"\bas (?:it|they|he|things?) (?:is|are|was|were)\b(?! (?:\w*(?:ed|en|read|sent|put|set|cut)|in)\b)",
        "Hand the text over as it is.",
        "The text is unchanged, as it is written.",
    ),
    Rule("one's own", r"\bone's own\b|\bits like\b", "One's own trades.", "Own trades."),
    Rule(
        "inversion",
        r"(?:^|[.;:]\s+)(?:Never|Nor|Seldom|Thus) (?:is|are|was|were|does|do|has|have|can|may)\b"
        r"|\blest\b|\bwhence\b",
        "Never is more than one piece in flight.",
        "At most one piece is in flight.",
    ),
)
QUESTION = Rule("prose that asks", r"\?(?:\s|$)", "Is the breaker open?", "True if the breaker is open.")


@frozen
class Text:
    """One piece of prose and where it is."""

    path: Path
    line: int
    text: str
    kind: str


def texts(path: Path) -> Iterator[Text]:
    """Return the prose of a file: docstrings, comments, error and help sentences, test names; Markdown without code."""
    source = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        yield from _python(path, source)
    elif path.suffix == ".md":
        yield from _markdown(path, source)
    elif path.suffix == ".ipynb":
        for cell in json.loads(source)["cells"]:
            text = "".join(cell["source"])
            yield from _markdown(path, text) if cell["cell_type"] == "markdown" else _python(path, text)


def _markdown(path: Path, source: str) -> Iterator[Text]:
    blocks = re.sub(r"^```.*?^```", lambda code: "\n" * code[0].count("\n"), source, flags=re.DOTALL | re.MULTILINE)
    for number, line in enumerate(blocks.splitlines(), 1):
        if not line.startswith("    "):
            yield Text(path, number, _bare(line), "markdown")


def _python(path: Path, source: str) -> Iterator[Text]:
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body
            if body and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
                yield from _docstring(path, body[0].value)
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            yield Text(path, node.lineno, node.name.replace("_", " "), "name")
        if isinstance(node, ast.ClassDef):  # texts below the fields of a class
            for each in node.body[1:]:
                if isinstance(each, ast.Expr) and isinstance(each.value, ast.Constant):
                    yield from _docstring(path, each.value)
        if isinstance(node, ast.Raise) or (isinstance(node, ast.Call) and _is_message(node)):
            for each in ast.walk(node):
                if isinstance(each, ast.Constant) and isinstance(each.value, str) and " " in each.value:
                    yield Text(path, each.lineno, _bare(each.value), "message")
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT and not re.match(r"#\s*(?:noqa|type:|fmt:|pragma|!|---)", token.string):
            yield Text(path, token.start[0], _bare(token.string.lstrip("# ")), "comment")


def _docstring(path: Path, node: ast.Constant) -> Iterator[Text]:
    if not isinstance(node.value, str):
        return
    for number, line in enumerate(node.value.splitlines()):
        if not re.match(r"\s*(?:>>>|\.\.\.)", line):
            yield Text(path, node.lineno + number, _bare(line.strip()), "docstring")


def _is_message(node: ast.Call) -> bool:
    """Return True for calls whose texts are read by users: warnings, errors and the command line's help."""
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    return name in ("warn", "add_argument", "add_parser", "Check") or name.endswith(("Error", "Warning"))


def _bare(text: str) -> str:
    """Return the text without code in backticks, quoted examples and links' targets."""
    text = re.sub(r"`+[^`]*`+", "`x`", text)
    text = re.sub(r"\]\([^)]*\)", "]", text)
    return re.sub(r"(?<![\w])'[^' ]*'|\"[^\"]*\"", '"x"', text)


def findings(found: Text) -> Iterator[str]:
    """Return the names of the rules that a text breaks."""
    for rule in RULES:
        if re.search(rule.pattern, found.text, re.IGNORECASE):
            yield rule.name
    if found.kind in ("docstring", "comment") and re.search(QUESTION.pattern, found.text):
        yield QUESTION.name


def files() -> list[Path]:
    """Return every file whose prose is checked."""
    inside = (path for folder in FOLDERS for path in (ROOT / folder).rglob("*") if "data" not in path.parts)
    found = [*ROOT.glob("*.md"), *ROOT.glob("*.py"), *inside]
    return sorted(path for path in found if path.suffix in (".py", ".md", ".ipynb") and path != Path(__file__))


@pytest.mark.parametrize("rule", [*RULES, QUESTION], ids=lambda rule: rule.name)
def test_each_rule_finds_its_construction_and_leaves_plain_language_alone(rule: Rule) -> None:
    assert (True, False) == tuple(
        re.search(rule.pattern, line, re.IGNORECASE) is not None for line in (rule.finds, rule.leaves)
    )


def test_prose_messages_and_names_are_plain() -> None:
    wrong = [
        f"{found.path.relative_to(ROOT)}:{found.line}: {name}: {found.text.strip()}"
        for path in files()
        for found in texts(path)
        for name in findings(found)
    ]

    assert [] == wrong


def test_files_that_cite_pages_of_the_guide_link_to_its_description() -> None:
    cited = [path for path in files() if re.search(r"guide pp?\. ?\d", path.read_text(encoding="utf-8"))]

    assert [] == [
        str(path)
        for path in cited
        if path.name != "sources.md" and "sources.md" not in path.read_text(encoding="utf-8")
    ]


def main(arguments: list[str]) -> None:
    """Print the findings in files, and their number in 1,000 words."""
    quiet = "--counts" in arguments
    paths = [Path(argument) for argument in arguments if argument != "--counts"]
    paths = [each for path in paths for each in (sorted(path.rglob("*")) if path.is_dir() else [path])]
    counts: Counter[str] = Counter()
    words = 0
    for path in paths or files():
        if path.suffix not in (".py", ".md", ".ipynb") or path.resolve() == Path(__file__).resolve():
            continue
        for found in texts(path):
            words += len(found.text.split())
            for name in findings(found):
                counts[name] += 1
                if not quiet:
                    print(f"{path}:{found.line}: {name}: {found.text.strip()}")
    for name, count in counts.most_common():
        print(f"{count:6}  {1000 * count / max(words, 1):6.2f} in 1,000  {name}")
    print(f"{counts.total():6}  {1000 * counts.total() / max(words, 1):6.2f} in 1,000  all, in {words:,} words")


if __name__ == "__main__":
    main(sys.argv[1:])
