"""The demo imports what unicodedata knows, all of it and nothing made by rule."""

import json
import unicodedata

from cluster.demo_names import encoded, named_characters, rows

FIRST_VERSION_COUNT = 33_513  # Unicode 14, Python 3.11; every later version knows more


def test_every_name_leads_back_to_its_character() -> None:
    found = dict(named_characters())
    assert len(found) >= FIRST_VERSION_COUNT
    assert all(unicodedata.lookup(name) == character for name, character in found.items())
    assert found["SNOWMAN"] == "\N{SNOWMAN}"


def test_generated_names_are_left_out() -> None:
    names = [name for name, _ in named_characters()]
    assert not [name for name in names if "IDEOGRAPH-" in name and name.startswith("CJK")]
    assert not [name for name in names if name.startswith("HANGUL SYLLABLE ")]
    assert "HANGUL CHOSEONG KIYEOK" in names, "the letters of which the syllables are made are no generated range"


def test_names_are_keys_and_values_say_what_unicodedata_says() -> None:
    assert max(len(name.encode()) for name in rows()) <= 480
    half = json.loads(encoded("½"))
    assert (half["character"], half["code"], half["category"], half["numeric"]) == ("½", "U+00BD", "No", 0.5)
    assert half["decomposition"] == unicodedata.decomposition("½")
    assert "combining" not in half
