"""Global options and what their texts mean."""

import pytest

from kvstore.cli.registry import Kind, Option
from kvstore.cli.settings import Settings, bytes_from, convert, flag_from, number_from, seconds_from


@pytest.mark.parametrize(("text", "seconds"), [("200ms", 0.2), ("2s", 2.0), ("2", 2.0), ("1.5m", 90.0), ("1h", 3600.0)])
def test_times(text: str, seconds: float) -> None:
    assert seconds_from(text) == seconds


@pytest.mark.parametrize(("text", "size"), [("4096", 4096), ("64KiB", 65536), ("1MB", 1_000_000), ("2 mib", 2 << 20)])
def test_sizes(text: str, size: int) -> None:
    assert bytes_from(text) == size


@pytest.mark.parametrize(
    ("wrong", "convert"),
    [("soon", seconds_from), ("-1s", seconds_from), ("1 day", seconds_from), ("1XB", bytes_from), ("many", bytes_from),
     ("-3", number_from), ("1.5", number_from), ("maybe", flag_from)],
)  # fmt: skip
def test_nonsense_is_named(wrong: str, convert: object) -> None:
    assert callable(convert)
    with pytest.raises(ValueError, match=wrong):
        convert(wrong)


def test_settings_from_variables() -> None:
    variables = {"KVSTORE_KEYSPACE": "carts", "KVSTORE_YES": "1", "KVSTORE_QUIET": "off", "KVSTORE_URL": "kv://h"}
    assert Settings.from_environment(variables) == Settings(keyspace="carts", yes=True, cluster="kv://h")
    assert Settings.from_environment({}) == Settings()


def test_what_was_given_wins() -> None:
    assert Settings(output="json", quiet=True).with_given({"output": "csv", "quiet": None, "other": 1}) == Settings(
        output="csv", quiet=True
    )


def test_choices_are_checked() -> None:
    option = Option("output", kind=Kind.CHOICE, choices=("a", "b"))
    assert convert(option, "a") == "a"
    with pytest.raises(ValueError, match="'c' is none of a, b"):
        convert(option, "c")
