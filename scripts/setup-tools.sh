#!/usr/bin/env bash
# Installs what building and testing Hyperkeep needs on a Debian machine, and only what is missing.
#
#   scripts/setup-tools.sh [SECTION…]        default: base oracles lint
#
#   base      a C compiler for the few crates with C in them; Rust, by rustup, where there is no cargo
#   oracles   disk and file system tools, Kerberos, Samba, and .venv with the Python readers and
#             clients: what tests compare with
#   lint      cargo-deny and shellcheck
#   fuzz      cargo-fuzz and a C++ compiler
#   windows   Debian's Rust with std for Windows, mingw, Wine (about 2.7 GB)
#   bench     the backup programs that benchmarks compare with, and what makes the data set
#
# Safe to run again at any time. Packages come from apt, PyPI and crates.io; cargo tools are built
# into ~/.cache/hyperkeep/tools by version (HYPERKEEP_TOOLS overrides) and touch nothing else.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$ROOT/scripts/versions.sh"
cd "$ROOT"

usage() {
    sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0" >&2
    exit 2
}

base() {
    apt_install ca-certificates gcc libc6-dev make
    command -v cargo >/dev/null || rust
}

# The stable Rust toolchain for this user, by rustup's own installer.
rust() {
    local folder url
    apt_install curl
    say "there is no cargo: installing stable Rust with rustup into ~/.cargo and ~/.rustup"
    folder=$(mktemp -d)
    url=https://static.rust-lang.org/rustup/dist/$(uname -m)-unknown-linux-gnu/rustup-init
    retry curl --proto '=https' --tlsv1.2 -sSfL --output-dir "$folder" -O "$url" -O "$url.sha256"
    (cd "$folder" && [ "$(sha256sum <rustup-init | cut -d' ' -f1)" = "$(cut -d' ' -f1 <rustup-init.sha256)" ]) ||
        die "$url is not what its checksum says: try again"
    chmod +x "$folder/rustup-init"
    retry "$folder/rustup-init" -y --quiet --no-modify-path --profile minimal -c rustfmt -c clippy >&2
    rm -r "$folder"
    command -v cargo >/dev/null || die "rustup has put no cargo into ~/.cargo/bin"
}

oracles() {
    apt_install qemu-utils ntfs-3g fuse3 e2fsprogs xfsprogs btrfs-progs exfatprogs fdisk gdisk \
        mtools dosfstools attr mount wimtools krb5-kdc krb5-admin-server python3-gssapi samba \
        exfat-fuse lvm2 cryptsetup-bin ldmtool f2fs-tools jfsutils reiserfsprogs udftools \
        unzip
    venv
}

# .venv: made again when the list of packages or the Python under it changes.
venv() {
    local python want
    command -v python3 >/dev/null || apt_install python3
    python=$(python3 -c 'import sys; print(sys.executable)')
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then apt_install python3-venv; fi
    # libvhdi comes as source.
    if ! "$python" -c 'import os, sys, sysconfig; sys.exit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))'; then
        apt_install python3-dev
    fi
    want=$("$python" --version; sha256sum <scripts/requirements.txt)
    [ -x .venv/bin/python ] && [ "$(cat .venv/.made-from 2>/dev/null)" = "$want" ] && return 0
    say "making .venv"
    rm -rf .venv
    "$python" -m venv .venv
    retry .venv/bin/pip install --quiet --disable-pip-version-check -r scripts/requirements.txt
    printf '%s\n' "$want" >.venv/.made-from
}

lint() {
    local tool
    apt_install shellcheck
    for tool in rustfmt clippy; do
        cargo ${tool/rustfmt/fmt} --version >/dev/null 2>&1 ||
            die "the Rust toolchain has no $tool: run 'rustup component add $tool'"
    done
    quick_cargo_tool cargo-deny "$CARGO_DENY" >/dev/null
}

fuzz() {
    apt_install g++
    quick_cargo_tool cargo-fuzz "$CARGO_FUZZ" >/dev/null
}

windows() { scripts/windows-toolchain.sh; }

bench() {
    apt_install debootstrap gdisk ntfs-3g fuse3 qemu-utils e2fsprogs gcc libc6-dev openssl \
        restic borgbackup samba smbclient time
    cargo_tool rustic "$RUSTIC" rustic-rs --no-default-features >/dev/null
}

[ $# -gt 0 ] || set -- base oracles lint
for section in "$@"; do
    case $section in
    base | oracles | lint | fuzz | windows | bench) "$section" ;;
    *) usage ;;
    esac
done
