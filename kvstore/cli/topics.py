"""Help pages on what is not one command."""

TOPICS = {
    "quoting": r"""
Words in the shell

  put user:1 Ada                    a bare word ends at a blank; quotes inside it are ordinary (it's)
  put user:1 'Ada Lovelace'         '…' stands as it is
  put user:1 "one\ntwo\x00"         "…" knows \n \t \r \0 \" \\ and \xHH for any byte
  put user:1 {"name": "Ada"}        a word that begins with { or [ goes to the matching bracket
  put user:1 @photo.jpg             the bytes of a file; '@photo' in quotes is the text
  put note <<END                    the lines up to one that says END
  get user:1 | jq .name             the raw reply goes to a command of the system's shell
  3 get user:1                      three times

An open quote, bracket or block continues on the next line; Ctrl-C drops it. On the command line your own shell does the
quoting; there a value of - is standard input, @FILE a file, and @@x the text @x.
""",
    "options": """
Options of every verb may stand before or after it; each has an environment variable, and the option wins.
Where to connect is decided by: -c, KVSTORE_CLUSTER, KVSTORE_URL, ~/.config/kvstore/config.toml, a local cluster that is
running, kv://127.0.0.1:7401. See: kvstore --help
""",
    "levels": """
How fresh a read is, and how safe a write (in the shell also: \\cl)

In a keyspace with a leader
  --consistency linearizable   the latest acknowledged value (default)
                leader         what the node that believes to lead has
                follower       what any replica has, however old
  --acks        majority       of the replicas have it on disk (default, unless the keyspace says otherwise)
                all, leader    all of them; the leader alone

In a leaderless keyspace, where any replica takes reads and writes
  --read        one, quorum, all, or a number: so many replicas answer a read
  --write       the same: so many have a write on disk
  --sloppy      yes: hints, kept for replicas that are down, count as well
Without these the keyspace's own R and W hold. While R + W is more than N a read finds every acknowledged write. Values
that were written at the same time stay as siblings: see help siblings, help resolve. A level of the other kind of
keyspace is refused.
""",
    "formats": r"""
Output formats (-o)

  table   for people: aligned columns, colours, times; the default on a terminal
  raw     for pipes: the value as it is, or tab-separated lines with \t \n \\ \xHH; the default in a pipe
  json    one document; a key or value that is not UTF-8 is {"b64": "…"}
  jsonl   one JSON object a line
  csv     a header, then rows; a cell that is not UTF-8 is {"b64":"…"}

get --raw writes the bytes of one value and nothing else. Import and export use jsonl or csv as above, so every key and
value comes back as it was.
""",
    "exit-codes": """
Exit codes

  0    done
  1    refused or failed by the server; or a check found something (repair --check, scrub, verify)
  2    wrong usage
  3    key not found (get and del of one key)
  4    a precondition failed, or unresolved siblings
  5    cluster not available, quorum not met, or status is not healthy
  6    deadline passed; a write may have happened
  7    transaction aborted by a conflict
  8    no node could be reached
  130  Ctrl-C
""",
    "shell": r"""
The shell (kvstore, or kvstore shell)

  Verbs are those of the command line, in upper or lower case, and backslash commands: \? lists them all.
  Tab completes verbs, options, keyspaces, nodes and keys seen lately. The line at the bottom shows the syntax of what
  is being typed and the health of the cluster. A line that begins with a space is not kept in the history.
  Ctrl-C clears the line, Ctrl-D or \q leaves. `kvstore shell -e CMD`, `-f FILE` and a pipe into `kvstore shell` run
  commands without a prompt; the exit code is that of the last command that failed.
""",
}
