#!/usr/bin/env bash
# Measures restores only: a whole disk with every program in turns, and files of a guest's disk.
#
#   scripts/bench/restore.sh [IMAGE [ROUNDS]]      default: vm-a.d1 3
#
# Makes only that image (once; root and loop mounts, 4 GB in bench-data/) and, in the work folder, 15 GB
# that are gone at the end. BENCH_DATA and BENCH_WORK name other folders. Results: restore.json in the work
# folder, and the tables for docs/benchmarks.md on standard output. Twenty minutes on two cores.
set -euo pipefail
. "$(dirname "$0")/../lib.sh"
. "$ROOT/scripts/versions.sh"
cd "$ROOT"
image=${1:-vm-a.d1} rounds=${2:-3}
data=${BENCH_DATA:-$ROOT/bench-data} work=${BENCH_WORK:-$ROOT/bench-work}
out=$work/restore.json
scripts/setup-tools.sh base bench
scripts/bench/make-dataset.sh "$data" "$image" >&2
cargo build --locked --release -p hyperkeep-cli
mkdir -p "$work"
bin=(--bin "${CARGO_TARGET_DIR:-target}/release" --bin "$(cargo_tool rustic "$RUSTIC" rustic-rs --no-default-features)")
python3 scripts/bench/restore.py --data "$data" --work "$work" --out "$out" "${bin[@]}" --rounds "$rounds" "$image" >&2
python3 scripts/bench/guest_files.py --gib 16 --data 1 --work "$work" --out "$out" "${bin[@]}" --rounds "$rounds" >&2
python3 scripts/bench/table.py "$out"
