#!/usr/bin/env bash
# Ends what cluster/up.sh started. Arguments go to `kvstore local down`.
set -euo pipefail

source "$(dirname "${BASH_SOURCE[0]}")/venv.sh"
kvstore_venv run
exec "$kvstore_bin/python" -m kvstore local down "$@"
