"""What the leader believes of one follower: how far its log goes, how fast to send, and when it was last heard.

              accepted                 behind our log
       +--------------------> STREAM ------------------+
       |                        |                      v
     PROBE <--------------------+                  SNAPSHOT
       ^       rejected, lost                          |
       +-----------------------------------------------+
                    installed, given up

PROBE sends one message and waits: we do not know where the logs meet. STREAM sends ahead, as far as the window
allows. SNAPSHOT waits for an image of the state to arrive, because the entries it needs are gone. (To a follower
whose state is damaged an image travels beside the entries, at any pace: its log still counts.)
"""

from collections import deque
from enum import Enum
from typing import NamedTuple

from kvstore.core.entries import LogEnd
from kvstore.core.ids import Index, Millis, NodeId


class Pace(Enum):
    """How to send to a follower."""

    PROBE = "probe"
    STREAM = "stream"
    SNAPSHOT = "snapshot"


class News(Enum):
    """What makes the leader change its pace."""

    ACCEPTED = "its log meets ours"
    REJECTED = "it lacks what we thought it had"
    LOST = "messages were lost on the way, or it restarted"
    BEHIND = "it needs entries that we compacted"
    INSTALLED = "it has the image"
    GIVEN_UP = "it does not answer"


NEXT_PACE: dict[tuple[Pace, News], Pace] = {
    (Pace.PROBE, News.ACCEPTED): Pace.STREAM,
    (Pace.STREAM, News.REJECTED): Pace.PROBE,
    (Pace.STREAM, News.LOST): Pace.PROBE,
    (Pace.PROBE, News.BEHIND): Pace.SNAPSHOT,
    (Pace.STREAM, News.BEHIND): Pace.SNAPSHOT,
    (Pace.SNAPSHOT, News.INSTALLED): Pace.PROBE,
    (Pace.SNAPSHOT, News.GIVEN_UP): Pace.PROBE,
}
"""Anything that is not in the table changes nothing."""


class PeerStatus(NamedTuple):
    """What a leader believes of one follower, for people."""

    peer: NodeId
    pace: str
    match: Index
    next: Index
    inflight: int
    recovering: bool
    down: bool


class Transfer:
    """An image on its way to a follower, one chunk at a time."""

    __slots__ = ("cursor", "heard_at", "mark", "moved_at", "sent_at")

    def __init__(self, now: Millis) -> None:
        self.mark: LogEnd | None = None  # unknown until our node has opened the image
        self.cursor = b""  # everything before it is on the follower's disk
        self.sent_at = Millis(0)  # when the latest chunk left
        self.moved_at = now  # when we last asked our node for a chunk, or sent one
        self.heard_at = now  # when the follower last answered


class Progress:
    """Invariant: match < next. In STREAM, the entries between them are under way."""

    __slots__ = (
        "at",
        "at_sent",
        "beat",
        "commit",
        "context",
        "distrusted_at",
        "heard_at",
        "lost_at",
        "match",
        "moved_at",
        "needs_image",
        "next",
        "pace",
        "peer",
        "probed_at",
        "quiesced",
        "recovering",
        "transfer",
        "window",
        "window_bytes",
    )

    def __init__(self, peer: NodeId, next_index: Index, now: Millis) -> None:
        self.peer = peer
        self.pace = Pace.PROBE
        self.match = Index(0)  # on its disk and equal to ours
        self.next = next_index  # the next to send
        self.commit = Index(0)  # what it knows to be committed
        self.window: deque[tuple[Index, int]] = deque()  # per message under way: its last index, its bytes
        self.window_bytes = 0
        self.moved_at = now  # when its match last grew, or we began to wait for that
        self.lost_at = Millis(0)  # when we last noticed that something was lost
        self.probed_at: Millis | None = None  # a probe is under way since
        self.transfer: Transfer | None = None
        self.needs_image: Index | None = None

        self.heard_at = now  # for check-quorum: when any reply came
        self.beat = Millis(0)  # for the lease: when we sent the latest heartbeat that it answered
        self.context = 0  # for reads: the latest round it confirmed
        self.at: Millis | None = None  # for follower reads: its clock in the answer to our latest message
        self.at_sent = Millis(0)  # … when we sent that message
        self.quiesced = False
        self.recovering = False  # it lost its disk: it is not counted for anything
        self.distrusted_at = Millis(-1)  # answers to what we sent until then may come from before that loss

    def turn(self, news: News) -> None:
        """Change the pace as the table says, and forget what was under way."""
        pace = NEXT_PACE.get((self.pace, news))
        if pace is None:
            return
        self.pace = pace
        self.window.clear()
        self.window_bytes = 0
        self.probed_at = None
        self.next = Index(self.match + 1)

    def sent(self, now: Millis, last: Index, size: int) -> None:
        """A message with entries up to `last` is under way (STREAM)."""
        if not self.window:
            self.moved_at = now
        self.next = Index(last + 1)
        self.window.append((last, size))
        self.window_bytes += size

    def accept(self, now: Millis, match: Index) -> None:
        """It has everything up to `match` on disk: free the window up to there."""
        self.match = match
        self.moved_at = now
        window = self.window
        while window and window[0][0] <= match:
            self.window_bytes -= window.popleft()[1]
        if self.next <= match:
            self.next = Index(match + 1)
        if self.pace is Pace.PROBE:
            self.turn(News.ACCEPTED)

    def forget(self) -> None:
        """It lost its disk: nothing it ever said counts. Its match may go back as far as it says from now on.

        Its beats and contexts count again when it is a voter (`heartbeating.on_heartbeat_reply`).
        """
        self.recovering = True
        self.match = Index(0)
        self.beat = Millis(0)
        self.context = 0

    def status(self, down: bool) -> PeerStatus:
        return PeerStatus(self.peer, self.pace.value, self.match, self.next, len(self.window), self.recovering, down)
