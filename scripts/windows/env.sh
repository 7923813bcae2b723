# shellcheck shell=bash disable=SC2034
# Shared by windows-toolchain.sh and windows-test.sh, after lib.sh: where the pieces are.

# windows_env: sets what cargo and Wine need. Call it once the packages are installed.
windows_env() {
    WINDOWS_TARGET=x86_64-pc-windows-gnu
    # Debian's compiler by its full path: a rustup toolchain usually comes first in PATH, and std
    # must be of exactly the compiler's version.
    CARGO=/usr/bin/cargo
    export RUSTC=/usr/bin/rustc RUSTDOC=/usr/bin/rustdoc
    local version
    version=$($RUSTC --version | cut -d' ' -f2)
    WINDOWS_SYSROOT=$HYPERKEEP_TOOLS/windows-std-$version
    WINE=/usr/lib/wine/wine64
    export WINEPREFIX=$HYPERKEEP_TOOLS/wine WINEARCH=win64 WINEDEBUG=-all DISPLAY=
    export WINEDLLOVERRIDES='mscoree=;mshtml='
    # Only what is built for the target gets these; build scripts and proc macros run here.
    export CARGO_TARGET_X86_64_PC_WINDOWS_GNU_RUSTFLAGS="--sysroot $WINDOWS_SYSROOT"
    export CARGO_TARGET_X86_64_PC_WINDOWS_GNU_RUNNER=$WINE
    export RUSTDOCFLAGS="--sysroot $WINDOWS_SYSROOT"
    export CARGO_TARGET_DIR=$ROOT/target-windows
}
