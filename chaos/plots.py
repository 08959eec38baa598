"""Plots: faults in several acts, each act on its cue. Every one is a bad day that has happened to somebody.

A fault alone seldom hits the instant at which a promise hangs in the air: between a vote and its disk, between the end
of a lease and the first write of the next leader. A plot waits for that instant. It is a generator: it does things to
the cluster and yields a `Cue`, goes on with the news it waited for (or None, when its patience is at an end), and
notes how to take back what it has done.
"""

from collections.abc import Callable

from chaos.mercy import Mercy
from chaos.scenes import Act, Cue, Scene
from chaos.simulating.day import Day
from chaos.simulating.news import Grapevine, News
from kvstore.core.ids import METADATA_GROUP, NodeId
from kvstore.sim import faults as words
from kvstore.sim.cluster import SimCluster
from kvstore.sim.scheduler import MILLI

# --- the plots --------------------------------------------------------------------------------------------------------


def coup(scene: Scene) -> Act:
    """The leader is gone; who votes for another has a disk that hangs; and the power goes when that one leads.

    Those who took part come back one after the other, and the old leader with them: a vote that was promised before
    it was on disk may be given again.
    """
    rng, leader = scene.rng, scene.leader
    if leader is None:
        return
    fallen = [leader, *scene.others(leader)[: (len(scene.voters) - 3) // 2]]  # they hear nothing of the next term
    come_back = [rng.choice((scene.isolate, scene.crash))(node) for node in fallen]
    news = yield scene.when(rng.choice(("a candidate stands", "a vote is given")), 4, not_by=leader)
    if news is None or news.node in fallen:
        return
    mend_disk = scene.let_disk_hang(news.node)
    yield scene.when("a leader rises", 1.5)
    yield Cue(rng.choice((0, 0, 500, 5_000)))
    guilty = [node for node in scene.others(news.node, *fallen) if rng.random() < 0.9]
    scene.crash(news.node, *guilty)
    mend_disk()
    yield scene.after(0, rng.choice((0.1, 1)))
    for each in come_back:
        each()
    scene.inject(words.Restart((news.node,)))
    yield scene.after(0, 5)
    for node in guilty:
        scene.inject(words.Restart((node,)))
        yield scene.after(0, 1)


def reigns(scene: Scene) -> Act:
    """Each leader is cut off early in its reign, and the one before it comes back: logs part and meet (§5.4.2)."""
    rng = scene.rng
    come_back: Callable[[], None] | None = None
    before: NodeId | None = None
    for _ in range(rng.randint(4, 20)):
        what = rng.choice(("a leader rises", "an entry is written", "an entry is decided"))

        def is_of_the_leader(news: News, what: str = what) -> bool:
            return news.what == what and news.group == scene.group and news.node == scene.leader

        if what == "an entry is written" and scene.leader is not None:
            scene.write(scene.leader)
        news = yield Cue(3 * scene.election, is_of_the_leader)
        node = news.node if news is not None else scene.leader
        if node is None or node == before:
            continue
        again = scene.isolate(node)
        if come_back is not None:
            come_back()
        for _ in range(rng.choice((0, 1, 3))):  # nobody will ever confirm these
            scene.write(node)
            yield Cue(2 * MILLI)
        if before is not None and rng.random() < 0.3:
            yield Cue(scene.journey + int(rng.uniform(0, 0.5) * scene.election))
            scene.crash(before)()
        come_back, before = again, node


def sleeper(scene: Scene) -> Act:
    """A leader is stopped with answers in its inbox, and wakes up, alone, when another has been elected."""
    rng, leader = scene.rng, scene.leader
    if leader is None:
        return
    yield scene.when("a leader speaks", 1, by=leader)
    yield Cue(10)  # its frames have left
    wake = scene.pause(leader)
    yield Cue(scene.journey + rng.randint(1, 20) * MILLI)
    scene.isolate(leader)
    yield scene.when("a leader rises", rng.choice((1, 2, 3)), not_by=leader)
    yield from scene.bustle(leader, rng.uniform(0, 0.5))
    wake()
    yield from scene.bustle(leader, rng.uniform(0.5, 1))


def late_answers(scene: Scene) -> Act:
    """Answers to a leader are held up on the way; when they arrive, it has been cut off and another one elected."""
    rng, leader = scene.rng, scene.leader
    if leader is None:
        return
    others = scene.others(leader)
    scene.read(leader)
    yield scene.when("a leader speaks", 1, by=leader)
    deliver = scene.one_way([(node, leader) for node in others], holds=True)
    yield Cue(scene.journey + int(rng.uniform(0, 1) * scene.beat))
    if rng.random() < 0.5:  # until the lease is over, and reads have to ask
        yield from scene.bustle(leader, scene.loyalty / scene.election)
    scene.one_way([(leader, node) for node in others], holds=False)
    yield scene.when("a leader rises", 2, not_by=leader)
    yield from scene.bustle(leader, rng.choice((0.05, 0.1, 0.2)))
    deliver()
    yield from scene.bustle(leader, rng.uniform(0.2, 0.5))


def usurper(scene: Scene) -> Act:
    """A follower does not hear its leader, whom the others hear; then nobody does, and some have just restarted."""
    rng, leader = scene.rng, scene.leader
    if leader is None:
        return
    rival, *others = scene.others(leader)
    scene.cut(words.Partition("one link", words.between([leader], [rival])))
    yield scene.when("a leader rises", rng.uniform(0, 2), by=rival)
    scene.isolate(leader)
    if rng.random() < 0.6:
        for node in others:
            restart = scene.crash(node)
            yield Cue(rng.randint(0, 3) * MILLI)
            restart()
    yield from scene.bustle(leader, rng.uniform(0.5, 1.5))


def handover(scene: Scene) -> Act:
    """A leader that is handing over is cut off as its successor stands: it does not hear how that ends."""
    leader = scene.leader
    if leader is None:
        return
    scene.inject(words.LeaderTransfer(scene.group, scene.rng.choice(("", *scene.others(leader)))))
    yield scene.when("a candidate stands", 1, not_by=leader)
    scene.isolate(leader)
    yield from scene.bustle(leader, scene.rng.uniform(0.5, 1))


def deposed(scene: Scene) -> Act:
    """A leader is cut off from all nodes, though not from who reads beside it, until another one is well in office.

    It believes in itself for longest if its clock is late: sometimes that one is made the leader first.
    """
    late = min(scene.voters, key=lambda name: scene.cluster.machines[name].clock.rate)
    if scene.leader not in (None, late) and scene.rng.random() < 0.6:
        scene.inject(words.LeaderTransfer(scene.group, late))
        yield scene.when("a leader rises", 1, by=late)
        yield scene.after(0.2, 0.5)
    leader = scene.leader
    if leader is None:
        return
    scene.isolate(leader)
    yield from scene.bustle(leader, scene.rng.uniform(1, 2))


def amnesia(scene: Scene) -> Act:
    """A minority hears nothing of a decision; then of those who know, one loses its disk and the others are gone."""
    scene.be_about(METADATA_GROUP)  # a node without a disk knows no other
    rng, leader = scene.rng, scene.leader
    if leader is None or len(scene.voters) < 3:
        return
    if len(scene.voters) == 5 and rng.random() < 0.6:
        yield from readmission(scene, leader)
        return
    lost, *others = scene.others(leader)
    behind = others[: (len(scene.voters) - 1) // 2]
    mends = [scene.isolate(node) for node in behind]
    yield scene.after(0, 0.2)
    scene.inject(words.LeaderTransfer(scene.group, lost))
    yield scene.when("an entry is decided", 2)
    yield Cue(scene.journey + rng.randint(0, 10) * MILLI)
    restart = scene.wipe(lost)
    if restart is None:
        return
    for node in scene.others(lost, *behind):
        rng.choice((scene.isolate, scene.crash, scene.pause))(node)
    for mend in mends:
        mend()
    yield Cue(rng.randint(0, 20) * MILLI)
    restart()
    yield scene.after(2, 4)


def readmission(scene: Scene, leader: NodeId) -> Act:
    """A voter loses its disk after a vote for one candidate, and is asked by another one in the same term.

    Only the voter has heard of the first candidate, whose other requests are held up, and who sleeps with the vote in
    its inbox. The leader has not heard of that term, and could let the voter in again.
    """
    first, lost, second, other = scene.others(leader)
    deliver = scene.one_way([(first, node) for node in (leader, second, other)], holds=True)
    scene.inject(words.LeaderTransfer(scene.group, first))
    yield scene.when("a candidate stands", 1, by=first)
    scene.one_way([(node, first) for node in (leader, second)], holds=False)
    yield scene.when("a vote is given", 1, by=lost)
    wake = scene.pause(first)
    yield Cue(scene.journey + 20 * MILLI)
    restart = scene.wipe(lost)
    if restart is None:
        return
    restart()
    yield scene.after(1.2, 2)
    scene.one_way([(second, other)], holds=False)
    scene.inject(words.LeaderTransfer(scene.group, second))
    yield scene.when("a leader rises", 1.5, by=second)
    deliver()
    yield Cue(scene.journey + 20 * MILLI)
    wake()
    yield scene.after(0.2, 0.5)


def hasty(scene: Scene) -> Act:
    """A node that passes requests on dies and comes back, again and again; answers to its earlier lives come late."""
    rng = scene.rng
    scene.let_answers_repeat()
    for _ in range(rng.randint(3, 10)):
        node = scene.others(*([scene.leader] if scene.leader is not None else []))[0]
        for _ in range(2):
            restart = scene.crash(node)
            yield Cue(rng.randint(0, 2) * MILLI)
            restart()
            yield Cue(scene.beat + scene.journey)  # until it knows whom to ask
            for _ in range(rng.randint(1, 3)):
                rng.choice((scene.write, scene.read))(node)
            yield Cue(rng.randint(0, scene.journey))


PLOTS: dict[str, Callable[[Scene], Act]] = {
    "coup": coup,
    "reigns": reigns,
    "sleeper": sleeper,
    "late answers": late_answers,
    "usurper": usurper,
    "handover": handover,
    "deposed": deposed,
    "amnesia": amnesia,
    "hasty": hasty,
}


class Plotter:
    """Leads plots from cue to cue."""

    def __init__(self, cluster: SimCluster, day: Day, grapevine: Grapevine, mercy: Mercy) -> None:
        self._cluster, self._day, self._grapevine, self._mercy = cluster, day, grapevine, mercy
        self._rng = cluster.dice.stream("plots")
        self._resting = False

    def rest(self) -> None:
        """No more acts; what was done remains."""
        self._resting = True

    def begin(self, name: str, over: Callable[[], None]) -> None:
        """Start a plot; `over()` when it has ended and has taken everything back."""
        self._cluster.injected[f"Plot {name}"] += 1
        self._cluster.trace.tell(self._cluster.now, f"*** plot: {name}")
        scene = Scene(self._cluster, self._day, self._mercy, self._rng)
        _Performance(self, scene, PLOTS[name](scene), over).go_on(None)

    def wait(self, cue: Cue, go_on: Callable[[News | None], None]) -> None:
        """`go_on` once: with the news, or when patience ends, but not when all rest."""
        waiting = True

        def on_cue(news: News | None) -> None:
            nonlocal waiting
            if waiting and not self._resting:
                waiting = False
                self._grapevine.forget(number)
                go_on(news)

        number = self._grapevine.wait(cue.fits, on_cue) if cue.fits is not None else 0
        self._cluster.scheduler.after(cue.patience, "plot", "next act", on_cue, None)


class _Performance:
    """One plot under way."""

    def __init__(self, plotter: Plotter, scene: Scene, act: Act, over: Callable[[], None]) -> None:
        self._plotter, self._scene, self._act, self._over = plotter, scene, act, over

    def go_on(self, news: News | None) -> None:
        try:
            cue = next(self._act) if news is None else self._act.send(news)
        except StopIteration:
            for undo in reversed(self._scene.undo):
                undo()
            self._over()
            return
        self._plotter.wait(cue, self.go_on)
