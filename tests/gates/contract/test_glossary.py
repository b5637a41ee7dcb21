# SPDX-License-Identifier: GPL-3.0-or-later
"""Plain English: the words and phrases that a better word replaces do not come back."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import collection
from collection import ROOT
from copy_tree import files

# Regular expressions, in upper and lower case, with the better words. A phrase that is also good
# English somewhere is left out, or its exceptions are named.
GLOSSARY = {
    r"blanks?(?! lines?)": "space, or empty",
    r"letters?(?!, digits)": "character",
    r"(small|capital) letters?": "lower case, upper case",
    r"some(body|one) else('?s)?": "another user, another process, foreign",
    r"lately": "recently",
    r"tells|tell of": "says, reports or distinguishes",
    r"(is|are|was|were|be|been) told(?! to)": "is reported, is informed, is distinguished",
    r"(say|says|said|know|knows|known) of": "says about, knows about",
    r"whoever|whosoever": "anyone who, the user who, a person who",
    r"anew": "again",
    r"for ever": "forever",
    r"but for": "except, except for",
    r"also (where|when|if)": "even if",
    r"likewise": "also, in the same way",
    r"in (the|its|their) place of": "instead of, at the path of",
    r"(?<!there )(is|are|was|were) no(?= )(?! (longer|more|less|other)\b)": "is not a",
    r"(has|have) to be of": "must consist of",
    r"becomes? nobody": "never switches to another user",
    r"which of them": "which one, or the name of the thing",
    r"(?<!param )(?<!C\()folders?": "directory",
    r"mend(s|ed)?": "fix, repair",
    r"(has|have|had) (it|them|one|others?) (ended|removed|run|read|stopped|started|changed)": (
        "ask its owner to end it, make it read"
    ),
    r"(?<=[,;:.] )since(?= )(?! (\d|then\b|\{))": "because",
    r"where (there (is|are) (none|no|nothing)|one|none|no)\b": "if there is none, if one",
    r"where (it|they|that|this) (is|are|was|were|has|have|does|do) (no|not|none|down|missing)": (
        "if it is not"
    ),
    r"where (it|they|that|this) (cannot|fails?|differs?)": "if it cannot",
}
# Not ours to write, generated, or the history of what was once said.
ELSEWHERE = {"LICENSE", "CHANGELOG.md", "changelogs/changelog.yaml", "requirements.txt", "uv.lock"}
MARKER = re.compile(r"^\s*(#|\{#-?|//|--)\s?", re.MULTILINE)
# As ansible-doc understands it; people who read a message would see the signs.
MARKUP = re.compile(r"\b(?:[BCEILMOPUV]|HORIZONTALLINE|RV)\([^)]*\)")
MESSAGES = ("fail_msg", "msg", "success_msg")
SHOWING = ("plugins/**/*.py", "roles/**/*.py", "roles/*/tasks/*.yml", "playbooks/**/*.yml")

Part = ast.FunctionDef | ast.ClassDef | ast.Module


def python_prose(path: Path, text: str) -> Iterator[str]:
    """Yield comments, docstrings and the names of tests; outside of tests, all texts."""
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.string
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            yield node.name.replace("_", " ")
        if isinstance(node, Part):
            yield ast.get_docstring(node) or ""
    if "tests" not in path.parts:
        yield from strings(tree)


def strings(tree: ast.AST) -> Iterator[str]:
    """Yield the texts in code that have more than one word."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
            yield node.value


@cache
def prose() -> dict[str, list[str]]:
    """Return what people read in each file, each text on a single line."""
    found = {}
    for name in files():
        path = ROOT / name
        if str(name) in ELSEWHERE or name.suffix == ".json" or path.is_symlink():
            continue
        text = path.read_text(errors="replace")
        parts = [*python_prose(name, text)] if name.suffix == ".py" else [MARKER.sub("", text)]
        found[str(name)] = [" ".join(part.split()) for part in parts]
    return found


def excerpts(phrase: str) -> list[str]:
    """Return where the phrase occurs, with a few words around it."""
    pattern = re.compile(rf"(?<![\w.`'-])(?:{phrase})(?![\w`])", re.IGNORECASE)
    return [
        f"{name}: {part[max(0, found.start() - 40) : found.end() + 40]}"
        for name, parts in prose().items()
        for part in parts
        for found in pattern.finditer(part)
    ]


@pytest.mark.parametrize("phrase", GLOSSARY)
def test_a_better_word_is_used(phrase: str) -> None:
    found = excerpts(phrase)
    assert not found, f"better: {GLOSSARY[phrase]}\n" + "\n".join(found)


def messages(path: Path) -> Iterator[str]:
    """Yield the texts that a program or a task may show."""
    if path.suffix == ".yml":
        values = collection.values(collection.load(path))
        yield from (str(value) for key, value in values if key in MESSAGES)
        return
    tree = ast.parse(path.read_text())
    parts = [node for node in ast.walk(tree) if isinstance(node, Part)]
    hidden = {ast.get_docstring(node, clean=False) for node in parts}
    hidden |= {text for node in parts for text in collection.constants(node.body).values()}
    yield from (text for text in strings(tree) if text not in hidden)


@pytest.mark.parametrize("name", collection.names(*SHOWING))
def test_no_message_shows_the_markup_of_documentation(name: str) -> None:
    assert not [text for text in messages(ROOT / name) if MARKUP.search(text)]
