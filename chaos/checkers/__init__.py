"""Judges of histories, each one pure: operations and models in, a verdict out.

`linearizable`  every operation seems to happen at one instant between its invocation and its return
`durable`       every acknowledged write, or a later one, is in the final state
`convergent`    after healing, all replicas of a partition hold the same

and of leaderless keys, by what each write's client had seen (`chaos.workloads.causal_register`):

`siblings`      what is seen together is concurrent, and was written
`kept`          the final state holds every acknowledged write, or what replaced it; nothing deleted returns
`regular`       strict quorum reads with R + W > N are fresh, and never go back

`linearizable` is the door to several rooms: `model` (what an object is), `timeline` (a history cut at its returns),
`lineage`, `foresight` and `zones` (what the rest of a history says before any search), `search`, and `story` (why not).

A verdict is `valid`, `invalid` or `unknown`. A checker that cannot finish within its budget says unknown and why; it
never guesses, and above all never calls a correct history invalid.
"""
