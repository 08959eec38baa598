"""Judges of histories, each one pure: operations and models in, a verdict out.

`linearizable`  every operation seems to happen at one instant between its invocation and its return
`durable`       every acknowledged write, or a later one, is in the final state
`convergent`    after healing, all replicas of a partition hold the same

A verdict is `valid`, `invalid` or `unknown`. A checker that cannot finish within its budget says unknown and why; it
never guesses, and above all never calls a correct history invalid.
"""
