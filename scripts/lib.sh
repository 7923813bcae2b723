# shellcheck shell=bash disable=SC2034
# Shared by the scripts beside it: `. scripts/lib.sh`. Not a program of its own.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# Programs that are built rather than installed, one folder for each version, shared by every clone.
HYPERKEEP_TOOLS=${HYPERKEEP_TOOLS:-${XDG_CACHE_HOME:-${HOME:?}/.cache}/hyperkeep/tools}

# Where rustup puts cargo; a toolchain that was just installed is in nobody's PATH yet.
export PATH=$PATH:$HOME/.cargo/bin

say() { printf '==> %s\n' "$*" >&2; }
die() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# retry COMMAND…: three tries, a little apart; registries fail now and then.
retry() {
    local n
    for n in 1 2 3; do
        "$@" && return 0
        say "try $n of 3 failed: $*"
        sleep $((n * 5))
    done
    return 1
}

# as_root COMMAND…: run as root, through sudo when we are not.
as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        die "this needs root and there is no sudo: $*"
    fi
}

# apt_install PACKAGE…: only those that are missing.
apt_install() {
    local package missing=()
    for package in "$@"; do
        case $(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null) in
        installed) ;;
        *) missing+=("$package") ;;
        esac
    done
    [ ${#missing[@]} = 0 ] && return 0
    command -v apt-get >/dev/null ||
        die "this machine has no apt-get; install by hand: ${missing[*]}"
    say "installing ${missing[*]}"
    retry as_root apt-get update -qq
    retry as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
        --no-install-recommends --no-remove "${missing[@]}" >/dev/null
}

# cargo_tool NAME VERSION [CRATE [ARGUMENT…]]: prints the folder that holds that version of a program
# from crates.io, and builds it if need be.
cargo_tool() {
    local dir=$HYPERKEEP_TOOLS/$1-$2
    if [ ! -x "$dir/bin/$1" ]; then
        say "building $1 $2 into $dir (some minutes, once)"
        retry env -u RUSTC_WRAPPER CARGO_PROFILE_RELEASE_DEBUG=false \
            cargo install --quiet --locked --root "$dir" "${3:-$1}@$2" "${@:4}" >&2 || return 1
    fi
    printf '%s\n' "$dir/bin"
}

# quick_cargo_tool …: the same, built with little optimisation, for a program that is used as a
# tool and is not itself measured.
quick_cargo_tool() {
    CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_OPT_LEVEL=1 \
        CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 cargo_tool "$@"
}
