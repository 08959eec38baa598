"""After healing, and when all has been delivered, every replica of a partition holds the same."""

from collections.abc import Hashable, Mapping

from chaos.checkers.verdict import Verdict, judged


def check(digests: Mapping[Hashable, Mapping[str, Hashable]]) -> Verdict:
    """Judge digests by partition and node. A partition without replicas is a finding too: nothing was compared."""
    findings = []
    for partition, replicas in digests.items():
        groups: dict[Hashable, list[str]] = {}
        for node, digest in sorted(replicas.items()):
            groups.setdefault(digest, []).append(node)
        if not groups:
            findings.append(f"partition {partition}: no replica was asked")
        elif len(groups) > 1:
            camps = " and ".join(f"{', '.join(nodes)} ({_short(digest)})" for digest, nodes in groups.items())
            findings.append(f"partition {partition}: replicas differ: {camps}")
    return judged(tuple(findings))


def _short(digest: Hashable) -> str:
    text = digest.hex() if isinstance(digest, bytes) else str(digest)
    return text if len(text) <= 12 else f"{text[:12]}…"
