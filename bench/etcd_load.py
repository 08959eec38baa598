"""The load generator for etcd: `python -m bench.etcd_load PLAN`, where PLAN is a `LoadPlan` in JSON.

One thread, non-blocking sockets, epoll. All replies that one read brings are settled and their successors
sent with one write, so the cost per operation falls as the load rises.

A reply counts only if it is what was asked for: gRPC status 0, and a message long enough to hold the value (get)
or an answer for each put (batch). Before the window opens, a value written is read back; after it
has closed, etcd's own revision counter must have advanced at least once for every acknowledged put.
"""

import gc
import select
import socket
import sys
import time
from collections.abc import Iterator

from bench import etcd_messages
from bench.hpack import HeaderBlockError
from bench.http2 import ProtocolError, UnaryConnection, request_block
from bench.processes import ProcessGone
from bench.workload import VALUE_BYTES, LoadPlan, LoadResult, Operation, Tally, Window, Workload

Request = tuple[bytes, bytes, int]
"""A method's header block, a message, and how short a true answer to it may be, in bytes."""

PRELOAD_OUTSTANDING = 16
READ_BYTES = 1 << 18
POLL_S = 0.05
SILENCE_S_MAX = 20.0
RECONNECTS_MAX = 16


class LoadFailed(Exception):
    """The load cannot go on, or what it measured is not true."""


class Lane:
    """One connection, and the calls under way on it."""

    def __init__(self, host: str, port: int) -> None:
        self._address = (host, port)
        self.share = 0
        """How many calls should be under way here."""
        self.under_way: dict[int, tuple[int, int]] = {}
        """Stream to (when it was asked, how short the answer may be)."""
        self.connect()

    def connect(self) -> None:
        self.socket = socket.create_connection(self._address, timeout=5)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.http2 = UnaryConnection()
        self._unsent = b""
        self.waits_for_room = False

    def flush(self) -> bool:
        """Send what is ready. False if the socket took only a part of it."""
        self._unsent += self.http2.data_to_send()
        if self._unsent:
            try:
                sent = self.socket.send(self._unsent)
            except BlockingIOError:
                sent = 0
            self._unsent = self._unsent[sent:]
        return not self._unsent


class EtcdLoad:
    """A closed loop over one or more connections to one etcd member."""

    def __init__(self, endpoint: str, connections: int) -> None:
        host, _, port = endpoint.rpartition(":")
        self._lanes = [Lane(host, int(port)) for _ in range(connections)]
        self._epoll = select.epoll()
        self._by_fd: dict[int, Lane] = {}
        for lane in self._lanes:
            self._watch(lane)
        self._put, self._range, self._txn = (
            request_block(path, endpoint)
            for path in (etcd_messages.PUT_PATH, etcd_messages.RANGE_PATH, etcd_messages.TXN_PATH)
        )
        self._reconnects = 0
        self.acknowledged = 0
        """Calls answered as they should be, since the start."""
        self.last_reply = b""

    def single(self, operation: Operation) -> Request:
        key, value = operation
        if value is None:
            return self._range, etcd_messages.range_request(key), len(key) + VALUE_BYTES
        return self._put, etcd_messages.put_request(key, value), 1

    def batch(self, puts: dict[bytes, bytes]) -> Request:
        return self._txn, etcd_messages.txn_of_puts(puts), 2 * len(puts)

    def ask(self, request: Request) -> bytes:
        """One call alone, and its answer. Raises LoadFailed if it fails."""
        tally = Tally()
        self.drive(iter([request]), 1, tally)
        if tally.errors:
            raise LoadFailed(f"etcd refused a single request: {tally.first_error}")
        return self.last_reply

    def drive(self, requests: Iterator[Request], outstanding: int, tally: Tally) -> None:
        """Keep `outstanding` calls under way until `requests` ends and every call is answered."""
        for number, lane in enumerate(self._lanes):
            lane.share = outstanding // len(self._lanes) + (number < outstanding % len(self._lanes))
            self._fill(lane, requests)
        silent_since = time.perf_counter()
        while any(lane.under_way for lane in self._lanes):
            ready = self._epoll.poll(POLL_S)
            tally.advance(time.perf_counter_ns())
            for fd, _ in ready:
                self._serve(self._by_fd[fd], requests, tally)
            if ready:
                silent_since = time.perf_counter()
            elif time.perf_counter() - silent_since > SILENCE_S_MAX:
                raise LoadFailed(f"etcd has not answered for {SILENCE_S_MAX:.0f} s")

    def close(self) -> None:
        self._epoll.close()
        for lane in self._lanes:
            lane.socket.close()

    def _serve(self, lane: Lane, requests: Iterator[Request], tally: Tally) -> None:
        """Read once, settle what came, send the successors."""
        try:
            data = lane.socket.recv(READ_BYTES)
        except BlockingIOError:  # woken because there is room to write
            self._flush(lane)
            return
        except ConnectionError:
            data = b""
        if data:
            self._settle(lane, data, tally)
        if not data or (lane.http2.closing and not lane.under_way):
            self._renew(lane, tally)
        self._fill(lane, requests)

    def _settle(self, lane: Lane, data: bytes, tally: Tally) -> None:
        replies = lane.http2.receive(data)
        now = time.perf_counter_ns()
        for stream, message, status in replies:
            asked_at, size_min = lane.under_way.pop(stream)
            if message is not None and len(message) >= size_min:
                self.acknowledged += 1
                self.last_reply = message
                tally.ended(now - asked_at)
            elif status:
                tally.failed(lane.http2.last_error)
            else:
                tally.failed(f"an answer of {len(message or b'')} bytes where at least {size_min} were due")

    def _fill(self, lane: Lane, requests: Iterator[Request]) -> None:
        if not lane.http2.closing:
            while len(lane.under_way) < lane.share:
                request = next(requests, None)
                if request is None:
                    break
                block, message, size_min = request
                lane.under_way[lane.http2.call(block, message)] = (time.perf_counter_ns(), size_min)
        self._flush(lane)

    def _flush(self, lane: Lane) -> None:
        try:
            done = lane.flush()
        except ConnectionError:
            return  # the end of the stream will be read next
        if done == lane.waits_for_room:
            lane.waits_for_room = not done
            self._epoll.modify(lane.socket, select.EPOLLIN if done else select.EPOLLIN | select.EPOLLOUT)

    def _watch(self, lane: Lane) -> None:
        self._epoll.register(lane.socket, select.EPOLLIN)
        self._by_fd[lane.socket.fileno()] = lane

    def _renew(self, lane: Lane, tally: Tally) -> None:
        """The server closed this connection: its calls have failed, and a new one takes its place."""
        for _ in lane.under_way:
            tally.failed(lane.http2.last_error or "etcd closed the connection")
        lane.under_way.clear()
        self._reconnects += 1
        if self._reconnects > RECONNECTS_MAX:
            raise LoadFailed(f"etcd closed the connection {self._reconnects} times")
        self._epoll.unregister(lane.socket)
        del self._by_fd[lane.socket.fileno()]
        lane.socket.close()
        lane.connect()
        self._watch(lane)


def preload(load: EtcdLoad, workload: Workload) -> None:
    """Every key once. Raises LoadFailed unless all of them were acknowledged."""
    tally = Tally()
    load.drive((load.batch(puts) for puts in workload.every_key()), PRELOAD_OUTSTANDING, tally)
    if tally.errors:
        raise LoadFailed(f"loading the keys failed: {tally.first_error}")


def prove_it_stores(load: EtcdLoad, workload: Workload) -> None:
    """Write a value and read it back: the messages are understood, not just answered."""
    for _ in range(3):
        key, value = workload.key(), workload.value()
        load.ask(load.single((key, value)))
        found = etcd_messages.value_in_range_response(load.ask(load.single((key, None))))
        if found != value:
            raise LoadFailed(
                f"wrote {value.hex()} to {key.decode()}, read back {'nothing' if found is None else found.hex()}"
            )


def measure(load: EtcdLoad, workload: Workload, plan: LoadPlan) -> LoadResult:
    """Warm up, measure, drain; then hold the acknowledgements against etcd's revision."""
    window = Window(plan)
    if plan.op == "batch":
        asked = (load.batch(puts) for puts in workload.batches())
    else:
        asked = (load.single(operation) for operation in workload.operations())
    revision_before, acknowledged_before = _revision(load), load.acknowledged
    window.begin(time.perf_counter_ns())
    load.drive(_until_over(asked, window), plan.outstanding, window)
    if plan.op in ("put", "batch"):
        acknowledged = load.acknowledged - acknowledged_before
        _hold_against(_revision(load) - revision_before, acknowledged)
    return window.result()


def _until_over(asked: Iterator[Request], window: Window) -> Iterator[Request]:
    for request in asked:
        if window.over:
            return
        yield request


def _revision(load: EtcdLoad) -> int:
    return etcd_messages.revision(load.ask((load._range, etcd_messages.range_request(b"bench:revision"), 1)))


def _hold_against(revisions: int, acknowledged: int) -> None:
    """Each put, and each transaction of puts, makes exactly one revision."""
    if revisions < acknowledged:
        raise LoadFailed(f"etcd acknowledged {acknowledged} writes, its revision advanced by {revisions}")


def main() -> int:
    plan = LoadPlan.from_json(sys.argv[1])
    gc.disable()  # nothing here makes cycles, and a pause would count as etcd's latency
    try:
        run(plan)
    except (LoadFailed, ProtocolError, HeaderBlockError, ProcessGone, OSError) as error:
        print(f"load on etcd failed: {error}", file=sys.stderr)
        return 1
    return 0


def run(plan: LoadPlan) -> None:
    workload = Workload(plan.op, plan.key_count, plan.seed)
    load = EtcdLoad(plan.endpoints[0], plan.connections)
    try:
        if plan.preload:
            preload(load, workload)
        if plan.seconds > 0:
            prove_it_stores(load, workload)
            print(measure(load, workload, plan).to_json())
    finally:
        load.close()


if __name__ == "__main__":
    raise SystemExit(main())
