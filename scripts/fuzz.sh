#!/usr/bin/env bash
# Runs the fuzz targets.
#
#   scripts/fuzz.sh [SECONDS] [TARGET…]      SECONDS each (default 60), all targets when none is named
#
# What a run discovers goes to fuzz/target/corpus/, never into the committed fuzz/corpus/; a crash
# is kept in fuzz/artifacts/ and ends the script with an error after the other targets had their
# turn. FUZZ_JOBS runs that many targets' processes at once on one target.
#
# cargo-fuzz wants unstable compiler flags. RUSTC_BOOTSTRAP=1 makes the stable compiler take them,
# so the compiler under test is the one that builds the product and no second one is needed.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$ROOT"

seconds=${1:-60}
[[ $seconds =~ ^[0-9]+$ ]] || die "'$seconds' is not a number of seconds"
targets=("${@:2}")
if [ ${#targets[@]} = 0 ]; then
    mapfile -t targets < <(printf "%s\n" fuzz/fuzz_targets/*.rs | xargs -n1 basename -s .rs)
fi

. scripts/versions.sh
PATH=$(quick_cargo_tool cargo-fuzz "$CARGO_FUZZ"):$PATH
export PATH RUSTC_BOOTSTRAP=1
unset RUSTC_WRAPPER

say "building ${#targets[@]} fuzz targets"
cargo fuzz build

failed=()
for target in "${targets[@]}"; do
    seeds=fuzz/corpus/$target found=fuzz/target/corpus/$target
    [ -d "$seeds" ] || die "the target $target has no corpus: make $seeds with at least one input"
    mkdir -p "$found"
    say "$target for $seconds s"
    # An allocation sized by a number from the input is a finding like a crash: hence malloc_limit_mb.
    if cargo fuzz run "$target" "$found" "$seeds" -- -max_total_time="$seconds" -timeout=20 \
        -rss_limit_mb=2048 -malloc_limit_mb=256 -fork="${FUZZ_JOBS:-0}" -print_final_stats=1 \
        >"$found.log" 2>&1; then
        grep -aE 'stat::(number_of_executed_units|peak_rss_mb|new_units_added)' "$found.log" || true
    else
        tail -n 40 "$found.log"
        failed+=("$target")
    fi
done
[ ${#failed[@]} = 0 ] || die "fuzzing found something in: ${failed[*]} (inputs are in fuzz/artifacts/)"
say "no findings in ${#targets[@]} targets"
