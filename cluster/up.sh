#!/usr/bin/env bash
# Starts nodes on this machine that stay up until cluster/down.sh: the three of cluster/three.toml, unless told otherwise.
# Arguments go to `kvstore local up`: cluster/up.sh --keep, cluster/up.sh -n 5, cluster/up.sh --file cluster/five.toml
set -euo pipefail

source "$(dirname "${BASH_SOURCE[0]}")/venv.sh"
kvstore_venv run
nodes=(--file "$kvstore_root/cluster/three.toml")
for word in "$@"; do
    case "$word" in
        -n* | --nodes | --nodes=* | --file | --file=*) nodes=() ;;
    esac
done
exec "$kvstore_bin/python" -m kvstore local up ${nodes[@]+"${nodes[@]}"} "$@"
