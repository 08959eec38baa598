#!/usr/bin/env bash
# Real nodes, real data, real faults, one verdict, about a minute: makes .venv, then see cluster/demo.py. Exit status 0
# if nothing was lost, 1 if something was. Without a terminal it asks nothing.
set -euo pipefail

source "$(dirname "${BASH_SOURCE[0]}")/venv.sh"
kvstore_venv run
cd "$kvstore_root"
exec "$kvstore_bin/python" -m cluster.demo "$@"
