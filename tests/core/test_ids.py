"""An operation's name as text and back."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kvstore.core.ids import ClientId, OperationId

U64 = st.integers(0, (1 << 64) - 1)


@given(st.builds(OperationId, U64.map(ClientId), U64))
def test_an_operation_id_comes_back(operation: OperationId) -> None:
    assert OperationId.parse(str(operation)) == operation


@given(st.text() | st.text("0123456789abcdef-_x ", max_size=8))
@example("")
@example("1")
@example("1-2-3")
@example("0x1-2")
@example(" 1-2")
@example("1-2\n")
@example("1_0-2")
@example("A-B")
@example("-1-2")
def test_anything_else_is_a_value_error(text: str) -> None:
    try:
        operation = OperationId.parse(text)
    except ValueError as error:
        assert type(error) is ValueError
    else:
        assert str(operation) == text


def test_the_form_people_see() -> None:
    assert str(OperationId(ClientId(255), 16)) == "ff-10"
    with pytest.raises(ValueError, match="not an operation id"):
        OperationId.parse("nobody")
