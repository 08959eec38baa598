#!/usr/bin/env bash
# Everything that must be green: formatting, lint, types, all tests. Arguments go to pytest: tests/run.sh -k raft
# Needs bash and Python 3.11 or later. A failed check does not stop the tests, it makes the exit status 1 and is named
# above pytest's closing line, which is always the last line printed.
set -uo pipefail

source "$(dirname "${BASH_SOURCE[0]}")/../cluster/venv.sh"
cd "$kvstore_root" || exit 1
kvstore_venv dev || exit 1

failed=""
check() {
    local name="$1"
    shift
    echo "== $name"
    "$@" || failed="${failed:+$failed, }$name"
}

check "ruff format" "$kvstore_bin/python" -m ruff format --check .
check "ruff check" "$kvstore_bin/python" -m ruff check .
check "mypy --strict" "$kvstore_bin/python" -m mypy

echo "== pytest"
KVSTORE_FAILED_CHECKS="$failed" "$kvstore_bin/python" -m pytest -n 2 "$@"
status=$?
if [ "$status" -eq 0 ] && [ -n "$failed" ]; then
    status=1
fi
exit "$status"
