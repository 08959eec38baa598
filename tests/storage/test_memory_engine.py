"""What only the twin can do: lose the unsynced, rot, and be thousands at once. The rest is in test_engine.py."""

from collections import Counter
from random import Random

import pytest

from kvstore.core.errors import Corruption, StorageFull, Unavailable
from kvstore.core.records import seal, unseal
from kvstore.storage.engine import Batch
from kvstore.storage.memory_engine import MemoryEngine


def put(key: bytes, value: bytes) -> Batch:
    batch = Batch()
    batch.put(key, value)
    return batch


def everything(engine: MemoryEngine) -> dict[bytes, bytes]:
    return dict(engine.scan(b"", b"\xff"))


def test_unsynced_batches_are_not_readable_before_sync() -> None:
    engine = MemoryEngine()
    engine.commit_unsynced(put(b"a", b"1"))
    assert engine.get(b"a") is None
    assert engine.unsynced == 1
    engine.sync()
    assert engine.get(b"a") == b"1"
    assert engine.unsynced == 0


def test_a_range_delete_meets_what_unsynced_batches_put() -> None:
    engine = MemoryEngine()
    engine.commit(put(b"a", b"1"))
    engine.commit_unsynced(put(b"b", b"1"))
    wipe = Batch()
    wipe.put(b"c", b"1")
    wipe.delete_range(b"a", b"z")
    wipe.put(b"d", b"1")
    engine.commit_unsynced(wipe)
    engine.sync()
    assert everything(engine) == {b"d": b"1"}


def test_a_crash_keeps_a_prefix_of_whole_batches() -> None:
    seen: Counter[int] = Counter()
    for seed in range(200):
        engine = MemoryEngine()
        engine.commit(put(b"synced", b"v"))
        for number in range(3):
            batch = put(b"a%d" % number, b"v")
            batch.put(b"b%d" % number, b"v")
            engine.commit_unsynced(batch)
        survivors = engine.crash(Random(seed))
        expected = {b"synced"} | {name + b"%d" % number for number in range(survivors) for name in (b"a", b"b")}
        assert set(everything(engine)) == expected
        assert engine.unsynced == 0
        seen[survivors] += 1
    assert set(seen) == {0, 1, 2, 3}


def test_a_crash_forgets_what_the_lost_batches_would_have_done() -> None:
    engine = MemoryEngine(size_bytes_max=1_000)
    engine.commit_unsynced(put(b"a", b"v" * 900))
    with pytest.raises(StorageFull):
        engine.commit_unsynced(put(b"b", b"v" * 900))
    loses_all = next(seed for seed in range(100) if Random(seed).randint(0, 1) == 0)
    assert engine.crash(Random(loses_all)) == 0
    engine.commit(put(b"b", b"v" * 900))
    assert list(everything(engine)) == [b"b"]


def test_the_same_seed_crashes_in_the_same_way() -> None:
    def life(seed: int) -> list[int]:
        rng, engine, survivors = Random(seed), MemoryEngine(), []
        for _ in range(20):
            for number in range(rng.randrange(5)):
                engine.commit_unsynced(put(b"%d" % rng.randrange(50), b"%d" % number))
            survivors.append(engine.crash(rng))
        return survivors

    assert life(7) == life(7) != life(8)


def test_reopening_is_the_next_life_on_the_same_disk() -> None:
    engine = MemoryEngine()
    engine.commit(put(b"a", b"1"))
    engine.commit_unsynced(put(b"b", b"1"))
    engine.close()
    with pytest.raises(Unavailable):
        engine.get(b"a")
    engine.reopen()
    assert everything(engine) == {b"a": b"1"}


def test_bit_rot_changes_one_bit_of_one_value_in_the_tables_named() -> None:
    engine = MemoryEngine()
    bodies = {b"v%d" % number: b"body %d" % number for number in range(10)}
    for key, body in bodies.items():
        engine.commit(put(key, seal(body)))
    engine.commit(put(b"x", seal(b"spared")))
    snapshot = engine.snapshot()

    rotten = engine.flip_bit(Random(3), [b"v"])

    assert rotten in bodies
    assert [each for each, value in everything(engine).items() if value != snapshot.get(each)] == [rotten]
    with pytest.raises(Corruption, match="checksum"):
        unseal(engine.get(rotten) or b"")


def test_nothing_rots_where_nothing_is() -> None:
    engine = MemoryEngine()
    engine.commit(put(b"e", b""))
    assert engine.flip_bit(Random(0), [b"e", b"v"]) is None


def test_the_limit_may_change_while_it_runs() -> None:
    engine = MemoryEngine()
    engine.commit(put(b"a", b"v" * 500))
    engine.size_bytes_max = 100
    assert engine.is_full()
    with pytest.raises(StorageFull, match="may hold 100"):
        engine.commit(put(b"b", b"v"))
    engine.commit(put(b"a", b"v"))
    assert not engine.is_full()
    engine.size_bytes_max = None
    engine.commit(put(b"b", b"v" * 500))


def test_keys_put_deleted_and_put_again_are_listed_once() -> None:
    engine, rng = MemoryEngine(), Random(5)
    model: dict[bytes, bytes] = {}
    for step in range(3_000):
        key = b"%02d" % rng.randrange(100)
        batch = Batch()
        if rng.random() < 0.5:
            batch.put(key, b"%d" % step)
            model[key] = b"%d" % step
        else:
            batch.delete(key)
            model.pop(key, None)
        engine.commit(batch)
        if step % 50 == 0:
            assert list(engine.scan(b"", b"\xff")) == sorted(model.items())
    assert list(engine.scan(b"", b"\xff")) == sorted(model.items())


def test_scans_that_were_never_begun_or_never_ended_do_no_harm() -> None:
    engine = MemoryEngine()
    for number in range(10):
        engine.commit(put(b"%d" % number, b"1"))
    never_begun = engine.scan(b"", b"\xff")
    never_ended = engine.scan(b"", b"\xff")
    next(never_ended)
    del never_ended
    engine.commit(put(b"5", b"2"))
    assert dict(never_begun)[b"5"] == b"1"
    assert everything(engine)[b"5"] == b"2"
