#!/usr/bin/env bash
# What others see of our tasks: valgrind's memcheck finds nothing wrong in tasks of all kinds; gdb, stopped in a
# task, shows its stack and the threads; the disassembly of the switch has no thread-local between the two changes of
# the thread pointer. Prints each check and at the end `N passed, N failed, N skipped`.
#
#   tests/observers.sh              all
#   tests/observers.sh memcheck     or gdb, or switch
set -uo pipefail
cd "$(dirname "$0")/.."

wanted=${1:-memcheck gdb switch}
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
passed=0 failed=0 skipped=0
export RUST_BACKTRACE=0

ok() { echo "ok $1"; passed=$((passed + 1)); }
skip() { echo "skipped $1: $2"; skipped=$((skipped + 1)); }
# Name, reason, and a file to show.
fail() {
    echo "FAILED $1: $2"
    [[ -z ${3:-} ]] || sed 's/^/    /' "$3" | cut -c1-200 | tail -n 80
    failed=$((failed + 1))
}
finish() {
    echo "$passed passed, $failed failed, $skipped skipped"
    ((failed == 0))
    exit
}

# Whether a tool is there, or could be fetched.
have() {
    command -v "$1" >/dev/null && return
    (($(id -u) == 0)) && command -v apt-get >/dev/null || return
    { apt-get update -qq && apt-get install -y -qq "$1"; } >/dev/null 2>&1
    command -v "$1" >/dev/null
}

# Optimised debugging information would blur the frames: this is the ordinary debug build.
if ! program=$(cargo build --locked -p ec-observed --message-format=json 2>"$place/built" |
    sed -n 's/.*"executable":"\([^"]*ec-observed\)".*/\1/p' | tail -n 1) || [[ -z $program ]]; then
    fail "build of ec-observed" "cargo" "$place/built"
    finish
fi
module=()
if ${CC:-cc} -shared -fPIC -O1 -g -o "$place/module.so" tests/observed/module.c 2>"$place/built"; then
    module=("$place/module.so")
else
    skip "a library's thread-locals" "the C compiler does not make a shared library: $(head -n 1 "$place/built")"
fi

# valgrind runs one thread at a time; --fair-sched lets each have its turn. It does not know what the kernel writes into
# io_uring's rings, so the channel uses epoll. What is still reachable at the end is kept on purpose: stacks for the
# next tasks.
under_memcheck() {
    EVENT_CHANNEL_DRIVER=epoll timeout 150 valgrind --quiet --fair-sched=yes --error-exitcode=99 --leak-check=full \
        --errors-for-leak-kinds=definite --show-leak-kinds=definite --num-callers=24 --log-file="$place/valgrind" \
        "$program" "$@" >"$place/said" 2>&1
}

memcheck() {
    local name=$1 status
    shift
    under_memcheck scenes "${module[@]}"
    status=$?
    grep '^tasks of' "$place/said"
    if grep -q 'client switching stacks' "$place/valgrind"; then
        fail "$name" "valgrind does not know the tasks' stacks" "$place/valgrind"
    elif ((status == 99)); then
        fail "$name" "valgrind has found errors" "$place/valgrind"
    elif ((status != 0)); then
        fail "$name" "the program ended with $status" "$place/said"
    elif (($(grep -c '^scene right' "$place/said") != 6 + ${#module[@]})); then
        fail "$name" "scenes are missing" "$place/said"
    else
        ok "$name ($(grep -c '^scene right' "$place/said") scenes)"
    fi
}

check_memcheck() {
    if ! have valgrind; then
        skip memcheck "valgrind is not here and cannot be installed"
        return
    fi
    valgrind --version
    # First that it looks at all: an uninitialised read and a lost block inside a task.
    under_memcheck planted
    if (($? == 99)) && grep -q 'uninitialised' "$place/valgrind" && grep -q 'definitely lost' "$place/valgrind"; then
        ok "memcheck sees what is wrong in a task"
    else
        fail "memcheck sees what is wrong in a task" "the planted errors were not found" "$place/valgrind"
    fi
    memcheck "memcheck: own, lean and dedicated tasks"
    EVENT_CHANNEL_OWN_TLS=off memcheck "memcheck: with tasks that are threads"
}

# Whether gdb's words have a line that matches.
expect() {
    if grep -Eq -- "$2" "$place/gdb"; then
        ok "gdb: $1"
    else
        fail "gdb: $1" "no line like $2" "$place/gdb"
    fi
}

check_gdb() {
    if ! have gdb; then
        skip gdb "gdb is not here and cannot be installed"
        return
    fi
    gdb --version | head -n 1
    cat >"$place/commands" <<'COMMANDS'
set pagination off
set confirm off
set breakpoint pending off
set print thread-events off
break observed_here
run
echo --- the stack\n
backtrace
echo --- the caller's variables\n
up
info locals
echo --- the threads\n
info threads
thread apply all backtrace 3
echo --- on\n
delete
continue
COMMANDS
    timeout 100 gdb --quiet --batch --nx --command="$place/commands" --args "$program" stop >"$place/gdb" 2>&1
    local status=$?
    if grep -Eq 'ptrace: Operation not permitted|Could not trace the inferior|Cannot PTRACE|during startup program' "$place/gdb"; then
        skip gdb "this machine does not allow it: $(grep -Em1 'ptrace|trace|startup' "$place/gdb")"
        return
    fi
    ((status == 0)) || fail "gdb ends well" "status $status" "$place/gdb"
    expect "stops in a task" '^#0 .*observed_here \(number=42\)'
    expect "shows the callers with their arguments" '^#1 .*observed_inner \(number=21\)'
    expect "all of them" '^#2 .*observed_outer \(number=20\)'
    expect "down to the closure" '^#3 .*watched::stop::'
    expect "and the task's entry" '^#[0-9]+ .*ec_tasks::life::run::live'
    expect "shows a frame's variables" '^local = 42'
    expect "marks the worker that runs the task" '^\* [0-9]+ +Thread .*ec-worker-[0-9]+.*observed_here'
    expect "lists the other threads" '^  1 +Thread .*ec-observed'
    expect "lets the program go on to its end" 'exited normally'
    local complaint='corrupt stack|Backtrace stopped|[Cc]annot find (new )?threads|unable to|internal-error|Cannot access memory'
    # What gdb cannot read of std's own frames, in any program, is marked so.
    if grep -E "$complaint" "$place/gdb" | grep -vq 'error reading variable'; then
        fail "gdb: has nothing to complain of" "$(grep -E "$complaint" "$place/gdb" | head -n 1)" "$place/gdb"
    else
        ok "gdb: has nothing to complain of"
    fi
}

# What the compiler made of `Runnable::run_noting`: each write of FS, and whatever else names that register.
check_switch() {
    local name="switch: no thread-local between the changes of the thread pointer" server
    if [[ $(uname -m) != x86_64 ]] || ! command -v objdump >/dev/null; then
        skip switch "needs x86-64 and objdump"
        return
    fi
    server=$(cargo build --release --locked --example port7 --message-format=json 2>"$place/built" |
        sed -n 's/.*"executable":"\([^"]*port7\)".*/\1/p' | tail -n 1)
    if [[ -z $server ]]; then
        fail "$name" "the build" "$place/built"
        return
    fi
    objdump -d --no-show-raw-insn -C "$server" |
        awk '/<ec_tasks::.*Runnable>?::run_noting>:$/ { inside = 1 } inside { print } /^$/ { inside = 0 }' >"$place/run"
    # In the order of the addresses: the code in between is what runs in between, but for the calls that
    # switch stacks, which are indirect or to corosensei.
    awk '/wrfsbase/ { writes++; next } writes == 1 && /%fs:/ { bad = 1 } END { exit !(writes == 2 && !bad) }' "$place/run" &&
        ok "$name" || fail "$name" "two writes and nothing between" "$place/run"
}

for what in $wanted; do
    case $what in
    memcheck) check_memcheck ;;
    gdb) check_gdb ;;
    switch) check_switch ;;
    *)
        echo "usage: tests/observers.sh [memcheck|gdb|switch]" >&2
        exit 2
        ;;
    esac
done
finish
