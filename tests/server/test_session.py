"""The Session stream as a client of any kind may use or misuse it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from kvstore.core.errors import KvError, MalformedFrame, RequestTooLarge, WrongCluster, WrongTimeline
from kvstore.server import session
from kvstore.v1 import kv_pb2 as pb
from tests.server.stage import DEADLINE_MS, Conversation, Stage, get, put, staged, until, values_of

MIB = 1 << 20


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with staged(tmp_path, 1) as stage:
        yield stage


def timeline_of(stage: Stage) -> int:
    ring = stage.one.node.ring
    assert ring is not None
    return ring.timeline


async def test_a_hello_is_answered_with_welcome_and_ring(stage: Stage) -> None:
    talk = Conversation(stage.kv())
    await talk.say(pb.SessionHello(client=77, cluster="stage", timeline=timeline_of(stage)))
    while not (talk.welcome and talk.rings):
        assert await talk.hear()
    assert (talk.welcome.node, talk.welcome.cluster) == ("n1", "stage")
    assert talk.welcome.timeline == timeline_of(stage) == talk.rings[0].timeline
    assert all(partition.leader == "n1" for partition in talk.rings[0].keyspaces[0].partitions)
    await talk.end()


async def test_many_calls_of_all_kinds_in_one_message_are_each_answered_once(stage: Stage) -> None:
    talk = Conversation(stage.kv())
    keys = [b"key%d" % i for i in range(500)]
    calls = [put(i, stage.group_of(key), key, b"v%d" % i, i + 1) for i, key in enumerate(keys)]
    await talk.say(pb.SessionHello(client=77), calls)
    written = await talk.answers(*range(500))
    assert {reply.WhichOneof("body") for reply in written} == {"results"}
    assert all(reply.receipt.on_disk == 1 and reply.receipt.mode == "leader" for reply in written)
    await talk.say(calls=[get(1_000 + i, stage.group_of(key), key) for i, key in enumerate(keys)])
    assert [values_of(reply)[0] for reply in await talk.answers(*range(1_000, 1_500))] == [
        b"v%d" % i for i in range(500)
    ]
    group = stage.group_of(keys[0])
    page = pb.Call(id=2_000, group=group, deadline_ms=DEADLINE_MS, page=pb.Page(start=b"key"))
    outcome = pb.Call(id=2_001, group=group, deadline_ms=DEADLINE_MS, outcome=pb.OutcomeQuery(client=77, sequence=1))
    await talk.say(calls=[page, outcome])
    paged, known = await talk.answers(2_000, 2_001)
    assert [row[0] for row in msgspec.msgpack.decode(paged.page.rows)] == sorted(
        key for key in keys if stage.group_of(key) == group
    )
    assert msgspec.msgpack.decode(known.outcome)[0] == 0
    await talk.end()
    assert len(talk.replies) == 1_002


REFUSED_HELLOS: list[tuple[pb.SessionHello | None, type[KvError], str]] = [
    (pb.SessionHello(client=1, cluster="another"), WrongCluster, "of cluster 'stage', the client wants 'another'"),
    (pb.SessionHello(client=1, timeline=1), WrongTimeline, "the client on 00000001"),
    (None, MalformedFrame, "begins with a hello"),
]


@pytest.mark.parametrize(("hello", "kind", "words"), REFUSED_HELLOS)
async def test_a_foreign_or_speechless_client_is_refused_and_nothing_it_asked_happens(
    stage: Stage, hello: pb.SessionHello | None, kind: type[KvError], words: str
) -> None:
    talk = Conversation(stage.kv())
    group = stage.group_of(b"key")
    await talk.say(hello, [put(1, group, b"key", b"v", 1)])
    await talk.end()
    assert type(talk.refused) is kind and words in str(talk.refused)
    assert talk.replies == {} and talk.welcome is None
    other = Conversation(stage.kv())
    await other.say(pb.SessionHello(client=2), [get(1, group, b"key")])
    [reply] = await other.answers(1)
    assert values_of(reply) == [None]
    await other.end()


async def test_bad_calls_fail_alone_and_the_session_goes_on(stage: Stage) -> None:
    group = stage.group_of(b"key")
    talk = Conversation(stage.kv())
    malformed = pb.Call(id=1, group=group, deadline_ms=DEADLINE_MS, write=pb.Write(commands=b"\xc1garbage"))
    calls = {
        malformed.id: (malformed, "MalformedFrame"),
        2: (pb.Call(id=2, group=group, deadline_ms=DEADLINE_MS), "MalformedFrame"),
        3: (put(3, group, b"key", b"v", 1, deadline_ms=0), "InvalidRequest"),
        4: (put(4, group, b"k" * 481, b"v", 2), "KeyTooLarge"),
        5: (put(5, group, b"", b"v", 3), "EmptyKey"),
        6: (put(6, group, b"key", b"v" * (MIB + 1), 4), "ValueTooLarge"),
        7: (put(7, group + 1000, b"key", b"v", 5), "NotReady"),  # type: ignore[arg-type]
        8: (put(8, group, b"key", b"v", -1), "InvalidRequest"),
        9: (get(9, group, b""), "EmptyKey"),
        10: (pb.Call(id=10, group=group, deadline_ms=DEADLINE_MS, page=pb.Page(start=b"k" * 600)), "KeyTooLarge"),
    }
    await talk.say(pb.SessionHello(client=77), [call for call, _ in calls.values()])
    replies = dict(zip(calls, await talk.answers(*calls), strict=True))
    assert {number: reply.failure.code for number, reply in replies.items()} == {
        number: code for number, (_, code) in calls.items()
    }
    assert all(reply.failure.definite for reply in replies.values())
    await talk.say(calls=[put(20, group, b"key", b"good", 9), get(21, group, b"key")])
    await talk.answers(20, 21)
    await talk.say(calls=[get(22, group, b"key")])
    [reply] = await talk.answers(22)
    assert values_of(reply) == [b"good"]
    await talk.end()


async def test_a_client_of_no_cluster_in_particular_is_welcome(stage: Stage) -> None:
    talk = Conversation(stage.kv())
    await talk.say(pb.SessionHello(client=1))
    await talk.end()
    assert talk.welcome is not None and talk.refused is None


async def test_a_session_ends_when_its_client_has_said_all_at_whatever_moment_that_is(stage: Stage) -> None:
    stub, group = stage.kv(), stage.group_of(b"key")

    async def brief(number: int) -> bool:
        talk = Conversation(stub)
        await talk.say(pb.SessionHello(client=77), [get(i, group, b"key") for i in range(number % 4)])
        for _ in range(number % 7):
            await asyncio.sleep(0)
        await talk.end()
        return talk.welcome is not None

    for wave in range(10):
        assert all(await asyncio.gather(*(brief(10 * wave + i) for i in range(10))))
    await until(lambda: stage.one.node.gate.requests_open == 0, "a request was never answered")


async def test_answers_too_large_for_one_message_come_in_several(stage: Stage) -> None:
    """gRPC refuses a message above its limit, and the stream with it."""
    talk = Conversation(stage.kv())
    group = stage.group_of(b"large")
    await talk.say(pb.SessionHello(client=77), [put(1, group, b"large", b"v" * MIB, 1)])
    await talk.answers(1)
    await talk.say(calls=[get(number, group, b"large") for number in range(10, 50)])
    for reply in await talk.answers(*range(10, 50)):
        assert values_of(reply) == [b"v" * MIB]
    await talk.end()


async def test_values_that_make_more_than_a_message_are_refused_or_paged(stage: Stage) -> None:
    talk = Conversation(stage.kv())
    group = stage.group_of(b"large")
    keys = [key for key in (b"large%d" % i for i in range(400)) if stage.group_of(key) == group][:20]
    await talk.say(pb.SessionHello(client=77))
    for number, key in enumerate(keys):
        await talk.say(calls=[put(number, group, key, b"v" * MIB, number + 1)])
    await talk.answers(*range(20))
    await talk.say(calls=[get(100, group, *keys)])
    [reply] = await talk.answers(100)
    assert reply.failure.code == "RequestTooLarge" and "ask for fewer" in reply.failure.message
    page = pb.Call(id=101, group=group, deadline_ms=DEADLINE_MS, page=pb.Page(start=b"large", bytes_max=1 << 30))
    await talk.say(calls=[page])
    [reply] = await talk.answers(101)
    assert reply.page.more and 8 <= len(msgspec.msgpack.decode(reply.page.rows)) <= 16
    await talk.end()


async def test_a_client_that_goes_away_leaves_nothing_behind(stage: Stage) -> None:
    runtime = stage.one
    watchers = len(runtime._ring_watchers)
    talks = [Conversation(stage.kv()) for _ in range(3)]
    for talk in talks:
        await talk.say(pb.SessionHello(client=77))
        await talk.hear()
    assert len(runtime._ring_watchers) == watchers + 3
    talks[0].cancel()
    await talks[1].end()
    await talks[2].say(calls=[get(1, stage.group_of(b"key"), b"key")])
    talks[2].cancel()
    await until(lambda: len(runtime._ring_watchers) == watchers, "a session outlived its client")
    await until(lambda: runtime.node.gate.requests_open == 0, "a request was never answered")


async def test_a_session_hears_of_a_changed_ring(stage: Stage) -> None:
    from kvstore.v1 import admin_pb2

    talk = Conversation(stage.kv())
    await talk.say(pb.SessionHello(client=77))
    while not talk.rings:
        await talk.hear()
    creation = asyncio.ensure_future(stage.admin().CreateKeyspace(admin_pb2.CreateKeyspaceRequest(name="carts")))
    while len(talk.rings[-1].keyspaces) < 2:
        await talk.hear()
    await creation
    assert talk.rings[-1].epoch > talk.rings[0].epoch
    await talk.end()


def neighbour(stage: Stage, key: bytes) -> bytes:
    """Another key of the same partition."""
    return next(other for other in (b"n%d" % i for i in range(400)) if stage.group_of(other) == stage.group_of(key))


async def test_who_does_not_read_gets_no_more_values_and_the_node_keeps_its_memory(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "UNREAD_BYTES_MAX", 8 * MIB)
    runtime, group = stage.one, stage.group_of(b"large")
    talk = Conversation(stage.kv())
    await talk.say(pb.SessionHello(client=77), [put(1, group, b"large", b"v" * MIB, 1)])
    await talk.answers(1)
    asked = range(10, 110)
    most = 0

    def answered() -> bool:
        nonlocal most
        most = max(most, runtime.unread_bytes)
        return runtime.node.operations["read"] == len(asked) and runtime.node.gate.requests_open == 0

    await talk.say(
        calls=[*(get(i, group, b"large") for i in asked), put(200, group, neighbour(stage, b"large"), b"v", 2)]
    )
    await until(answered, "the calls were never answered")
    assert most < 12 * MIB
    codes = [reply.failure.code for reply in await talk.answers(*asked)]
    assert 8 <= codes.count("") < 40 and set(codes) == {"", "Overloaded"}
    refusals = [reply.failure for reply in talk.replies.values() if reply.failure.code]
    assert all(failure.definite and failure.retryable for failure in refusals)
    assert (await talk.answers(200))[0].WhichOneof("body") == "results", "what a write did is always told"
    await talk.say(calls=[get(300, group, b"large")])
    assert values_of((await talk.answers(300))[0]) == [b"v" * MIB]
    await talk.end()
    await until(lambda: runtime.unread_bytes == 0, "a session that is over still counts")


async def test_who_does_not_read_is_not_read(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "UNREAD_BYTES_PAUSE", 2 * MIB)
    runtime, group = stage.one, stage.group_of(b"large")
    talk = Conversation(stage.kv())
    await talk.say(pb.SessionHello(client=77), [put(1, group, b"large", b"v" * MIB, 1)])
    await talk.answers(1)
    for i in range(10, 110):
        await talk.say(calls=[get(i, group, b"large")])
    small = neighbour(stage, b"large")
    other = Conversation(stage.kv())  # once it has been answered, the node has read all that it is going to
    await other.say(pb.SessionHello(client=78))
    for i in range(100):
        await other.say(calls=[get(i, group, small)])
        await other.answers(i)
    assert runtime.node.operations["read"] < 100 + 90 and runtime.unread_bytes < 8 * MIB
    assert all(values_of(reply) == [b"v" * MIB] for reply in await talk.answers(*range(10, 110)))
    assert runtime.node.operations["read"] == 200
    await talk.end()
    await other.end()


async def test_more_calls_than_a_message_may_hold_end_the_session(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "CALLS_MAX", 10)
    group = stage.group_of(b"key")
    talk = Conversation(stage.kv())
    await talk.say(pb.SessionHello(client=77), [put(i, group, b"key", b"v", i) for i in range(1, 12)])
    await talk.end()
    assert type(talk.refused) is RequestTooLarge and "11 calls in a message" in str(talk.refused)
    assert stage.one.node.operations["write"] == 0


async def test_what_waits_for_a_client_that_went_away_is_forgotten(stage: Stage) -> None:
    runtime, group = stage.one, stage.group_of(b"large")
    talk = Conversation(stage.kv())
    await talk.say(pb.SessionHello(client=77), [put(1, group, b"large", b"v" * MIB, 1)])
    await talk.answers(1)
    await talk.say(calls=[get(i, group, b"large") for i in range(10, 60)])
    await until(lambda: runtime.unread_bytes > 4 * MIB, "nothing ever waited")
    told = runtime.metrics.registry.get_sample_value("kvstore_reply_bytes_unread")
    assert told == runtime.unread_bytes
    talk.cancel()
    await until(lambda: runtime.unread_bytes == 0, "a session that is over still counts")


async def test_sessions_and_failures_are_counted(stage: Stage) -> None:
    talk = Conversation(stage.kv())
    await talk.say(pb.SessionHello(client=77), [get(1, stage.group_of(b"key"), b"")])
    await talk.answers(1)
    await talk.end()
    text = stage.one.metrics.text().decode()
    assert "kvstore_sessions_total 1.0" in text
    assert 'kvstore_errors_total{code="EmptyKey",operation="read"} 1.0' in text
    assert 'kvstore_request_seconds_count{operation="read"} 1.0' in text
