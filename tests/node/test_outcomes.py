"""At most once: answers are found while they count, whoever flushed what, and forgotten by stamps alone."""

import pytest

from kvstore.core.errors import Corruption
from kvstore.core.limits import OUTCOME_WINDOW_MS
from kvstore.node import outcomes
from kvstore.node.outcomes import ROW_SEQUENCES, WINDOW_STAMPS, Answer, Outcomes
from kvstore.node.waste import Waste
from kvstore.storage.engine import Batch
from kvstore.storage.keys import OUTCOME, outcome_key, table_range
from kvstore.storage.memory_engine import MemoryEngine

DATA, CLIENT = 3, 77
NOW = 100 * WINDOW_STAMPS


def give(kept: Outcomes, answers: dict[int, Answer], client: int = CLIENT) -> None:
    window = kept.window(client)
    for sequence, answer in answers.items():
        window.answered(sequence, answer)


def flush(kept: Outcomes, engine: MemoryEngine, slice_answers: int = 1_000) -> None:
    kept.freeze()
    while kept.has_slices:
        batch = Batch()
        kept.flush_slice(batch, slice_answers)
        engine.commit(batch)
    kept.end_flush(Waste())


@pytest.fixture
def engine() -> MemoryEngine:
    return MemoryEngine()


@pytest.fixture
def kept(engine: MemoryEngine) -> Outcomes:
    return Outcomes(engine, DATA)


ANSWERS: dict[int, Answer] = {
    1: (0, NOW),
    2: (1, 0, NOW + 1),
    255: (2, 5, NOW + 2),
    256: (3, 0, NOW + 3),
    9000: (0, NOW + 4),
}


@pytest.mark.parametrize("slice_answers", [1, 2, 1_000])
def test_answers_are_the_same_in_memory_in_a_flush_and_in_rows(
    kept: Outcomes, engine: MemoryEngine, slice_answers: int
) -> None:
    give(kept, ANSWERS)
    told = {sequence: kept.find(CLIENT, sequence, NOW + 10) for sequence in ANSWERS}
    assert told == ANSWERS
    kept.freeze()
    assert {sequence: kept.find(CLIENT, sequence, NOW + 10) for sequence in ANSWERS} == ANSWERS
    while kept.has_slices:
        batch = Batch()
        assert kept.flush_slice(batch, slice_answers) <= slice_answers
        engine.commit(batch)
    kept.end_flush(Waste())
    for reader in (kept, Outcomes(engine, DATA)):
        assert {sequence: reader.find(CLIENT, sequence, NOW + 10) for sequence in ANSWERS} == ANSWERS
        assert reader.window(CLIENT).sequence_max == 9000


def test_a_row_that_was_read_is_read_again_once_it_was_flushed_anew(
    kept: Outcomes, engine: MemoryEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outcomes, "ROWS_READ_MAX", 2)
    told: dict[int, Answer] = {}
    for number in range(6):
        sequence = number % 3 * ROW_SEQUENCES + number
        assert kept.find(CLIENT, sequence, NOW + 10) is None
        told[sequence] = (0, NOW + number)
        give(kept, {sequence: told[sequence]})
        flush(kept, engine)
        assert {each: kept.find(CLIENT, each, NOW + 10) for each in told} == told


@pytest.mark.parametrize("slice_parts", [1, 2, 1_000])
def test_runs_are_the_same_in_memory_in_a_flush_and_in_rows(
    kept: Outcomes, engine: MemoryEngine, slice_parts: int
) -> None:
    window = kept.window(CLIENT)
    window.written(3, 600, NOW)  # over three rows
    window.written(603, 2, NOW + 600)  # goes on where the last one ended
    window.answered(605, (1, 0, NOW + 602))
    window.written(700, 1, NOW + 700)
    told: dict[int, Answer | None] = {3 + i: (0, NOW + i) for i in range(602)}
    told |= {605: (1, 0, NOW + 602), 700: (0, NOW + 700)}
    told |= dict.fromkeys((0, 1, 2, 606, 699, 701, 100_000))

    def check(reader: Outcomes) -> None:
        assert {sequence: reader.find(CLIENT, sequence, NOW + 1_000) for sequence in told} == told
        assert reader.window(CLIENT).sequence_max == 700

    check(kept)
    kept.freeze()
    check(kept)
    while kept.has_slices:
        batch = Batch()
        assert kept.flush_slice(batch, slice_parts) <= slice_parts
        engine.commit(batch)
        check(kept)
    kept.end_flush(Waste())
    check(kept)
    check(Outcomes(engine, DATA))


def test_an_operation_decided_again_after_it_was_forgotten_has_its_new_answer(
    kept: Outcomes, engine: MemoryEngine
) -> None:
    kept.window(CLIENT).written(1, 10, NOW)
    late = NOW + 2 * WINDOW_STAMPS
    kept.window(CLIENT).answered(4, (2, 9, late))
    for _ in range(2):
        assert kept.find(CLIENT, 4, late + 1) == (2, 9, late) and kept.find(CLIENT, 5, late + 1) is None
        assert kept.recorded(CLIENT, 5) == (0, NOW + 4)
        flush(kept, engine)
    assert Outcomes(engine, DATA).find(CLIENT, 4, late + 1) == (2, 9, late)


def test_a_row_is_as_young_as_its_youngest_answer_however_they_came(kept: Outcomes, engine: MemoryEngine) -> None:
    """A single answer before a run, and one after it; each but the youngest is forgotten when the sweep comes."""
    window = kept.window(CLIENT)
    window.answered(1, (1, 0, NOW))
    window.written(2, 50, NOW + 10)
    flush(kept, engine)
    batch = Batch()
    kept.sweep(batch, NOW + 59 + WINDOW_STAMPS, rows_max=10)
    engine.commit(batch)
    assert kept.find(CLIENT, 51, NOW + 59 + WINDOW_STAMPS) == (0, NOW + 59)
    batch = Batch()
    Outcomes(engine, DATA).sweep(batch, NOW + 60 + WINDOW_STAMPS, rows_max=10)
    assert batch.operations == [(outcome_key(DATA, CLIENT, 0), None, None)]


def test_other_clients_and_other_states_have_answers_of_their_own(kept: Outcomes, engine: MemoryEngine) -> None:
    give(kept, {1: (0, NOW)})
    give(kept, {7: (0, NOW + 1)}, client=CLIENT + 1)
    flush(kept, engine)
    assert kept.find(CLIENT + 1, 1, NOW + 10) is None
    assert Outcomes(engine, DATA + 1).find(CLIENT, 1, NOW + 10) is None
    assert Outcomes(engine, DATA).window(CLIENT).sequence_max == 1
    assert Outcomes(engine, DATA).window(CLIENT - 1).sequence_max == 0


def test_an_answer_is_forgotten_at_the_same_stamp_wherever_it_lies(kept: Outcomes, engine: MemoryEngine) -> None:
    give(kept, {1: (0, NOW)})
    for _ in range(2):
        assert kept.find(CLIENT, 1, NOW + WINDOW_STAMPS) == (0, NOW)
        assert kept.find(CLIENT, 1, NOW + WINDOW_STAMPS + 1) is None
        flush(kept, engine)
    assert WINDOW_STAMPS == OUTCOME_WINDOW_MS << 16, "the window is in hybrid time"


def test_the_age_of_a_refusal_is_its_own_not_that_of_what_it_found(kept: Outcomes, engine: MemoryEngine) -> None:
    give(kept, {1: (2, 5, NOW)})
    for _ in range(2):
        assert kept.find(CLIENT, 1, NOW + 1) == (2, 5, NOW)
        flush(kept, engine)


def test_an_answer_that_is_yet_to_be_given_is_none(kept: Outcomes) -> None:
    """A crash in a flush leaves answers on disk that the log is about to decide again."""
    give(kept, {1: (0, NOW)})
    assert kept.find(CLIENT, 1, NOW) is None and kept.recorded(CLIENT, 1) == (0, NOW)


def test_a_client_that_returns_after_long_keeps_its_new_answer(kept: Outcomes, engine: MemoryEngine) -> None:
    """Its row is rewritten and swept in the same batch: what the row says now counts, not what it said."""
    give(kept, {1: (0, NOW)})
    flush(kept, engine)
    late = NOW + 2 * WINDOW_STAMPS
    give(kept, {2: (0, late)})
    kept.freeze()
    batch = Batch()
    kept.sweep(batch, late + 1, rows_max=100)
    kept.flush_slice(batch, 100)
    engine.commit(batch)
    kept.end_flush(Waste())
    assert Outcomes(engine, DATA).find(CLIENT, 2, late + 1) == (0, late)


def test_forgotten_rows_are_swept_a_few_at_a_time_and_all_in_the_end(kept: Outcomes, engine: MemoryEngine) -> None:
    give(kept, {ROW_SEQUENCES * row: (0, NOW + row) for row in range(1, 21)})
    flush(kept, engine)
    late = NOW + 10 + WINDOW_STAMPS
    seen = []
    for _ in range(8):
        batch = Batch()
        kept.sweep(batch, late, rows_max=3)
        engine.commit(batch)
        seen.append(sum(1 for _ in engine.scan(*table_range(OUTCOME, DATA))))
    assert seen[0] == 17 and seen[-1] == 11, "ten are younger, or just as old as counts"
    assert kept.find(CLIENT, ROW_SEQUENCES * 10, late) == (0, NOW + 10)


def test_rounds_of_the_sweep_keep_their_distance(kept: Outcomes, engine: MemoryEngine) -> None:
    """Nothing is forgotten so soon after a round that looking again would pay."""
    kept.sweep(Batch(), NOW, rows_max=3)
    give(kept, {1: (0, NOW - WINDOW_STAMPS)})
    flush(kept, engine)
    for stamp, expected in ((NOW + outcomes.SWEEP_STAMPS - 1, 0), (NOW + outcomes.SWEEP_STAMPS, 1)):
        batch = Batch()
        kept.sweep(batch, stamp, rows_max=3)
        assert len(batch.operations) == expected


def test_many_clients_are_not_all_remembered_and_none_is_mistaken_for_new(
    kept: Outcomes, engine: MemoryEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outcomes, "WINDOWS_MAX", 5)
    for client in range(1, 11):
        give(kept, {client: (0, NOW + client)}, client=client)
    kept.freeze()
    for client in range(1, 11):  # the flush has not reached the disk
        assert kept.window(client).sequence_max == client
    batch = Batch()
    kept.flush_slice(batch, 1_000)
    engine.commit(batch)
    kept.end_flush(Waste())
    assert all(Outcomes(engine, DATA).window(client).sequence_max == client for client in range(1, 11))


def test_a_damaged_row_is_never_taken_for_an_unknown_operation(kept: Outcomes, engine: MemoryEngine) -> None:
    """The write would happen twice."""
    give(kept, {1: (0, NOW)})
    flush(kept, engine)
    batch = Batch()
    batch.put(outcome_key(DATA, CLIENT, 0), b"damaged")
    engine.commit(batch)
    fresh = Outcomes(engine, DATA)
    with pytest.raises(Corruption, match="outcomes"):
        fresh.find(CLIENT, 1, NOW + 1)
    with pytest.raises(Corruption, match="outcomes"):
        fresh.window(CLIENT)
