"""The grapevine tells each who waits what he waits for, once; and a step's effects are read rightly."""

from chaos.simulating.news import Grapevine, News, news_in
from kvstore.core.entries import Ballot, Entry
from kvstore.core.ids import GroupId, Index, Millis, NodeId, Term
from kvstore.node.effects import Effects
from kvstore.replication.raft.messages import Heartbeat, TimeoutNow
from kvstore.storage import ballot_box, entry_log
from kvstore.storage.engine import Batch

A, B = NodeId("n1"), NodeId("n2")
GROUP = GroupId(7)


def test_news_goes_to_whom_it_is_for_and_once() -> None:
    vine, heard = Grapevine(), []
    assert not vine.listens
    vine.wait(lambda news: news.what == "x", heard.append)
    other = vine.wait(lambda news: True, lambda news: vine.forget_all())
    assert vine.listens
    vine.forget(other)
    vine.spread(News("y", A, GROUP))
    assert heard == [] and vine.listens
    vine.spread(News("x", A, GROUP))
    vine.spread(News("x", A, GROUP))
    assert heard == [News("x", A, GROUP)] and not vine.listens


def test_who_is_forgotten_by_another_hears_nothing() -> None:
    vine, heard = Grapevine(), []
    numbers: list[int] = []
    vine.wait(lambda news: True, lambda news: vine.forget(numbers[0]))
    numbers.append(vine.wait(lambda news: True, heard.append))
    vine.spread(News("x", A, GROUP))
    assert heard == []


def test_a_step_is_read() -> None:
    batch = Batch()
    ballot_box.put_ballot(batch, GROUP, Ballot(Term(3), B))
    entry_log.append(batch, GROUP, [Entry(Term(3), Index(5), b"p")], Index(5))
    beat = Heartbeat(Term(3), Index(4), Index(4), Millis(0))
    effects = Effects()
    effects.send, effects.batch = {B: [(GROUP, beat), (GROUP, TimeoutNow(Term(3)))]}, batch
    told = [news.what for news in news_in(effects, A)]
    assert told == [
        "a leader speaks", "a leader hands over", "a ballot is written", "a vote is given", "an entry is written",
    ]  # fmt: skip
    assert {news.group for news in news_in(effects, A)} == {GROUP}
    ballot_box.put_ballot(batch, GROUP, Ballot(Term(4), A))
    assert "a candidate stands" in [news.what for news in news_in(effects, A)]
