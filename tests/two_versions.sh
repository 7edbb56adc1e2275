#!/usr/bin/env bash
# Two versions of event-channel in one program must fail at build time, with a reason: each would
# believe that it owns the program's threads. Cargo's `links` key does it; this shows that it works.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT

for version in one two; do
    mkdir "$place/$version"
    (cd "$root" && tar cf - --exclude=./target --exclude=./benches --exclude=./.git .) | tar xf - -C "$place/$version"
done
sed -i 's/version = "0\.1\.0"/version = "0.2.0"/' "$place/two/Cargo.toml"
grep -q '^version = "0.2.0"' "$place/two/Cargo.toml"

mkdir -p "$place/program/src"
echo 'fn main() {}' >"$place/program/src/main.rs"
program() {
    printf '[package]\nname = "program"\nversion = "0.1.0"\nedition = "2024"\n\n[workspace]\n\n[dependencies]\n%s\n' "$1"
}
resolve() {
    (cd "$place/program" && cargo generate-lockfile --offline 2>&1 || cargo generate-lockfile 2>&1)
}
one='one = { package = "event-channel", path = "../one" }'
two='two = { package = "event-channel", path = "../two" }'

# Each alone is accepted: else the refusal below would prove nothing.
for alone in "$one" "$two"; do
    program "$alone" >"$place/program/Cargo.toml"
    resolve >"$place/said" || { cat "$place/said"; echo "two_versions: one version alone is refused"; exit 1; }
    rm "$place/program/Cargo.lock"
done

program "$one
$two" >"$place/program/Cargo.toml"
if resolve >"$place/said"; then
    echo "two_versions: cargo takes two versions of event-channel in one program"
    exit 1
fi
grep -q 'links to.*event-channel-runtime\|`links` field\|links to the native library `event-channel-runtime`' "$place/said" || {
    cat "$place/said"
    echo "two_versions: refused, but not for the reason of links"
    exit 1
}
grep -m1 'event-channel-runtime' "$place/said"
echo "1 passed: two versions in one program are refused"
