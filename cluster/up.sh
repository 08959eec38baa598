#!/usr/bin/env bash
# Starts three nodes on this machine that stay up until cluster/down.sh. Arguments go to `kvstore local up`:
# cluster/up.sh --keep, cluster/up.sh --file cluster/five.toml
set -euo pipefail

source "$(dirname "${BASH_SOURCE[0]}")/venv.sh"
kvstore_venv run
exec "$kvstore_bin/python" -m kvstore local up --file "$kvstore_root/cluster/three.toml" "$@"
