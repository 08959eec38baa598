"""The heap: order, ties, and the trace."""

from kvstore.sim.scheduler import Scheduler, Trace


def test_equal_instants_keep_the_order_in_which_they_were_asked_for() -> None:
    scheduler, heard = Scheduler(Trace()), []
    for word in "abc":
        scheduler.post(5, "t", word, heard.append, word)
    scheduler.post(1, "t", "first", heard.append, "first")
    scheduler.run_until(10)
    assert heard == ["first", "a", "b", "c"]
    assert scheduler.now == 10


def test_the_past_is_now() -> None:
    scheduler, heard = Scheduler(Trace()), []
    scheduler.run_until(100)
    scheduler.post(3, "t", "late", lambda: heard.append(scheduler.now))
    scheduler.run_until(200)
    assert heard == [100]


def test_it_stops_early_when_asked_to() -> None:
    scheduler, heard = Scheduler(Trace()), []
    for at in range(10):
        scheduler.post(at, "t", "tick", heard.append, at)
    assert scheduler.run_until(100, lambda: len(heard) == 3)
    assert heard == [0, 1, 2]
    assert scheduler.now == 2


def test_the_trace_tells_two_runs_apart() -> None:
    def digest(label: str) -> str:
        scheduler = Scheduler(Trace())
        scheduler.post(1, "t", label, lambda: None)
        scheduler.run_until(2)
        return scheduler.trace.digest()

    assert digest("a") == digest("a") != digest("b")


def test_words_are_only_for_a_reader() -> None:
    lines: list[str] = []
    silent, told = Trace(), Trace(lines.append)
    silent.tell(1, "nobody hears")
    told.tell(1_500_000, "hello")
    assert not silent.is_told and told.is_told
    assert lines == ["   1.500000 hello"]
