"""The limits fit into each other."""

from kvstore.core import limits
from kvstore.storage.engine import ROW_KEY_BYTES_MAX
from kvstore.storage.keys import value_prefix


def test_a_key_fits_into_a_row_with_its_prefix() -> None:
    assert len(value_prefix(0)) + limits.KEY_BYTES_MAX <= ROW_KEY_BYTES_MAX


def test_the_largest_value_fits_into_a_request() -> None:
    assert limits.VALUE_BYTES_MAX + limits.KEY_BYTES_MAX < limits.REQUEST_BYTES_MAX
    assert limits.VALUE_BYTES_DEFAULT <= limits.VALUE_BYTES_MAX


def test_outcomes_are_remembered_longer_than_promised() -> None:
    assert limits.OUTCOME_WINDOW_MS >= 10 * 60 * 1000
