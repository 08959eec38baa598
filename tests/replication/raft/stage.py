"""The stage of the Raft scripts: the laboratory with a vocabulary, and a narrator who tells what each step decided.

cluster 3 [SETTING=VALUE …]   nodes n1 n2 n3 (must come first); preferred=n1 is possible too
campaign n1                   nobody has heard a leader for a while, and n1 loses its patience
elect n1                      … and wins, told in one line
deliver [n1 …]                what is under way now (to these nodes); settle: until nobody has more to say
drop [n1 …]   repeat          lose what is under way (to these nodes); repeat: deliver it, and keep it to come again
mail                          what is under way
propose n1 a b   read n1 7    transfer n1 [n2]   compact n1 [INDEX]   damage n1
cut n1 | n2 n3   cut n1 > n2  heal               both ways, or one way only
crash n1   restart n1         wipe n1            wipe: the disk is lost, n1 comes back as a stranger
hold n1   sync n1 [COUNT]     release n1         keep its disk from syncing; let it; let it again as it likes
down n1 n2   up n1 n2 [restarted]                n1 is told that node n2 is down, or up
alarm n1   pass 100   run 500                    its clock goes off; time passes; … and mail flows (told briefly)
status   followers n1   log n1
"""

from collections.abc import Callable

from kvstore.core.entries import Entry
from kvstore.core.ids import Index, Millis, NodeId
from kvstore.replication.raft.effects import Damaged, Effects, Event, PeerDown, PeerUp, TransferLeadership
from kvstore.replication.raft.messages import (
    AppendReply,
    AppendRequest,
    Heartbeat,
    HeartbeatReply,
    Message,
    RecoveryQuery,
    RecoveryReply,
    SnapshotChunk,
    SnapshotReply,
    TermQuery,
    TermReply,
    TimeoutNow,
    VoteReply,
    VoteRequest,
)
from kvstore.replication.raft.settings import RaftSettings
from tests.lab import Lab, Letter, Node
from tests.replication.raft.laws import Laws


def span(entries: list[Entry] | tuple[Entry, ...]) -> str:
    """Entries in a word: 3@1 or 3@1…5@2."""
    if not entries:
        return "nothing"
    first, last = entries[0], entries[-1]
    return f"{first.index}@{first.term}" + (f"…{last.index}@{last.term}" if len(entries) > 1 else "")


def words(*pairs: tuple[bool, str]) -> str:
    """The words whose condition holds."""
    return "".join(f" {word}" for holds, word in pairs if holds)


def tell(message: Message) -> str:
    """A message as a person would say it. Instants are left out: they differ by nothing that matters."""
    match message:
        case VoteRequest(term=term, log_end=end, pre=pre, transfer=transfer):
            return f"asks for a {'pre-vote' if pre else 'vote'} in term {term}, log {end}" + words(
                (transfer, "handover")
            )
        case VoteReply(term=term, granted=granted, pre=pre):
            return f"{'grants' if granted else 'refuses'} the {'pre-vote' if pre else 'vote'}, term {term}"
        case AppendRequest(term=term, previous=previous, entries=entries, commit=commit, echo=echo):
            fresh = words((echo is not None, "fresh"))
            return f"appends {span(entries)} after {previous}, term {term} commit {commit}{fresh}"
        case AppendReply(rejected=1, sent_at=0, match=0):
            return f"is in a later term, {message.term}"
        case AppendReply(rejected=0):
            return f"has up to {message.match}, term {message.term}" + _condition(message)
        case AppendReply():
            return f"rejects: lacks {message.rejected}, try {message.hint}, term {message.term}" + _condition(message)
        case Heartbeat(term=term, commit=commit, sent=sent, context=context, quiesce=quiesce, echo=echo):
            said = words((context > 0, f"round {context}"), (quiesce, "be quiet?"), (echo is not None, "fresh"))
            return f"leads term {term}, commit {commit} sent {sent}{said}"
        case HeartbeatReply(term=term, received=received, persisted=persisted, context=context):
            said = words(
                (context > 0, f"round {context}"), (message.missing, "missing some"), (message.quiesced, "quiet")
            )
            return f"follows term {term}, has {received} on disk {persisted}{said}" + _condition(message)
        case TimeoutNow(term=term):
            return f"hands over, term {term}"
        case SnapshotChunk(mark=mark, cursor=cursor, next_cursor=next_cursor, done=done):
            part = f"{cursor.decode() or 0} to {next_cursor.decode()}"
            return f"sends image {mark} part {part}" + words((done, "the last"))
        case SnapshotReply(mark=mark, cursor=cursor, done=done):
            return f"image {mark}: " + ("has it all" if done else f"go on at {cursor.decode() or 0}")
        case TermQuery():
            return "asks for the term"
        case TermReply(term=term):
            return f"is in term {term}"
        case RecoveryQuery(term=term):
            return f"asks how far it must be, term {term}"
        case RecoveryReply(term=term, commit=commit):
            return f"says up to {commit}, term {term}"


def _condition(reply: AppendReply | HeartbeatReply) -> str:
    return words((reply.recovering, "recovering"), (reply.needs_image is not None, "needs an image"))


class Narrator(Laws):
    """Tells what each step decided, and objects to a broken law."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.brief = False
        self.known: dict[NodeId, str] = {}

    def stepped(self, lab: Lab, node: Node, event: Event, effects: Effects) -> None:
        super().stepped(lab, node, event, effects)
        replica = node.alive
        role = f"{replica.role.value} in term {replica.term}"
        if replica.leader is not None and not replica.is_leader:
            role += f", follows {replica.leader}"
        role += words((replica.quiesced, "(quiet)"), (replica.recovery is not None, "(recovering)"))
        if self.known.get(node.name) != role:
            self.known[node.name] = role
            self.lines.append(f"  {node.name} is {role}")
        self.lines += [f"  {node.name} {line}" for line in self._decided(effects)]

    def _decided(self, effects: Effects) -> list[str]:
        said: list[str] = []
        if effects.standing is not None:
            said.append(f"is a {effects.standing.name.lower()} again")
        if not self.brief:
            if effects.ballot is not None:
                said.append(f"votes {effects.ballot.voted_for or 'for nobody yet'} in term {effects.ballot.term}")
            if effects.truncate_from is not None:
                said.append(f"deletes from {effects.truncate_from} on")
            if effects.append:
                said.append(f"writes {span(effects.append)}")
        if effects.install is not None:
            said.append(f"installs the image {effects.install}")
        if effects.committed:
            said.append(f"commits {span(effects.committed)}")
        if effects.refused:
            said.append("refuses the proposal" + (": overloaded" if effects.overloaded else ""))
        said += [f"answers read {context} at {index}" for context, index in effects.reads_ready]
        said += [f"cannot answer read {context}" for context in effects.reads_failed]
        return said


class Stage:
    """Carries out commands."""

    def __init__(self) -> None:
        self.narrator = Narrator()
        self._lab: Lab | None = None
        self.delayed: list[Letter] = []

    @property
    def lab(self) -> Lab:
        assert self._lab is not None, "a script begins with `cluster`"
        return self._lab

    def do(self, command: str) -> list[str]:
        verb, *arguments = command.split()
        action: Callable[..., None] = getattr(self, f"do_{verb}")
        action(*arguments)
        lines, self.narrator.lines = self.narrator.lines, []
        return lines

    def say(self, line: str) -> None:
        self.narrator.lines.append(line)

    # --- beginnings and ends ---

    def do_cluster(self, count: str, *options: str) -> None:
        chosen = dict(option.split("=") for option in options)
        preferred = chosen.pop("preferred", None)
        settings = RaftSettings(**{name: Millis(int(value)) for name, value in chosen.items()})  # type: ignore[arg-type]
        names = [f"n{number}" for number in range(1, int(count) + 1)]
        self._lab = Lab(names, settings=settings, preferred=preferred, watch=self.narrator)
        if len(names) > 1:
            self.narrator.lines.clear()  # they are followers, of course

    def do_crash(self, name: str) -> None:
        self.lab.crash(name)

    def do_restart(self, name: str) -> None:
        if self.lab.nodes[NodeId(name)].replica is not None:
            self.lab.crash(name)
        self.narrator.known.pop(NodeId(name), None)
        self.lab.start(name)

    def do_wipe(self, name: str) -> None:
        self.narrator.disk_lost(NodeId(name))
        self.lab.wipe(name)

    # --- time ---

    def do_campaign(self, name: str) -> None:
        self.lab.now += self.lab.settings.election_timeout_ms_min
        self.do_alarm(name)

    def do_alarm(self, name: str) -> None:
        node = self.lab.nodes[NodeId(name)]
        if node.alive.wake_at is None:
            self.say(f"  {name} has stopped its clock")
            return
        node.clock_offset += max(0, node.alive.wake_at - self.lab.clock(node))
        self.lab.pass_time_of(node)

    def do_elect(self, name: str) -> None:
        self.do_campaign(name)
        self.lab.settle()
        self.narrator.lines.clear()
        self.say(f"  {self.lab[name]}")

    def do_pass(self, ms: str) -> None:
        self.lab.pass_time(int(ms))

    def do_run(self, ms: str) -> None:
        self.narrator.brief = True
        self.lab.run(int(ms))
        self.narrator.brief = False

    # --- mail ---

    def _chosen(self, names: tuple[str, ...]) -> list[Letter]:
        return [letter for letter in self.lab.mail if not names or letter.to in names]

    def do_deliver(self, *names: str) -> None:
        for letter in self._chosen(names):
            self._deliver(letter)

    def _deliver(self, letter: Letter) -> None:
        line = f"{letter.sender} → {letter.to}: {tell(letter.message)}"
        lost = (letter.sender, letter.to) in self.lab.cuts or self.lab.nodes[letter.to].replica is None
        self.say(f"{line}  (lost)" if lost else line)
        self.lab.deliver(letter)

    def do_settle(self) -> None:
        while self.lab.mail:
            self._deliver(self.lab.mail[0])

    def do_drop(self, *names: str) -> None:
        for letter in self._chosen(names):
            self.say(f"{letter.sender} → {letter.to}: {tell(letter.message)}  (lost)")
            self.lab.mail.remove(letter)

    def do_repeat(self) -> None:
        copies = [Letter(letter.sender, letter.to, letter.message) for letter in self.lab.mail]
        self.do_deliver()
        self.lab.mail += copies

    def do_delay(self) -> None:
        self.delayed += self.lab.mail
        self.lab.mail.clear()

    def do_arrive(self) -> None:
        self.lab.mail += self.delayed
        self.delayed.clear()

    def do_mail(self) -> None:
        for letter in self.lab.mail:
            self.say(f"{letter.sender} → {letter.to}: {tell(letter.message)}")

    def do_cut(self, *sides: str) -> None:
        if ">" in sides:
            self.lab.cuts.add((NodeId(sides[0]), NodeId(sides[2])))
            return
        here, there = " ".join(sides).split("|")
        self.lab.cut(here.split(), there.split())

    def do_heal(self) -> None:
        self.lab.heal()

    # --- wishes ---

    def do_propose(self, name: str, *payloads: str) -> None:
        self.lab.propose(name, *payloads)

    def do_read(self, name: str, context: str) -> None:
        self.lab.read(name, int(context))

    def do_transfer(self, name: str, to: str | None = None) -> None:
        self.lab.step(name, TransferLeadership(NodeId(to) if to else None))

    def do_compact(self, name: str, upto: str = "0") -> None:
        self.lab.compact(name, Index(int(upto)) or None)
        self.say(f"  {self.lab[name]}")

    def do_damage(self, name: str) -> None:
        self.lab.step(name, Damaged())

    def do_down(self, name: str, peer: str) -> None:
        self.lab.step(name, PeerDown(NodeId(peer)))

    def do_up(self, name: str, peer: str, restarted: str = "") -> None:
        self.lab.step(name, PeerUp(NodeId(peer), restarted=restarted == "restarted"))

    # --- disks ---

    def do_hold(self, name: str) -> None:
        self.lab.nodes[NodeId(name)].holds_disk = True

    def do_sync(self, name: str, count: str | None = None) -> None:
        self.lab.sync(name, int(count) if count else None)

    def do_release(self, name: str) -> None:
        self.lab.nodes[NodeId(name)].holds_disk = False
        self.lab.sync(name)

    # --- looking ---

    def do_status(self) -> None:
        for node in self.lab.nodes.values():
            self.say(f"  {node.replica or f'{node.name} is down'}")

    def do_followers(self, name: str) -> None:
        for peer in self.lab[name].followers():
            state = words((peer.recovering, "recovering"), (peer.down, "down"))
            window = f" inflight {peer.inflight}" if peer.inflight else ""
            self.say(f"  {peer.peer} {peer.pace} match {peer.match} next {peer.next}{window}{state}")

    def do_log(self, name: str) -> None:
        replica = self.lab[name]
        entries = [f"{entry.index}@{entry.term}:{entry.payload.decode() or '-'}" for entry in replica.log.entries]
        self.say(f"  {name} after {replica.log_start}: " + (" ".join(entries) or "nothing"))
