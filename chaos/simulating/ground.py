"""The ground clients work on: the keyspace and its groups, operation numbers, the history, and what became of calls."""

from collections import Counter

from chaos.history import HistoryRecorder
from chaos.simulating.day import KEYSPACE, Day
from chaos.simulating.oracle import Violation
from kvstore.core.ids import GroupId
from kvstore.node.requests import Answer, CreateKeyspaceRequest, DropKeyspaceRequest, Failure
from kvstore.placement.keyspaces import Keyspace, Settings
from kvstore.sim.client import Call, SimClient
from kvstore.sim.cluster import SimCluster
from kvstore.sim.scheduler import MILLI

UNDESERVED = ("InvalidRequest", "MalformedFrame", "WrongPartition", "UnknownKeyspace", "Corruption")
"""Refusals that are wrong for requests that are in order."""


class Ground:
    """What the traffic of every mode has in common. A mode chooses its keys and starts its workers."""

    def __init__(self, cluster: SimCluster, day: Day) -> None:
        self.cluster, self.day = cluster, day
        self.history = HistoryRecorder()
        self.outcomes: Counter[str] = Counter()
        self.closed = False
        self.is_set_up = False
        self.keys: list[str] = []
        self.groups: list[GroupId] = []
        """The keyspace's groups."""
        self._sequences: Counter[int] = Counter()
        self._keyspace: Keyspace | None = None
        self._groups: dict[str, GroupId] = {}
        self._rng = cluster.dice.stream("clients")
        self._churned = 0
        self.clients = [self._client(f"c{number}") for number in range(1, day.load.clients + 1)]
        self.admin = self._client("admin")
        self.numbers = [self._rng.getrandbits(62) + 1 for _ in self.clients]

    def _client(self, name: str) -> SimClient:
        return SimClient(self.cluster, name, self._rng.choice(self.cluster.names), self.day.load.habits)

    # --- setting up ---------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Create the keyspace, and start the workers when it is there."""
        request = CreateKeyspaceRequest(self.day.keyspace, if_absent=True)
        self.admin.call(request, self._on_created, call_ms=2_000)

    def _on_created(self, call: Call, answer: Answer | None) -> None:
        ring = self.cluster.ring
        if ring is None or not any(keyspace.name == KEYSPACE for keyspace in ring.keyspaces):
            self.cluster.scheduler.after(100 * MILLI, "admin", "tries again", self.begin)
            return
        if not self.day.keeps_default_keyspace:
            self._drop("default")
        self._keyspace = ring.keyspace(KEYSPACE)
        self.keys = [f"k{number}" for number in range(self.day.load.keys)]
        self.groups = sorted(partition.group for partition in self._keyspace.partitions)
        self._choose_keys()
        self.is_set_up = True
        self._start()

    def _choose_keys(self) -> None:
        """More keys, if the mode has any."""

    def _start(self) -> None:
        """Let the workers begin."""
        raise NotImplementedError

    def _drop(self, name: str) -> None:
        self.admin.call(DropKeyspaceRequest(name), lambda call, answer: None, call_ms=20_000)

    def churn(self) -> None:
        """Create another keyspace, or drop the one created last."""
        if not self.is_set_up:
            return
        self._churned += 1
        name = f"churn{self._churned // 2}"
        if self._churned % 2:
            self._drop(name)
            return
        settings = self._churned_settings(name)
        self.admin.call(CreateKeyspaceRequest(settings), lambda call, answer: None, call_ms=5_000)

    def _churned_settings(self, name: str) -> Settings:
        keyspace = self.day.keyspace
        return Settings(name, keyspace.mode, replicas=keyspace.replicas, partitions=self._rng.choice((1, 2)))

    # --- what the workers ask -----------------------------------------------------------------------------------------

    def group_of(self, key: str) -> GroupId:
        """The group that holds a key: looked up once, since a keyspace's partitions do not change."""
        found = self._groups.get(key)
        if found is None:
            assert self._keyspace is not None, "keys are asked for when the keyspace is there"
            number = self._keyspace.partition_of(key.encode())
            found = self._groups[key] = self._keyspace.partitions[number].group
        return found

    def next_sequence(self, client: int) -> int:
        self._sequences[client] += 1
        return self._sequences[client]

    def encoded(self, value: str | None) -> bytes:
        return b"" if value is None else value.encode() + b"." * self.day.load.value_bytes

    def decoded(self, data: bytes) -> str:
        return data.rstrip(b".").decode()

    # --- endings ------------------------------------------------------------------------------------------------------

    def count(self, kind: str, outcome: str) -> None:
        self.outcomes[f"{kind} {outcome}"] += 1

    def check_refusal(self, failure: Failure) -> None:
        """Only some refusals are right for requests that are in order. Raises Violation."""
        if failure.code in UNDESERVED:
            raise Violation("refusals are deserved", f"a request in order was refused: {failure.message}")
