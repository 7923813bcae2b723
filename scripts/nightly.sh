#!/usr/bin/env bash
# Many cases with other seeds, then long fuzzing: some hours.
#
#   scripts/nightly.sh [SECONDS] [FACTOR] [SEED] [CARGO-TEST-ARGUMENT…]
#
#   SECONDS   for each fuzz target (default 600; 0: no fuzzing)
#   FACTOR    so many times as many cases as an ordinary run has (default 20)
#   SEED      which cases (default: a random one). The seed that a failed night printed, with the
#             same factor, gives the same cases again.
#
# What remains is for cargo test: `scripts/nightly.sh 0 20 1234 -p hyperkeep-disk` repeats the part of
# one crate. Tests get both numbers from testkit's `vary`.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$ROOT"
seconds=${1:-600}
factor=${2:-20}
seed=${3:-$(od -An -N4 -tu4 /dev/urandom | tr -d " ")}
for number in "$seconds" "$factor" "$seed"; do
    [[ $number =~ ^[0-9]+$ ]] || die "'$number' is no number"
done
what=("${@:4}")
[ ${#what[@]} != 0 ] || what=(--workspace)
tools=(base oracles)
[ "$seconds" = 0 ] || tools+=(fuzz)
scripts/setup-tools.sh "${tools[@]}"

again="HYPERKEEP_CASES_FACTOR=$factor HYPERKEEP_SEED=$seed"
say "tests with $again"
failed=
env HYPERKEEP_REQUIRE_TOOLS=1 "HYPERKEEP_CASES_FACTOR=$factor" "HYPERKEEP_SEED=$seed" \
    PROPTEST_MAX_SHRINK_ITERS=100000 \
    cargo test --locked --no-fail-fast --profile nightly "${what[@]}" || failed=yes
# A test that failed does not keep the fuzzers from their turn.
[ "$seconds" = 0 ] || scripts/fuzz.sh "$seconds" || failed=yes
[ -z "$failed" ] || die "the night found something; the tests ran with $again"
say "nothing found with $again"
