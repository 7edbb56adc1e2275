#!/usr/bin/env bash
# The hostile suite in every way in which programs are built and tasks can be had:
#
#   debug, release (fat LTO), release-abort (and panic = "abort")
#     × own        tasks that migrate with their thread-locals, if this machine can do it
#     × dedicated  EVENT_CHANNEL_OWN_TLS=off: each task is an OS thread
#   facts          each measured fact falsified: tasks have to become threads, with the reason on stderr
#   embedded       the runtime in a library that a C program loads, or is linked with
#
#   tests/hostile.sh             all of it
#   tests/hostile.sh PROFILE...  only these profiles (debug, release, release-abort)
#   tests/hostile.sh facts       only the falsified facts (with the profile FACTS_PROFILE, by default debug)
#   tests/hostile.sh embedded    only that
set -euo pipefail
cd "$(dirname "$0")/hostile"

target=${CARGO_TARGET_DIR:-$PWD/../../target/hostile}
export CARGO_TARGET_DIR=$target RUST_BACKTRACE=0
programs=(hostile hostile-big hostile-alloc)
passed=0 failed=0 skipped=0
trouble=()
said=$(mktemp)
trap 'rm -f "$said"' EXIT

build() {
    local profile=$1
    [[ $profile == debug ]] && profile=dev
    cargo build --quiet --locked --profile "$profile" --bins
}

# One program, one kind of tasks. Adds up what the program has counted in its last line.
suite() {
    local profile=$1 kind=$2 program=$3 start=$SECONDS status=0 line
    local -a with=(env -u EVENT_CHANNEL_OWN_TLS)
    [[ $kind == dedicated ]] && with=(env EVENT_CHANNEL_OWN_TLS=off)
    "${with[@]}" "$target/$profile/$program" >"$said" || status=$?
    grep -v '^ok ' "$said" | sed '$d' || true
    line=$(tail -n 1 "$said")
    if [[ $line =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed,\ ([0-9]+)\ skipped$ ]]; then
        passed=$((passed + BASH_REMATCH[1]))
        failed=$((failed + BASH_REMATCH[2]))
        skipped=$((skipped + BASH_REMATCH[3]))
    else
        line="no count"
        status=1
    fi
    ((status == 0)) || trouble+=("$program, $profile, $kind: $(names_of_failed)")
    printf '%-14s %-14s %-10s %4d s  %s\n' "$profile" "$program" "$kind" $((SECONDS - start)) "$line"
}

# What the program in $said says of failed checks, in one line.
names_of_failed() {
    sed -n 's/^FAILED \([a-z0-9_]*\):.*/\1/p' "$said" | paste -sd ' '
}

profile() {
    local start=$SECONDS why program
    build "$1"
    echo "$1 built in $((SECONDS - start)) s"
    why=$(env -u EVENT_CHANNEL_OWN_TLS "$target/$1/hostile" --why 2>/dev/null)
    [[ -z $why ]] || echo "tasks do not migrate on this machine, so \"own\" below is dedicated too: $why"
    for program in "${programs[@]}"; do
        suite "$1" own "$program"
        suite "$1" dedicated "$program"
    done
}

# What every fallback has to be able to do; each runs tasks and asserts that they stay on their threads.
after_fallback=(a_task_hops_in_every_way a_borrow_of_a_thread_local_is_held_over_hops)

facts() {
    local profile=${FACTS_PROFILE:-debug} fact check number=0 start=$SECONDS
    build "$profile"
    local program=$target/$profile/hostile
    if [[ -n $(env -u EVENT_CHANNEL_OWN_TLS "$program" --why 2>/dev/null) ]]; then
        echo "skipped: facts to falsify: tasks do not migrate on this machine anyway"
        return
    fi
    while read -r fact; do
        number=$((number + 1))
        export EVENT_CHANNEL_OWN_TLS=break:$fact
        if [[ -z $("$program" --why 2>/dev/null) ]]; then
            fail_fact "$fact" "tasks migrate all the same"
            continue
        fi
        for check in "${after_fallback[@]}"; do
            if ! timeout -k 10 300 "$program" "$check" >"$said" 2>&1; then
                fail_fact "$fact" "$check fails: $(tail -n 3 "$said")"
            elif ! grep -q '^WARN' "$said"; then
                fail_fact "$fact" "no word about the reason on stderr"
            else
                passed=$((passed + 1))
            fi
        done
        echo "break:$fact: $(grep -m 1 '^WARN' "$said" || echo 'said nothing')"
    done < <(env -u EVENT_CHANNEL_OWN_TLS "$program" --facts)
    unset EVENT_CHANNEL_OWN_TLS
    ((number > 0)) || fail_fact none "there are no facts to falsify"
    echo "$number facts falsified in $((SECONDS - start)) s"
}

fail_fact() {
    failed=$((failed + 1))
    trouble+=("break:$1: $2")
}

embedded() {
    local start=$SECONDS status=0 line
    ./embedded.sh --release >"$said" || status=$?
    grep -v '^ok ' "$said" | sed '$d' || true
    line=$(tail -n 1 "$said")
    if [[ $line =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed$ ]]; then
        passed=$((passed + BASH_REMATCH[1]))
        failed=$((failed + BASH_REMATCH[2]))
    fi
    ((status == 0)) || trouble+=("embedded: $line")
    echo "embedded in C programs in $((SECONDS - start)) s: $line"
}

(($# > 0)) || set -- debug release release-abort facts embedded
for what; do
    case $what in
    debug | release | release-abort) profile "$what" ;;
    facts | embedded) "$what" ;;
    *) echo "there is no $what: debug, release, release-abort, facts, embedded" >&2; exit 2 ;;
    esac
done
((${#trouble[@]} == 0)) || printf 'FAILED: %s\n' "${trouble[@]}"
echo "$passed passed, $failed failed, $skipped skipped"
((failed == 0 && ${#trouble[@]} == 0))
