#!/usr/bin/env bash
# Long fuzzing and many seeds.
#
#   scripts/nightly.sh [SECONDS] [CASES]     SECONDS for each fuzz target (default 600),
#                                            CASES for each property test (default 20000)
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$ROOT"
scripts/setup-tools.sh base oracles fuzz
seed=$(od -An -N4 -tu4 /dev/urandom | tr -d " ")
say "property tests with ${2:-20000} cases each, PROPTEST_RNG_SEED=$seed"
HYPERKEEP_REQUIRE_TOOLS=1 PROPTEST_RNG_SEED=$seed PROPTEST_CASES=${2:-20000} PROPTEST_MAX_SHRINK_ITERS=100000 \
    cargo test --workspace --locked --no-fail-fast --profile nightly
scripts/fuzz.sh "${1:-600}"
