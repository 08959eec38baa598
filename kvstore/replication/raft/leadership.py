"""What only a leader knows. It is made when an election is won and thrown away when the role is lost."""

from kvstore.core.ids import Index, Millis, NodeId
from kvstore.replication.raft.progress import Progress

FOREVER = Millis(1 << 62)


class Handover:
    """A leader transfer under way (thesis §3.10)."""

    __slots__ = ("deadline", "target")

    def __init__(self, target: NodeId, deadline: Millis) -> None:
        self.target = target
        self.deadline = deadline


class Asker:
    """Who waits for a read round: a client read by its context, or a recovering replica by its nonce."""

    __slots__ = ("context", "peer")

    def __init__(self, context: int, peer: NodeId | None = None) -> None:
        self.context = context
        self.peer = peer


class Leadership:
    """A leader's memory: followers, lease, reads and plans."""

    __slots__ = (
        "askers",
        "disk_mark",
        "disk_mark_at",
        "first_index",
        "followers",
        "forfeited",
        "handover",
        "idle_since",
        "lease_until",
        "preferred_since",
        "preferred_upto",
        "progress",
        "quiescing_since",
        "round",
        "round_index",
        "uncommitted_bytes",
        "waiting",
    )

    def __init__(self, peers: tuple[NodeId, ...], first_index: Index, now: Millis) -> None:
        self.first_index = first_index  # of the empty entry that begins this term
        self.progress = {peer: Progress(peer, first_index, now) for peer in peers}
        self.followers = tuple(self.progress.values())
        self.uncommitted_bytes = 0

        self.lease_until: Millis = FOREVER if not peers else Millis(0)  # alone, nobody else can be elected
        self.forfeited = False  # once TimeoutNow has left, there is no lease for the rest of the term

        self.round = 0  # number of the latest read round
        self.round_index = Index(0)  # the commit index when it began
        self.askers: list[Asker] = []  # whom the round under way will answer
        self.waiting: list[Asker] = []  # who came later and needs the next one

        self.handover: Handover | None = None
        self.preferred_since = now  # since when the preferred leader has kept up
        self.preferred_upto = Index(0)  # how far it must be at the next tick to have kept up
        self.disk_mark = first_index  # an entry our disk owes us
        self.disk_mark_at = now  # … since when

        self.idle_since = now
        self.quiescing_since: Millis | None = None
