#!/usr/bin/env bash
# The hostile suite and the tests of ec-tasks with other versions of glibc than the machine's: Debian's packages,
# unpacked in a temporary place and used through their own loader. Tasks must work there, as tasks that migrate or, with
# a reason, as threads. Nothing of the system is changed: apt gets lists and a cache of its own.
#
#   tests/own_glibc.sh [SUITE...]       trixie, sid and bullseye unless named; needs the network
#
# EC_HOSTILE names a directory with a built suite (hostile and its companions); else the release build is made here.
# A package that cannot be had, or a libc that is too old for programs linked here, is a skip and not a failure.
set -euo pipefail

# For itself: the suite's program must give a reason for threads, and work.
if [[ ${1:-} == --threads ]]; then
    why=$("$2" --why 2>/dev/null)
    [[ -n $why ]] || { echo "no reason is given, so tasks migrate"; exit 1; }
    "$2" c_thread_locals_belong_to_their_task
    echo "tasks are threads: $why"
    exit 0
fi

self=$(realpath "$0")
root=$(dirname "$(dirname "$self")")
suites=("$@")
((${#suites[@]})) || suites=(trixie sid bullseye)

skip_all() {
    echo "skipped: $1"
    exit 0
}
[[ $(uname -m) == x86_64 ]] || skip_all "tasks have thread-locals of their own on x86-64 only"
command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || skip_all "no apt here to get libc6 with"
getconf GNU_LIBC_VERSION >/dev/null 2>&1 || skip_all "this machine's own libc is not glibc"

place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
chmod 755 "$place"

# --- Packages: apt with a state of its own for each suite.

# Where this machine itself gets Debian's packages from.
mirror=$({ cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources || true; } 2>/dev/null |
    grep -v '^ *#' | grep -oE 'https?://[^ ]+/debian/?( |$)' | head -n 1 | tr -d ' ')
[[ -n $mirror ]] || skip_all "apt is not set up for Debian's packages here"
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
signed=
[[ -e $keyring ]] && signed="[signed-by=$keyring]"

apt_for() {
    local suite=$1
    shift
    local own=$place/apt/$suite
    mkdir -p "$own/state/lists/partial" "$own/cache/archives/partial"
    echo "deb $signed $mirror $suite main" >"$own/sources.list"
    apt-get -qq -o Dir::Etc::SourceList="$own/sources.list" -o Dir::Etc::SourceParts=/dev/null \
        -o Dir::State="$own/state" -o Dir::State::status=/dev/null -o Dir::Cache="$own/cache" \
        -o APT::Architecture=amd64 -o APT::Sandbox::User=root -o Acquire::Languages=none \
        -o Acquire::Retries=2 "$@"
}

# package SUITE NAME INTO: unpacks it; else says why not and fails.
package() {
    local suite=$1 name=$2 into=$3 said=$place/said
    mkdir -p "$place/packages/$suite" "$into"
    if [[ ! -e $place/apt/$suite/updated ]]; then
        apt_for "$suite" update >"$said" 2>&1 || { tail -n 2 "$said"; return 1; }
        touch "$place/apt/$suite/updated"
    fi
    (cd "$place/packages/$suite" && apt_for "$suite" download "$name") >"$said" 2>&1 || { tail -n 2 "$said"; return 1; }
    dpkg-deb -x "$place/packages/$suite/${name}"_*.deb "$into"
}

patchelf=$(command -v patchelf || true)
if [[ -z $patchelf ]]; then
    why=$(package trixie patchelf "$place/patchelf") || skip_all "no patchelf to be had: $why"
    patchelf=$place/patchelf/usr/bin/patchelf
    # Trixie's may want a newer libc than the machine's.
    if ! "$patchelf" --version >/dev/null 2>&1; then
        codename=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
        why=$(package "${codename:-none}" patchelf "$place/patchelf-here") || skip_all "no patchelf to be had: $why"
        patchelf=$place/patchelf-here/usr/bin/patchelf
    fi
    "$patchelf" --version >/dev/null || skip_all "no patchelf that runs here"
fi

# --- Programs: the suite, and the test programs of ec-tasks.

if [[ -z ${EC_HOSTILE:-} ]]; then
    cd "$root/tests/hostile"
    cargo build --release --locked --quiet
    EC_HOSTILE=${CARGO_TARGET_DIR:-$PWD/target}/release
fi
mapfile -t programs < <(find "$EC_HOSTILE" -maxdepth 1 -type f -executable -name 'hostile*')
((${#programs[@]})) || { echo "there is no hostile in $EC_HOSTILE"; exit 1; }
cd "$root"
mapfile -t tests < <(cargo test -p ec-tasks --locked --no-run --lib --tests --message-format=json 2>/dev/null | python3 -c '
import json, sys
for line in sys.stdin:
    message = json.loads(line)
    if message.get("executable") and message["profile"]["test"]:
        print(message["executable"])')
((${#tests[@]})) || { echo "the tests of ec-tasks were not built"; exit 1; }

# --- One version.

passed=0
failed=0
skipped=0

# verdict NAME SAID COMMAND...: runs it, its output into SAID; prints the verdict and the output's last line, if it failed all.
verdict() {
    local name=$1 said=$2
    shift 2
    # libc's own modules, of the same version as itself.
    if GCONV_PATH=$libraries/gconv timeout -k 10 1200 "$@" >"$said" 2>&1; then
        passed=$((passed + 1))
        grep '^skipped' "$said" || true
        echo "ok $name: $(grep '^test result' "$said" || tail -n 1 "$said")"
    else
        failed=$((failed + 1))
        cat "$said"
        echo "FAILED $name"
    fi
}

try() {
    local suite=$1 at=$place/$1 why loader libraries version program name fact
    if ! why=$(package "$suite" libc6 "$at/root"); then
        skipped=$((skipped + 1))
        echo "skipped $suite: its libc6 cannot be had: $why"
        return
    fi
    loader=$(find "$at/root" -name ld-linux-x86-64.so.2 -not -type d -path '*x86_64*' | head -n 1)
    libraries=$(dirname "$loader")
    version=$("$loader" --library-path "$libraries" "$libraries/libc.so.6" | sed -n '1s/.*version \([0-9.]*[0-9]\).*/\1/p')
    mkdir "$at/programs" "$at/tests"
    cp "${programs[@]}" "$at/programs/"
    cp "${tests[@]}" "$at/tests/"
    for program in "$at"/programs/* "$at"/tests/*; do
        "$patchelf" --set-interpreter "$loader" --force-rpath --set-rpath "$libraries" "$program"
    done
    if ! "$at/programs/hostile" --list >"$at/list" 2>"$at/said"; then
        skipped=$((skipped + 1))
        why=$(head -n 1 "$at/said")
        echo "skipped $suite (glibc $version): programs that are linked here do not start: ${why//$place\//}"
        return
    fi
    why=$("$at/programs/hostile" --why 2>/dev/null)
    echo "glibc $version ($suite): ${why:+tasks are threads: }${why:-tasks migrate}"
    verdict "hostile suite with glibc $version" "$at/said" "$at/programs/hostile"
    if [[ -z $why ]]; then
        # A layout that is not what was measured must be noticed with this version too.
        for fact in $("$at/programs/hostile" --facts 2>/dev/null); do
            verdict "with glibc $version and a wrong $fact" "$at/said" env "EVENT_CHANNEL_OWN_TLS=break:$fact" \
                "$self" --threads "$at/programs/hostile"
        done
    fi
    for program in "$at"/tests/*; do
        name=$(basename "$program")
        verdict "ec-tasks ${name%-*} with glibc $version" "$at/said" "$program"
    done
}

echo "this machine's: $(getconf GNU_LIBC_VERSION)"
for suite in "${suites[@]}"; do
    try "$suite"
done
echo "$passed passed, $failed failed, $skipped skipped"
((failed == 0))
