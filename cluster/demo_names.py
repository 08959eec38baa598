"""The demo's data: every named character that Python's own unicodedata knows, but the generated ranges."""

import json
import sys
import unicodedata
from collections.abc import Iterator

GENERATED = ("CJK UNIFIED IDEOGRAPH-", "CJK COMPATIBILITY IDEOGRAPH-", "HANGUL SYLLABLE ")
"""Ranges whose names are made by rule: a hundred thousand names that say nothing."""


def named_characters() -> Iterator[tuple[str, str]]:
    """Name and character, in the order of the code points; 33,513 with Unicode 14 (Python 3.11)."""
    for number in range(sys.maxunicode + 1):
        character = chr(number)
        name = unicodedata.name(character, "")
        if name and not name.startswith(GENERATED):
            yield name, character


def properties(character: str) -> dict[str, object]:
    """What unicodedata says of a character; properties that most lack are left out where they are missing."""
    facts: dict[str, object] = {
        "character": character,
        "code": f"U+{ord(character):04X}",
        "category": unicodedata.category(character),
        "bidirectional": unicodedata.bidirectional(character),
        "width": unicodedata.east_asian_width(character),
    }
    optional = {
        "combining": unicodedata.combining(character),
        "mirrored": bool(unicodedata.mirrored(character)),
        "numeric": unicodedata.numeric(character, 0),
        "decomposition": unicodedata.decomposition(character),
    }
    return facts | {name: value for name, value in optional.items() if value}


def encoded(character: str) -> bytes:
    """The value stored under a character's name."""
    return json.dumps(properties(character), ensure_ascii=False).encode()


def rows() -> dict[str, bytes]:
    """Everything to import: value by key."""
    return {name: encoded(character) for name, character in named_characters()}
