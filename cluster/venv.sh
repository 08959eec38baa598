# Sourced by cluster/*.sh and tests/run.sh: makes .venv in the checkout and installs kvstore into it when needed.
#
#     source "$root/cluster/venv.sh"
#     kvstore_venv run      # what a node, a client and the shell need
#     kvstore_venv dev      # that and the tools of tests/run.sh
#
# Afterwards $kvstore_root is the checkout and $kvstore_bin the folder of its python. Needs bash and Python 3.11 or
# later, nothing else. What was installed is written to .venv/kvstore-stamp as the very last step; a run that was
# interrupted half-way leaves .venv/kvstore-installing behind, and the next one starts afresh. A second script waits for
# the first where the system has flock.

kvstore_root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
kvstore_bin="$kvstore_root/.venv/bin"

kvstore_venv() {
    local kind="${1:-run}" lock=""
    if _kvstore_is_fresh "$kind"; then
        return 0
    fi
    if command -v flock >/dev/null 2>&1; then
        exec {lock}>"$kvstore_root/.venv.lock"
        flock "$lock"
    fi
    local status=0
    if ! _kvstore_is_fresh "$kind"; then  # again: another script may have done it while we waited
        _kvstore_install "$kind" || status=$?
    fi
    if [ -n "$lock" ]; then
        exec {lock}>&-
    fi
    return "$status"
}

# What a complete .venv of this kind is made from. A changed pyproject.toml and a moved checkout both change it.
_kvstore_stamp() {
    printf 'kind %s\nroot %s\n' "$1" "$kvstore_root"
    cat "$kvstore_root/pyproject.toml"
}

_kvstore_is_fresh() {
    local stamp="$kvstore_root/.venv/kvstore-stamp" kind
    [ -f "$stamp" ] && "$kvstore_bin/python" -c '' 2>/dev/null || return 1
    for kind in "$1" dev; do  # an environment for tests serves everything
        if [ "$(cat "$stamp")" = "$(_kvstore_stamp "$kind")" ]; then
            return 0
        fi
    done
    return 1
}

_kvstore_install() {
    local kind="$1" what="." python
    local stamp="$kvstore_root/.venv/kvstore-stamp"
    if [ "$kind" = dev ] || grep -qsx 'kind dev' "$stamp"; then  # never step back from dev to run
        kind=dev what=".[dev]"
    fi
    rm -f "$stamp"
    if ! _kvstore_python_works; then
        python="$(_kvstore_find_python)" || return 1
        echo "making .venv with $("$python" --version 2>&1) ..." >&2
        rm -rf "$kvstore_root/.venv"
        "$python" -m venv "$kvstore_root/.venv" || return 1
    fi
    echo "installing kvstore and what it needs into .venv ..." >&2
    local installing="$kvstore_root/.venv/kvstore-installing" status=0
    : >"$installing"
    (cd "$kvstore_root" && PIP_DISABLE_PIP_VERSION_CHECK=1 "$kvstore_bin/python" -m pip install -qq -e "$what") || status=$?
    rm -f "$installing"
    if [ "$status" -ne 0 ]; then
        echo "could not install into $kvstore_root/.venv: pip's message is above. Run the script again to retry." >&2
        return 1
    fi
    _kvstore_stamp "$kind" >"$stamp.new" && mv "$stamp.new" "$stamp"
}

# A .venv whose python starts, has pip, was made in this place (a copied one has scripts that point elsewhere), and in
# which pip was not killed at work: half a package is worse than none.
_kvstore_python_works() {
    [ -x "$kvstore_bin/python" ] && [ ! -e "$kvstore_root/.venv/kvstore-installing" ] || return 1
    grep -qsF "$kvstore_root/.venv" "$kvstore_bin/activate" || return 1
    "$kvstore_bin/python" -c 'import sys, pip._internal.cli.main; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

# Python 3.11 first, because it is what the project is tested with; else any later one that can make environments.
_kvstore_find_python() {
    local name seen=""
    for name in python3.11 python3 python3.12 python3.13 python3.14 python3.15 python; do
        command -v "$name" >/dev/null 2>&1 || continue
        seen="$seen $name"
        if "$name" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$name"
            return 0
        fi
    done
    {
        echo "kvstore needs Python 3.11 or later with its venv module, and found none."
        echo "Tried:${seen:- nothing called python}. On Debian or Ubuntu: apt install python3.11 python3.11-venv"
    } >&2
    return 1
}
