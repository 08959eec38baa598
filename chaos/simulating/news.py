"""News of the universe: what a node is about to do, told before it is done, so that who waits for it may strike."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from kvstore.core.ids import GroupId, NodeId
from kvstore.node.effects import NODE_LEVEL, Effects
from kvstore.replication.raft.messages import Heartbeat, TimeoutNow
from kvstore.storage import ballot_box
from kvstore.storage.engine import Batch
from kvstore.storage.keys import BALLOT, LOG, META, PLACE

_INDEX_BYTES = 8


class News(NamedTuple):
    """What, who, and in which group if it is of one."""

    what: str
    node: NodeId
    group: GroupId


def news_in(effects: Effects, node: NodeId) -> Iterator[News]:
    """What the effects of a node's step say."""
    if effects.ring_changed:
        yield News("a role changes", node, NODE_LEVEL)
    if effects.replies:
        yield News("an answer leaves", node, NODE_LEVEL)
    for messages in effects.send.values():
        for group, message in messages:
            if type(message) is Heartbeat:
                yield News("a leader speaks", node, group)
            elif type(message) is TimeoutNow:
                yield News("a leader hands over", node, group)
    if effects.batch is not None:
        yield from _news_of_the_disk(effects.batch, node)


def _news_of_the_disk(batch: Batch, node: NodeId) -> Iterator[News]:
    for key, value, _ in batch.operations:
        table = key[:1]
        if value is None:
            continue
        if table == BALLOT:
            group = GroupId(int.from_bytes(key[1:], "big"))
            voted_for = ballot_box.decode_row(group, value).voted_for
            yield News("a ballot is written", node, group)
            if voted_for is not None:
                yield News("a candidate stands" if voted_for == node else "a vote is given", node, group)
        elif table == PLACE:
            yield News("a place is written", node, GroupId(int.from_bytes(key[1:], "big")))
        elif table == META:
            yield News("a flush ends", node, NODE_LEVEL)
        elif table == LOG:
            yield News("an entry is written", node, GroupId(int.from_bytes(key[1:-_INDEX_BYTES], "big")))


class Grapevine:
    """Who waits for which news. `listens` says whether anybody does: nobody should gather news in vain."""

    def __init__(self) -> None:
        self._waiting: dict[int, tuple[Callable[[News], bool], Callable[[News], None]]] = {}
        self._numbers = 0

    @property
    def listens(self) -> bool:
        return bool(self._waiting)

    def wait(self, fits: Callable[[News], bool], then: Callable[[News], None]) -> int:
        """`then(news)` for the first news that fits. Returns a number to `forget` it by."""
        self._numbers += 1
        self._waiting[self._numbers] = (fits, then)
        return self._numbers

    def forget(self, number: int) -> None:
        """No longer wait."""
        self._waiting.pop(number, None)

    def forget_all(self) -> None:
        self._waiting.clear()

    def spread(self, news: News) -> None:
        """Tell those for whom it is."""
        for number, (fits, then) in list(self._waiting.items()):
            if number in self._waiting and fits(news):
                self.forget(number)
                then(news)
