#!/usr/bin/env bash
# A Rust library with the runtime inside, in programs written in C: loaded with dlopen, its tasks must be threads, with a
# reason; linked, they may be either. Tasks run and nothing crashes.
#
#   tests/hostile/embedded.sh [CARGO OPTIONS]       --release, --profile release-abort ...
set -euo pipefail
cd "$(dirname "$0")"
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT

library=$(cargo build -p ec-embedded --locked --message-format=json "$@" 2>"$place/said" |
    python3 -c '
import json, sys
for line in sys.stdin:
    message = json.loads(line)
    if message["reason"] == "compiler-artifact" and message["target"]["name"] == "ec_embedded":
        print(message["filenames"][0])') || { cat "$place/said"; exit 1; }
test -s "$library" || { cat "$place/said"; exit 1; }

cc -Wall -Wextra -O2 -o "$place/loads" native/embedder.c -ldl -lpthread
cc -Wall -Wextra -O2 -DLINKED -o "$place/linked" native/embedder.c "$library" -Wl,-rpath,"$(dirname "$library")" -lpthread

passed=0
failed=0
check() {
    local name=$1
    shift
    if timeout -k 5 120 "$@" >"$place/said" 2>&1; then
        passed=$((passed + 1))
        echo "ok $name: $(tr '\n' ' ' <"$place/said")"
    else
        failed=$((failed + 1))
        echo "FAILED $name: exit status $?; it said"
        cat "$place/said"
    fi
}
check loaded_by_a_c_program "$place/loads" "$library"
check linked_to_a_c_program "$place/linked"
check loaded_by_a_c_program_with_dedicated_tasks env EVENT_CHANNEL_OWN_TLS=off "$place/loads" "$library"
echo "$passed passed, $failed failed"
((failed == 0))
