#!/usr/bin/env bash
# Measures reading a file over SMB beside smbclient, from the same Samba server, encrypted.
#
#   scripts/bench/smb.sh [MIB] [ROUNDS]      default: 2048 5
#
# Starts a Samba of its own on loopback (root; nothing of the system's is touched) and reads one file
# by turns with each program. Prints the row for docs/benchmarks.md: the median of each, and the ratio.
set -euo pipefail
. "$(dirname "$0")/../lib.sh"
cd "$ROOT"
mib=${1:-2048} rounds=${2:-5} port=${SMB_PORT:-14459}
scripts/setup-tools.sh base bench
cargo build --locked --release -p hyperkeep-sharefiles --example smb-read
[ "$(id -u)" = 0 ] || die "smbd needs root"
work=$(mktemp -d)
stop() {
    [ ! -f "$work/smbd.pid" ] || kill "$(cat "$work/smbd.pid")" || true
    rm -rf "$work"
}
trap stop EXIT
mkdir "$work/c"
cat >"$work/smb.conf" <<CONF
[global]
server role = standalone server
disable netbios = yes
smb ports = $port
interfaces = 127.0.0.1/8
bind interfaces only = yes
private dir = $work
lock directory = $work
state directory = $work
cache directory = $work
ncalrpc dir = $work
pid directory = $work
log file = $work/log
passdb backend = tdbsam:$work/passdb.tdb
load printers = no
server smb encrypt = required
[C\$]
path = $work/c
read only = yes
CONF
head -c "${mib}M" /dev/urandom >"$work/c/disk"
user=$(id -un)
echo geheim >"$work/password"
printf 'geheim\ngeheim\n' | pdbedit -s "$work/smb.conf" -a -t -u "$user" >/dev/null
smbd --daemon -s "$work/smb.conf"
for _ in $(seq 100); do
    (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null && break
    sleep 0.1
done
for _ in $(seq "$rounds"); do
    /usr/bin/time -a -o "$work/ours" -f '%e %U %S' \
        "${CARGO_TARGET_DIR:-target}/release/examples/smb-read" \
        127.0.0.1 "$port" "$user" "$work/password" 'C:\disk' 4096 >/dev/null
    /usr/bin/time -a -o "$work/theirs" -f '%e %U %S' \
        smbclient -s "$work/smb.conf" -p "$port" -m SMB3_11 --client-protection=encrypt \
        -U "$user%geheim" '//127.0.0.1/C$' -c 'get disk /dev/null' >/dev/null 2>&1
done
python3 - "$work/ours" "$work/theirs" "$mib" <<'PYTHON'
import statistics
import sys

def median(path):
    rows = [list(map(float, line.split())) for line in open(path)]
    return statistics.median(r[0] for r in rows), statistics.median(r[1] + r[2] for r in rows)

(wall, cpu), (their_wall, their_cpu) = median(sys.argv[1]), median(sys.argv[2])
print(f"| {sys.argv[3]} MiB | {cpu:.2f} / {wall:.2f} | {their_cpu:.2f} / {their_wall:.2f} "
      f"| {cpu / their_cpu:.2f} / {wall / their_wall:.2f} |")
PYTHON
