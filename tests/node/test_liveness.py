"""Who is there, and whether we may trust our own disk: every case of the founding, restarts, silence, clocks."""

from kvstore.core.ids import Incarnation, Instant, Millis, NodeId
from kvstore.node.effects import Founding, Pulse
from kvstore.node.liveness import Identity, Liveness, News

ME, N2, N3 = NodeId("n1"), NodeId("n2"), NodeId("n3")
HEARTBEAT_MS, PATIENCE_MS = 100, 900


def at(ms: int, wall: int | None = None) -> Instant:
    return Instant(Millis(ms), Millis(1_000_000 + ms if wall is None else wall))


def alive(members: dict[str, int] | None = None, incarnation: int = 11) -> Liveness:
    identity = Identity(ME, Incarnation(incarnation), boot=5, members=members or {})
    return Liveness(identity, (N2, N3), HEARTBEAT_MS, PATIENCE_MS)


def pulse(incarnation: int, *, formed: bool = False, recorded: int = 0, boot: int = 1, wall: int = 1_000_000) -> Pulse:
    return Pulse(Incarnation(incarnation), boot, Millis(wall), formed, Incarnation(recorded))


# ── founding ──


def test_all_fresh_the_founding_waits_for_the_last_and_remembers_everyone() -> None:
    node = alive()
    node.on_pulse(N2, pulse(22), at(0))
    assert node.founding() is None
    node.on_pulse(N3, pulse(33), at(0))
    assert node.founding() == Founding({"n2": 22, "n3": 33, "n1": 11})
    assert node.identity.founded and not node.identity.wiped
    assert node.founding() is None, "there is one founding"


def test_alone_there_is_nobody_to_wait_for() -> None:
    identity = Identity(ME, Incarnation(11), 5, {})
    Liveness(identity, (), HEARTBEAT_MS, PATIENCE_MS)
    assert identity.founded and not identity.wiped


def test_wiped_a_founded_peer_knows_another_incarnation_of_us() -> None:
    node = alive()
    node.on_pulse(N2, pulse(22, formed=True, recorded=10), at(0))
    founding = node.founding()
    assert founding is not None and founding.members["n1"] != 11
    assert node.identity.wiped


def test_wiped_counts_even_if_the_founded_peer_has_never_heard_of_us() -> None:
    """It may have been wiped itself: when in doubt, we promised something."""
    node = alive()
    node.on_pulse(N2, pulse(22, formed=True, recorded=0), at(0))
    assert node.founding() is not None and node.identity.wiped


def test_a_lost_note_a_founded_peer_knows_our_very_incarnation() -> None:
    node = alive()
    node.on_pulse(N2, pulse(22, formed=True, recorded=11), at(0))
    assert node.founding() == Founding({"n2": 22, "n1": 11})
    assert not node.identity.wiped


def test_one_peer_that_knows_us_outweighs_one_that_does_not() -> None:
    node = alive()
    node.on_pulse(N3, pulse(33, formed=True, recorded=0), at(0))
    node.on_pulse(N2, pulse(22, formed=True, recorded=11), at(0))
    assert node.founding() is not None and not node.identity.wiped


def test_fresh_peers_beside_a_founded_one_make_no_founding() -> None:
    node = alive()
    node.on_pulse(N2, pulse(22), at(0))
    node.on_pulse(N3, pulse(33, formed=True, recorded=10), at(0))
    assert node.founding() is not None and node.identity.wiped


def test_what_we_were_told_at_the_founding_outlives_a_restart() -> None:
    assert not alive({"n1": 11, "n2": 22, "n3": 33}).identity.wiped
    assert alive({"n1": 10, "n2": 22, "n3": 33}).identity.wiped


def test_a_peers_new_incarnation_is_noted_once_it_says_that_it_was_founded_as_such() -> None:
    node = alive({"n1": 11, "n2": 22, "n3": 33})
    node.on_pulse(N2, pulse(222), at(0))
    assert node.founding() is None, "its own disk does not know yet that it was wiped"
    assert node.pulse_for(N2, at(0)).recorded == 22
    node.on_pulse(N2, pulse(222, formed=True, recorded=11), at(0))
    assert node.founding() == Founding({"n1": 11, "n2": 222, "n3": 33})
    assert node.founding() is None


def test_our_pulse_says_who_we_are_and_whom_we_take_them_for() -> None:
    node = alive({"n1": 11, "n2": 22})
    assert node.pulse_for(N2, at(7)) == Pulse(Incarnation(11), 5, Millis(1_000_007), True, Incarnation(22))
    assert node.pulse_for(N3, at(7)).recorded == 0


# ── who is there ──


def test_a_peer_is_up_when_heard_and_down_when_silent_too_long() -> None:
    node = alive()
    assert node.on_frame(N2, at(0)) is News.UP
    assert node.on_frame(N2, at(50)) is None
    assert node.beat(at(50 + PATIENCE_MS)) == (True, [])
    assert node.beat(at(51 + PATIENCE_MS)) == (False, []), "pulses are due each heartbeat only"
    assert node.beat(at(50 + PATIENCE_MS + HEARTBEAT_MS)) == (True, [N2])
    assert not node.peers[N2].up
    assert node.on_frame(N2, at(5_000)) is News.UP


def test_a_restart_is_seen_even_if_nobody_missed_a_beat() -> None:
    node = alive()
    assert node.on_pulse(N2, pulse(22, boot=1), at(0)) is None
    assert node.on_pulse(N2, pulse(22, boot=1), at(10)) is None
    assert node.on_pulse(N2, pulse(22, boot=2), at(20)) is News.RESTARTED


def test_frames_of_an_earlier_life_and_of_strangers_are_stale() -> None:
    node = alive()
    assert not node.is_stale(N2, Incarnation(22)), "before its first pulse we take what comes"
    node.on_pulse(N2, pulse(22), at(0))
    assert not node.is_stale(N2, Incarnation(22))
    assert node.is_stale(N2, Incarnation(21))
    assert node.is_stale(NodeId("n9"), Incarnation(22))


def test_a_late_pulse_of_an_earlier_life_does_not_bring_it_back() -> None:
    """What that life acknowledged was on a disk that is lost: counting it could lose a write."""
    node = alive({"n1": 11, "n2": 22, "n3": 33})
    node.on_pulse(N2, pulse(22, formed=True, boot=1), at(0))
    node.on_pulse(N2, pulse(222, formed=True, boot=2), at(10))
    node.founding()
    assert node.on_pulse(N2, pulse(22, formed=True, boot=1), at(20)) is None
    assert node.is_stale(N2, Incarnation(22)) and not node.is_stale(N2, Incarnation(222))
    assert node.founding() is None and node.identity.members["n2"] == 222


# ── clocks ──


def heard(node: Liveness, peer: NodeId, ahead_ms: int) -> None:
    node.on_pulse(peer, pulse(1, wall=1_000_000 + ahead_ms), at(0, wall=1_000_000))
    node.on_frame(peer, at(0))


def test_our_clock_is_ahead_if_it_is_ahead_of_most() -> None:
    node = alive()
    assert node.clock_ahead_ms() == 0
    heard(node, N2, -60_000)
    assert node.clock_ahead_ms() == 60_000
    heard(node, N3, -50_000)
    assert node.clock_ahead_ms() == 50_000, "as far as we are surely ahead"
    heard(node, N3, 0)
    assert node.clock_ahead_ms() == 0, "one of two peers agrees with us: it may be the other that is behind"


def test_being_behind_is_not_our_fault_to_tell() -> None:
    node = alive()
    heard(node, N2, 60_000)
    heard(node, N3, 60_000)
    assert node.clock_ahead_ms() == 0


def test_peers_that_are_down_have_no_say_about_the_clock() -> None:
    node = alive()
    heard(node, N2, -60_000)
    node.beat(at(PATIENCE_MS + 1))
    assert node.clock_ahead_ms() == 0


# ── suspicion ──


def beating(node: Liveness, beats: int = 20) -> int:
    """Pulses of both peers, as they should come; the time of the last."""
    for beat in range(beats):
        now = at(1_000 + beat * HEARTBEAT_MS)
        for peer, incarnation in ((N2, 22), (N3, 33)):
            node.on_pulse(peer, pulse(incarnation), now)
            node.on_frame(peer, now)
        node.beat(now)
    return now.monotonic


def test_who_misses_a_few_pulses_is_slow_long_before_it_is_down() -> None:
    node = alive({"n1": 11})
    last = beating(node)
    assert node.slowness(N2, Millis(last + HEARTBEAT_MS)) == 0
    assert node.slowness(N2, Millis(last + 3 * HEARTBEAT_MS)) > 0
    assert node.is_up(N2) and not node.is_down(N2)
    node.on_frame(N2, at(last + 300))
    assert node.slowness(N2, Millis(last + 300)) == 0 < node.slowness(N3, Millis(last + 300))


def test_a_node_that_was_away_itself_does_not_take_that_for_what_is_usual() -> None:
    node = alive({"n1": 11})
    last = beating(node)
    for late in (5_000, 5_100, 5_200):
        node.on_pulse(N2, pulse(22), at(last + late))
        node.beat(at(last + late))
    assert node.slowness(N2, Millis(last + 5_200 + 3 * HEARTBEAT_MS)) > 0


def test_an_outage_or_another_life_is_not_usual_either() -> None:
    node = alive({"n1": 11})
    last = beating(node)
    for step in range(1, 20):
        node.beat(at(last + step * HEARTBEAT_MS))
    assert node.is_down(N2)
    for late in (2_000, 2_100):
        node.on_pulse(N2, pulse(22, boot=2), at(last + late))
        node.on_frame(N2, at(last + late))
    assert node.slowness(N2, Millis(last + 2_100 + 3 * HEARTBEAT_MS)) > 0


def test_peers_that_are_never_heard_are_down_after_some_patience_and_that_is_told_once() -> None:
    node = alive({"n1": 11})
    told: list[NodeId] = []
    for step in range(30):
        now = at(1_000 + step * HEARTBEAT_MS)
        node.on_pulse(N2, pulse(22), now)
        node.on_frame(N2, now)
        assert node.is_down(N3) == (step * HEARTBEAT_MS > PATIENCE_MS + HEARTBEAT_MS) or told
        told += node.beat(now)[1]
    assert told == [N3] and node.is_down(N3) and not node.is_down(N2)
