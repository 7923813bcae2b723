#!/usr/bin/env bash
# Makes a Debian machine able to build Hyperkeep for Windows and to run its tests under Wine.
#
#   scripts/windows-toolchain.sh
#
# Debian's rustc-web has no std for Windows, but rust-web-src has its source in the same version, so
# std is built once (2–3 minutes) into a folder of its own that is passed to that compiler as its
# sysroot; the system's own folders are left alone. Then a Wine prefix with the one library that
# Rust programs miss in Wine 8. About 2.7 GB in all. Safe to run again; only what is missing is made.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$ROOT/scripts/windows/env.sh"

apt_install rustc-web cargo-web rust-web-src gcc-mingw-w64-x86-64-posix \
    g++-mingw-w64-x86-64-posix wine64
windows_env

if ! compgen -G "$WINDOWS_SYSROOT/lib/rustlib/$WINDOWS_TARGET/lib/libstd-*.rlib" >/dev/null; then
    say "building std of $($RUSTC --version) for $WINDOWS_TARGET"
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    mkdir "$work/src"
    : >"$work/src/lib.rs"
    cat >"$work/Cargo.toml" <<'TOML'
[package]
name = "std-for-windows"
version = "0.0.0"
edition = "2024"
[profile.release]
debug = false
TOML
    # -Zbuild-std is unstable; RUSTC_BOOTSTRAP lets this stable compiler have it.
    (cd "$work" && env -u RUSTC_WRAPPER -u RUSTFLAGS -u CARGO_ENCODED_RUSTFLAGS \
        -u CARGO_TARGET_X86_64_PC_WINDOWS_GNU_RUSTFLAGS \
        RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR="$work/target" \
        "$CARGO" build --quiet --release --target "$WINDOWS_TARGET" \
        -Zbuild-std=std,panic_unwind,panic_abort,proc_macro,test)
    made=$work/made/lib/rustlib/$WINDOWS_TARGET/lib
    mkdir -p "$made"
    find "$work/target/$WINDOWS_TARGET/release/deps" -name '*.rlib' \
        ! -name 'libstd_for_windows*' -exec cp {} "$made" \;
    mkdir -p "$(dirname "$WINDOWS_SYSROOT")"
    rm -rf "$WINDOWS_SYSROOT"
    mv "$work/made" "$WINDOWS_SYSROOT"
fi

shim=$WINEPREFIX/drive_c/windows/system32/bcryptprimitives.dll
if [ ! -e "$shim" ] || [ "$ROOT/scripts/windows/processprng.c" -nt "$shim" ]; then
    say "making a Wine prefix"
    mkdir -p "$WINEPREFIX"
    "$WINE" wineboot -i >/dev/null 2>&1 || die "wineboot failed in $WINEPREFIX"
    x86_64-w64-mingw32-gcc -shared -O2 -s -o "$shim" "$ROOT/scripts/windows/processprng.c" -ladvapi32
fi
