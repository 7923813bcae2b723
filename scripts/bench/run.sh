#!/usr/bin/env bash
# Measures Hyperkeep beside restic, rustic and borg, and beside the bare pipeline.
#
#   scripts/bench/run.sh [TOOL…]       default: all of measure.py's
#
# Makes the data set first (once; root and loop mounts, 22 GB in bench-data/). BENCH_DATA and
# BENCH_WORK name other folders; the work folder needs 20 GB. Results: bench-work/results.json, and
# the tables for docs/benchmarks.md on standard output. An hour on two cores. Restores only, in a
# third of the time and space: restore.sh.
set -euo pipefail
. "$(dirname "$0")/../lib.sh"
. "$ROOT/scripts/versions.sh"
cd "$ROOT"
data=${BENCH_DATA:-$ROOT/bench-data} work=${BENCH_WORK:-$ROOT/bench-work}
out=$work/results.json
scripts/setup-tools.sh base bench
scripts/bench/make-dataset.sh "$data" >&2
cargo build --locked --release -p hyperkeep-cli
cargo build --locked --release -p hyperkeep-testkit --example bare_pipeline
cargo build --locked --release -p hyperkeep-engine --example random_reads
mkdir -p "$work"
bin=(--bin "${CARGO_TARGET_DIR:-target}/release" --bin "${CARGO_TARGET_DIR:-target}/release/examples"
    --bin "$(cargo_tool rustic "$RUSTIC" rustic-rs --no-default-features)")
tools=$(IFS=,; echo "$*")
python3 scripts/bench/measure.py --data "$data" --work "$work" --out "$out" "${bin[@]}" \
    ${tools:+--tools "$tools"} >&2
[ $# -gt 0 ] ||
    python3 scripts/bench/big_disk.py --dbtool "$data/dbtool" --work "$work" --out "$out" "${bin[@]}" >&2
[ $# -gt 0 ] || python3 scripts/bench/guest_files.py --gib 16 --data 1 --work "$work" --out "$out" "${bin[@]}" >&2
python3 scripts/bench/table.py "$out"
