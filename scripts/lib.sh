# Shell functions shared by the project's scripts; source it from bash.
# shellcheck shell=bash

REPO=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
LOGS=$REPO/build/logs

die() {
    printf '%s\n' "$@" >&2
    exit 1
}

# as_root COMMAND... : runs it as root, through sudo where we are not root already.
as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    else
        sudo "$@"
    fi
}

# Asks for sudo's password now, while nothing runs in the background; dies when there is no way.
need_root() {
    [ "$(id -u)" = 0 ] && return
    command -v sudo >/dev/null 2>&1 ||
        die "$1" "Neither root nor sudo is here: run the command above as root, then try again."
    sudo -n true 2>/dev/null || sudo -v || die "$1" "sudo refused: run the command above as root."
}

# step TEXT COMMAND... : runs the command with one progress line in place of its output, which goes
# to a log that is shown when the command fails. Returns the command's status.
step() {
    local text=$1 log started next_line=15 status=0
    shift
    log=$LOGS/$(printf '%s' "$text" | tr -cs 'A-Za-z0-9' '-').log
    mkdir -p "$LOGS"
    started=$SECONDS
    # A process group of its own: an interrupt then ends it and all that it has started.
    set -m
    "$@" </dev/null >"$log" 2>&1 &
    local pid=$!
    set +m
    # shellcheck disable=SC2064 # the pid of now is meant
    trap "kill -TERM -- -$pid 2>/dev/null; wait $pid 2>/dev/null || true; exit 130" INT TERM
    while kill -0 "$pid" 2>/dev/null; do
        if [ -t 1 ]; then
            printf '\r\033[K%s ... %d s  %s' "$text" $((SECONDS - started)) "$(last_progress "$log")"
        elif [ $((SECONDS - started)) -ge "$next_line" ]; then
            printf '%s ... %d s  %s\n' "$text" $((SECONDS - started)) "$(last_progress "$log")"
            next_line=$((next_line + 15))
        fi
        sleep 0.2
    done
    wait "$pid" || status=$?
    trap - INT TERM
    [ -t 1 ] && printf '\r\033[K'
    if [ $status = 0 ]; then
        printf '%s ... done, %d s\n' "$text" $((SECONDS - started))
    else
        printf '%s ... FAILED after %d s\n' "$text" $((SECONDS - started))
        tail -n 60 "$log" >&2
        printf 'The whole log: %s\n' "$log" >&2
    fi
    return $status
}

# The last line of a log, short enough not to wrap: Ninja's "[12/80] Building ..." for example.
last_progress() {
    tail -c 400 "$1" | tr '\r' '\n' | grep -v '^[[:space:]]*$' | tail -n 1 | cut -c 1-60
}

# build PRESET [TARGET...] : configures and builds it below build/PRESET.
build() {
    local preset=$1
    shift
    step "Configuring $preset" cmake -S "$REPO" --preset "$preset" || return
    step "Building $preset" cmake --build "$REPO/build/$preset" ${1:+--target "$@"}
}
