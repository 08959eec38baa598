"""The verbs, by what they are about. Each module ends in COMMANDS: the definitions that the registry is made of."""
