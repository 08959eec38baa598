"""The first command of the README: real nodes, real data, real faults, and one line that says if anything was lost.

    bash cluster/demo.sh          or, in an environment that has kvstore:  python -m cluster.demo

Starts three nodes, imports the names of all characters, kills the leader of a partition while clients go on, restarts
it, pauses another node, and then reads everything back. In a leaderless keyspace both sides of a cut network take
writes, and agree afterwards. Exit status 0 if every acknowledged write is there and all histories are linearizable,
else 1; a history that is not is kept in a file.
"""

import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

from chaos.history import to_json_lines
from cluster.demo_carts import CartsAct
from cluster.demo_names import rows
from cluster.demo_screen import Screen, milliseconds, quantile
from cluster.demo_traffic import FIGHTERS, FILLERS, Traffic, longest_gap
from cluster.demo_verdict import DemoVerdict, disorder, missing_rows, missing_writes
from kvstore.cli.formats import counted
from kvstore.client.async_client import AsyncClient
from kvstore.core.errors import KvError
from kvstore.local.clusters import unused_name
from kvstore.local.processes import LocalCluster
from kvstore.local.topology import read_topology

TOPOLOGY = Path(__file__).with_name("three.toml")
CHUNK = 500
IMPORTERS = 8
WELL_KNOWN = ("SNOWMAN", "GREEK SMALL LETTER PI", "VULGAR FRACTION ONE HALF", "SNAKE", "NO SUCH CHARACTER")
READS = 2_000
FIGHTING_KEYS = tuple(f"fight:{i}" for i in range(1, 7))
USAGE, INTERRUPTED = 2, 130
"""The exit status after wrong arguments, and after Ctrl-C, as shells have it."""
CALM_S, BROKEN_S, PAUSED_S = 2.0, 4.0, 4.0


@dataclass(slots=True)
class Demo:
    """One run: the cluster, a client, and the screen it is told on."""

    cluster: LocalCluster
    store: AsyncClient
    screen: Screen

    async def run(self) -> DemoVerdict:
        """Everything from the import to the verdict."""
        names = rows()
        await self.import_names(names)
        await self.look_up()
        await self.measure_reads(list(names))
        traffic = Traffic(self.store, FIGHTING_KEYS)
        traffic.start()
        try:
            self.screen.step(
                f"{FILLERS + FIGHTERS} clients write, read and compare-and-set, without pause until the end"
            )
            await asyncio.sleep(CALM_S)
            victim = await self.kill_a_leader(traffic)
            await self.bring_back(victim)
            await self.pause_another(traffic, victim)
        finally:
            await traffic.stop()
        verdict = await self.judge(names, traffic)
        acknowledged, missing = await CartsAct(self.cluster, self.store, self.screen).run()
        return replace(verdict, acknowledged=verdict.acknowledged + acknowledged, lost=(*verdict.lost, *missing))

    async def import_names(self, names: dict[str, bytes]) -> None:
        """All names, a few chunks at a time."""
        self.screen.step(f"importing {len(names):,} character names of Python's unicodedata")
        items = list(names.items())
        chunks = iter([dict(items[i : i + CHUNK]) for i in range(0, len(items), CHUNK)])
        began = time.monotonic()
        with self.screen.progress("imported", len(names)) as advance:

            async def importer() -> None:
                for chunk in chunks:
                    await self.store.put_many(chunk)
                    advance(len(chunk))

            await asyncio.gather(*(importer() for _ in range(IMPORTERS)))
        seconds = time.monotonic() - began
        self.screen.say(
            f"{len(names):,} keys in {seconds:.1f} s: {len(names) / seconds:,.0f} keys/s, each on two disks"
        )

    async def look_up(self) -> None:
        """A few, as people would."""
        self.screen.step("looking some up")
        for name in WELL_KNOWN:
            value = await self.store.get(name)
            self.screen.say(f"{name:26} {value.decode() if value is not None else 'is not there, as it should be'}")

    async def measure_reads(self, names: list[str]) -> None:
        """Linearizable reads of random keys, one at a time."""
        taken: list[float] = []
        for name in Random(1).choices(names, k=READS):
            began = time.perf_counter()
            await self.store.get(name)
            taken.append(time.perf_counter() - began)
        p50, p99 = (milliseconds(quantile(taken, share)) for share in (0.5, 0.99))
        self.screen.say(f"{READS:,} linearizable reads, one at a time: p50 {p50}, p99 {p99}")

    async def kill_a_leader(self, traffic: Traffic) -> str:
        """SIGKILL for the node that leads the first fighting key's partition; who it was."""
        place = await self.store.where(FIGHTING_KEYS[0])
        victim = str(place.leader or place.replicas[0].id)
        self.screen.step(f"kill -9 {victim}, the leader of partition {place.partition}, while the clients go on")
        led = {partition.number for partition in await self.store.partitions() if partition.leader == victim}
        killed_at = time.monotonic()
        await asyncio.to_thread(self.cluster.kill, victim)
        await asyncio.sleep(BROKEN_S)
        moments = await self.writes_by_partition(traffic, killed_at)
        gap = longest_gap(moments[place.partition], killed_at, time.monotonic())
        leader = (await self.store.where(FIGHTING_KEYS[0])).leader
        self.screen.say(f"partition {place.partition} took no write for {gap:.2f} s; now {leader} leads it")
        others = max(longest_gap(moments[number], killed_at, time.monotonic()) for number in led)
        led_count = counted(len(led), "partition")
        self.screen.say(f"it led {led_count}; the longest any of them took no write: {others:.2f} s")
        self.screen.say(f"{sum(map(len, moments.values())):,} writes were acknowledged with {victim} dead")
        return victim

    async def writes_by_partition(self, traffic: Traffic, since: float) -> dict[int, list[float]]:
        """When each partition's writes were acknowledged; empty for one that took none."""
        moments: dict[int, list[float]] = {partition.number: [] for partition in await self.store.partitions()}
        for key, times in traffic.acknowledged_at.items():
            moments[(await self.store.where(key)).partition] += [moment for moment in times if moment >= since]
        return moments

    async def bring_back(self, victim: str) -> None:
        """Start it again on the data it has."""
        self.screen.step(f"starting {victim} again")
        began = time.monotonic()
        await asyncio.to_thread(self.cluster.start, victim)
        self.screen.say(f"{victim} serves again after {time.monotonic() - began:.1f} s")
        await asyncio.sleep(CALM_S)

    async def pause_another(self, traffic: Traffic, victim: str) -> None:
        """SIGSTOP for a while: it keeps its connections and says nothing."""
        other = next(node for node in self.cluster.nodes if node != victim)
        self.screen.step(f"kill -STOP {other} for {PAUSED_S:.0f} s: it keeps its connections and says nothing")
        stopped_at = time.monotonic()
        await asyncio.to_thread(self.cluster.pause, other)
        await asyncio.sleep(PAUSED_S)
        await asyncio.to_thread(self.cluster.resume, other)
        moments = await self.writes_by_partition(traffic, stopped_at)
        gap = max(longest_gap(times, stopped_at, time.monotonic()) for times in moments.values())
        self.screen.say(f"longest time any partition took no write: {gap:.2f} s")
        await asyncio.to_thread(self.cluster.wait_ready)
        self.screen.say(f"{other} goes on and has caught up")
        await asyncio.sleep(CALM_S)

    async def judge(self, names: dict[str, bytes], traffic: Traffic) -> DemoVerdict:
        """Read everything back, and find one order for it."""
        self.screen.step("reading everything back")
        told = ", ".join(f"{count:,} {name}" for name, count in sorted(traffic.errors.items())) or "none"
        self.screen.say(f"the clients wrote {traffic.acknowledged:,} times; errors they were told of: {told}")
        found = await self.store.get_many(list(names))
        await traffic.read_back(traffic.keys)
        lost = missing_rows(names, found)
        operations = traffic.history.operations()
        lost += missing_writes(operations)
        self.screen.say(f"{len(names):,} imported and {len(traffic.keys):,} written keys read")
        began = time.monotonic()
        wrong = disorder(operations)
        self.screen.say(f"{len(operations):,} operations judged in {time.monotonic() - began:.1f} s: "
                        + ("linearizable" if not wrong else "; ".join(wrong)))  # fmt: skip
        if lost or wrong:
            self._keep_history(traffic)
        return DemoVerdict(len(names) + traffic.acknowledged, tuple(lost), tuple(wrong))

    def _keep_history(self, traffic: Traffic) -> None:
        with tempfile.NamedTemporaryFile("w", prefix="kvstore-history-", suffix=".jsonl", delete=False) as file:
            file.writelines(f"{line}\n" for line in to_json_lines(traffic.history.operations()))
        self.screen.say(f"the history: python -m chaos check --model cas-register {file.name}")


async def play(cluster: LocalCluster, screen: Screen) -> DemoVerdict:
    """The demo on a cluster that is up."""
    async with AsyncClient(cluster.url) as store:
        return await Demo(cluster, store, screen).run()


def tell_of_the_dead(cluster: LocalCluster, screen: Screen) -> None:
    """No node ends by itself, unless something is wrong with it: its last words."""
    for node in cluster.nodes:
        if cluster.state(node) == "ended":
            screen.say(f"{node} ended by itself; the end of its log:\n{cluster.logs(node)}")


def offer_shell(cluster: LocalCluster) -> None:
    """With somebody at the keyboard: a look at the cluster before it goes."""
    try:
        answer = input("\nOpen the shell on this cluster? [y/N] ")
    except (EOFError, KeyboardInterrupt):
        print()
        return
    if answer.strip().lower() in ("y", "yes"):
        subprocess.run([sys.executable, "-m", "kvstore", "shell", cluster.url], check=False)


def main(words: Sequence[str] = ()) -> int:
    """Exit status: 0 if nothing was lost, 1 if something was or the demo could not be played, 130 after Ctrl-C."""
    if words:
        if set(words) <= {"-h", "--help"}:
            print(__doc__)
            return 0
        print(f"the demo takes no arguments, got: {' '.join(words)}", file=sys.stderr)
        return USAGE
    screen = Screen()
    screen.step("starting three nodes on this machine, each with its own data and ports")
    try:
        topology = read_topology(TOPOLOGY)
        with LocalCluster.create(unused_name(topology), ports="base", register=True) as cluster:
            screen.say(f"ready: {cluster.url}\ndata:  {cluster.folder} (removed at the end)")
            try:
                verdict = asyncio.run(play(cluster, screen))
            except KvError:
                tell_of_the_dead(cluster, screen)
                raise
            screen.verdict(str(verdict))
            if screen.is_terminal and sys.stdin.isatty():
                offer_shell(cluster)
            return 0 if verdict.is_good else 1
    except KvError as error:
        what, _, more = str(error).partition("\n")
        screen.say(more)
        screen.verdict(f"FAILED: {type(error).__name__}: {what}")
        return 1
    except KeyboardInterrupt:
        screen.verdict("FAILED: interrupted")
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
