#!/usr/bin/env bash
# Tasks that do everything at random, above all block their threads, on each driver; see soak/src/main.rs.
#
#   tests/soak.sh                   a minute, half of it on each driver
#   tests/soak.sh SECONDS [ARG...]  so long; the rest goes to the program: seed=1 verbose=1
#
# Prints the seed first and what was done at the end. Fails if anything was wrong; a driver that this machine refuses is
# skipped.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:-60}
[[ $seconds =~ ^[1-9][0-9]*$ ]] || { echo "tests/soak.sh: $seconds is no number of seconds" >&2; exit 2; }
each=$(((seconds + 1) / 2))
trouble=()

cargo build --quiet --release --locked -p ec-soak
program=${CARGO_TARGET_DIR:-target}/release/ec-soak

for driver in io_uring epoll; do
    status=0
    # A hang ends the program itself; the limit is for one that cannot even do that. Panics that are meant are not shown.
    EVENT_CHANNEL_DRIVER=$driver timeout -k 10 $((2 * each + 120)) "$program" "seconds=$each" "${@:2}" \
        2> >(grep -a -v "^task 'planned' " >&2) || status=$?
    ((status == 0 || status == 77)) || trouble+=("$driver: exit code $status")
done
if ((${#trouble[@]})); then
    printf 'soak: %s\n' "${trouble[@]}" >&2
    exit 1
fi
