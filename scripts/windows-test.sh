#!/usr/bin/env bash
# Builds every crate for Windows and runs its tests under Wine.
#
#   scripts/windows-test.sh [--optimised] [CARGO-TEST-ARGUMENT…]     for instance: -p hyperkeep-disk
#
# --optimised builds the program as it is given to people, too.
# Needs scripts/windows-toolchain.sh once. Tests that compare with programs that Wine cannot run say
# "skipped: NAME" and pass. Wine is not Windows: it shows that the code builds, starts, and handles
# paths, files and locks through the Windows API, not that NTFS or Hyper-V agree.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$ROOT/scripts/windows/env.sh"
cd "$ROOT"
[ -x /usr/bin/rustc ] || die "run scripts/windows-toolchain.sh first"
windows_env
[ -d "$WINDOWS_SYSROOT" ] || die "run scripts/windows-toolchain.sh first: no std in $WINDOWS_SYSROOT"

# The oracles are programs of the host, and so is what unpacks the sample files: without them, tests
# that want them say that they are skipped.
unset HYPERKEEP_REQUIRE_TOOLS HYPERKEEP_PYTHON
export HYPERKEEP_SAMPLES=not-under-wine
optimised=
if [ "${1:-}" = --optimised ]; then
    optimised=yes
    shift
fi
whole=
case " $* " in
*" -p "*) ;;
*)
    whole=yes
    set -- --workspace --exclude xtask "$@"
    # Built as parts of the program; their own tests need programs of the host, or have nothing of
    # Windows in them, and run with the optimised program.
    [ -n "$optimised" ] || set -- --exclude hyperkeep-lab --exclude hyperkeep-sharefiles "$@"
    ;;
esac

# Runs share one Wine folder and so one server, which the run that ends first would take from the
# other: one at a time. The lock is this script's alone (9>&-): a server that outlives a killed
# script does not hold it.
mkdir -p "$WINEPREFIX"
exec 9>"$WINEPREFIX.lock"
flock --nonblock 9 || {
    say "another run has Wine: waiting for it to end"
    flock 9
}

# One Wine server for the whole run: left to itself it ends with the last program, and a program that
# starts just then fails to connect.
/usr/lib/wine/wineserver64 -p </dev/null >/dev/null 2>&1 9>&- || true
trap '/usr/lib/wine/wineserver64 -k 9>&- || true' EXIT
"$CARGO" test --locked --no-fail-fast --target "$WINDOWS_TARGET" "$@" 9>&-
if [ -n "$whole" ]; then
    say "the program"
    "$WINE" "target-windows/$WINDOWS_TARGET/debug/hyperkeep.exe" --version 9>&-
fi
if [ -n "$optimised" ]; then
    say "the program, optimised"
    # Without optimisation over crates: the std that was built here for Windows has no bitcode.
    CARGO_PROFILE_RELEASE_LTO=off "$CARGO" build --locked --release --target "$WINDOWS_TARGET" -p hyperkeep-cli 9>&-
    "$WINE" "target-windows/$WINDOWS_TARGET/release/hyperkeep.exe" --version 9>&-
fi
