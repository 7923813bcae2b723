#!/usr/bin/env bash
# Everything that can be said about the tree without running it.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$ROOT/scripts/versions.sh"
cd "$ROOT"

say "formatting"
cargo fmt --all --check
cargo fmt --manifest-path fuzz/Cargo.toml --check

say "clippy"
cargo clippy --workspace --all-targets --locked -- -D warnings

# Looking at the fuzz targets needs neither the fuzzer's library, which C++ would be needed to
# build, nor unstable flags.
say "clippy, fuzz targets"
CUSTOM_LIBFUZZER_PATH=/not/linked/libfuzzer.a cargo clippy --manifest-path fuzz/Cargo.toml \
    --target-dir "${CARGO_TARGET_DIR:-target}" --locked -- -D warnings

say "documents"
RUSTDOCFLAGS="-D warnings -A rustdoc::private-intra-doc-links" cargo doc --workspace --no-deps --locked --document-private-items --quiet

say "the project's own rules"
cargo xtask lint

say "scripts"
command -v shellcheck >/dev/null || die "there is no shellcheck: run scripts/setup-tools.sh lint"
git ls-files -z '*.sh' .ci/run | xargs -0 shellcheck

say "licences, bans and sources of dependencies"
PATH=$(quick_cargo_tool cargo-deny "$CARGO_DENY"):$PATH
cargo deny --workspace --all-features check --hide-inclusion-graph licenses bans sources

# The database of advisories is a git repository elsewhere. Not being able to reach it is no verdict
# on the dependencies, so it is said and does not fail.
say "advisories"
if fetched=$(timeout 60 cargo deny fetch db </dev/null 2>&1); then
    cargo deny --workspace --all-features check --hide-inclusion-graph advisories
else
    echo "NOT CHECKED: the advisory database cannot be fetched here: ${fetched##*$'\n'}"
fi
