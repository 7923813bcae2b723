#!/usr/bin/env bash
# The demonstration: real disks into a vault and back, checked with tools that are not ours.
#
#   scripts/demo.sh [FOLDER]         default: demo-work/ (made anew; needs 4 GB)
#
# Three VMs as Hyper-V would export them:
#   Web server    VHDX with ext4
#   File server   a VHDX with NTFS and two checkpoints (AVHDX over AVHDX over VHDX)
#   Legacy        VHD with ext4, generation 1
# And two of a simulated Hyper-V host (ext4, NTFS), backed up over WS-Management while they write.
# They are backed up, files in them are changed, they are backed up again, and both restore points
# come back. Equality is decided by sha256sum, qemu-img, dissect.hypervisor, e2fsck, debugfs,
# ntfsfix and ntfscat: by none of our own code. No root is needed once the tools are installed, no
# loop device, no mount but FUSE, and that only where it works.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$ROOT/scripts/demo/disks.sh"
. "$ROOT/scripts/demo/lab.sh"
cd "$ROOT"
scripts/setup-tools.sh base oracles
say "building"
# As the tests are built, so that who has run them need not wait: what it costs, `make bench` measures.
cargo build --locked --quiet -p hyperkeep-cli
cargo build --locked --quiet -p hyperkeep-testkit --example demo_vm
built=$(realpath "${CARGO_TARGET_DIR:-target}")/debug
PATH=$built:$built/examples:$PATH
python=$ROOT/.venv/bin/python
oracle=$ROOT/scripts/demo/disk_sha256.py

work=${1:-$ROOT/demo-work}
rm -rf "$work"
mkdir -p "$work"/{raw,vms,restored,files}
cd "$work"
unset "${!HYPERKEEP_@}"
export HYPERKEEP_VAULT=$work/vault HYPERKEEP_PASSPHRASE_FILE=$work/passphrase HYPERKEEP_CACHE_DIR=$work/cache
(umask 077 && head -c 18 /dev/urandom | base64 >"$HYPERKEEP_PASSPHRASE_FILE")

checks=0
# equal WHAT A B: two strings, from two programs.
equal() {
    if [ -z "$2" ] || [ "$2" != "$3" ]; then die "NOT EQUAL: $1: '$2' and '$3'"; fi
    checks=$((checks + 1))
    printf '   equal  %s\n' "$1"
}
# holds WHAT COMMAND…: an outside program agrees.
holds() {
    local what=$1
    shift
    "$@" >"$work/check.log" 2>&1 || { cat "$work/check.log"; die "NOT SO: $what"; }
    checks=$((checks + 1))
    printf '   agreed %s\n' "$what"
}
sha() { sha256sum <"$1" | cut -d' ' -f1; }
mib() { echo $(($(du -s --block-size=1 "$@" -c | tail -1 | cut -f1) / 1048576)); }
timed() { # COMMAND…: its wall seconds into $took
    local began=$EPOCHREALTIME
    "$@"
    took=$(since "$began")
}
since() { awk "BEGIN { printf \"%.1f\", $EPOCHREALTIME - $1 }"; }
# Both points' disks must come back as raw images with the sums that their makers had.
declare -A want

say "making three VMs with real file systems"
sample_files files/web 120 /usr/bin /usr/share/doc
sample_files files/share 120 /usr/share/perl /usr/lib/x86_64-linux-gnu /usr/bin
sample_files files/old 60 /usr/sbin /usr/bin
new_disk raw/web.raw 2048 8300
ext4_fill raw/web.raw files/web
new_disk raw/old.raw 1024 8300
ext4_fill raw/old.raw files/old
new_disk raw/share.0.raw 1024 0700
ntfs_new raw/share.0.raw
ntfs_put raw/share.0.raw files/share
# Two checkpoints: what was written between them is in the differencing disks.
mkdir -p files/after-1/reports files/after-2/reports files/after-3/reports
seq 1 400000 >files/after-1/reports/first.csv
seq 1 7 3000000 >files/after-2/reports/second.csv
cp --sparse=always raw/share.0.raw raw/share.1.raw
ntfs_put raw/share.1.raw files/after-1
cp --sparse=always raw/share.1.raw raw/share.2.raw
ntfs_put raw/share.2.raw files/after-2

web=vms/$(cd vms && demo_vm folder . "Web server" 1 web.vhdx)
share=vms/$(cd vms && demo_vm folder . "File server" 2 share_2.avhdx "Before the move=share.vhdx" "After the move=share_1.avhdx")
old=vms/$(cd vms && demo_vm folder . "Legacy" 3 old.vhd)
qemu-img convert -f raw -O vhdx -o subformat=dynamic raw/web.raw "$web/web.vhdx"
qemu-img convert -f raw -O vpc -o subformat=dynamic,force_size=on raw/old.raw "$old/old.vhd"
qemu-img convert -f raw -O vhdx -o subformat=dynamic raw/share.0.raw "$share/share.vhdx"
demo_vm checkpoint "$share/share.vhdx" raw/share.0.raw raw/share.1.raw "$share/share_1.avhdx" >/dev/null
demo_vm checkpoint "$share/share_1.avhdx" raw/share.1.raw raw/share.2.raw "$share/share_2.avhdx" >/dev/null
equal "the chain that was made is the guest's disk, as dissect reads it" \
    "$("$python" "$oracle" "$share/share_2.avhdx" | cut -d' ' -f1)" "$(sha raw/share.2.raw)"
disks_1=$(mib vms)
want[web.1]=$(sha raw/web.raw) want[old.1]=$(sha raw/old.raw)
want[share.1]=$(sha raw/share.2.raw) want[share.cp1]=$(sha raw/share.0.raw) want[share.cp2]=$(sha raw/share.1.raw)

say "first backup"
hyperkeep --quiet init --sheet "$work/recovery-sheet.txt" >/dev/null
timed hyperkeep --quiet backup "folder:$work/vms"
vault_1=$(mib vault) took_1=$took

say "changing files in the VMs"
date >files/note.txt
ext4_put raw/web.raw files/note.txt note.txt
qemu-img convert -f raw -O vhdx -o subformat=dynamic raw/web.raw "$web/web.vhdx"
ext4_put raw/old.raw files/note.txt note.txt
qemu-img convert -f raw -O vpc -o subformat=dynamic,force_size=on raw/old.raw "$old/old.vhd"
cp --sparse=always raw/share.2.raw raw/share.3.raw
seq 1 3 2000000 >files/after-3/reports/third.csv
ntfs_put raw/share.3.raw files/after-3
rm "$share/share_2.avhdx"
demo_vm checkpoint "$share/share_1.avhdx" raw/share.1.raw raw/share.3.raw "$share/share_2.avhdx" >/dev/null
want[web.2]=$(sha raw/web.raw) want[old.2]=$(sha raw/old.raw) want[share.2]=$(sha raw/share.3.raw)

say "second backup"
timed hyperkeep --quiet backup "folder:$work/vms"
vault_2=$(mib vault) took_2=$took

# The oldest and the newest point of a VM, by name.
point() { # VM first|last
    hyperkeep points --vm "$1" --json | "$python" "$ROOT/scripts/demo/point_id.py" "$2"
}

say "restoring both points, and comparing"
restore() { # NAME VM first|last EXTRA-ARGUMENTS…: into restored/NAME
    local to=$work/restored/$1 id
    id=$(point "$2" "$3")
    hyperkeep --quiet restore disks "$id" --to "$to" "${@:4}" >>restore.log
}
one() { # FOLDER GLOB: the one file in there
    local found
    mapfile -t found < <(find "$work/restored/$1" -type f -name "$2")
    [ ${#found[@]} = 1 ] || die "restored/$1 should hold one $2, and holds ${#found[@]}"
    printf '%s\n' "${found[0]}"
}
began=$EPOCHREALTIME
for n in 1 2; do
    which=first
    [ $n = 1 ] || which=last
    restore "web.$n.raw" "Web server" $which --flatten --format raw
    equal "Web server, point $n, as raw: SHA-256 as made by mkfs.ext4" "$(sha "$(one "web.$n.raw" '*.raw')")" "${want[web.$n]}"
    restore "old.$n.raw" "Legacy" $which --flatten --format raw
    equal "Legacy, point $n, as raw: SHA-256 as made by mkfs.ext4" "$(sha "$(one "old.$n.raw" '*.raw')")" "${want[old.$n]}"
    restore "share.$n.raw" "File server" $which --flatten --format raw
    equal "File server, point $n, chain flattened to raw: SHA-256 as made by mkntfs" "$(sha "$(one "share.$n.raw" '*.raw')")" "${want[share.$n]}"
    restore "share.$n" "File server" $which
    equal "File server, point $n, chain kept as files, read by dissect" \
        "$("$python" "$oracle" "$(one "share.$n" 'share_2.avhdx')" | cut -d' ' -f1)" "${want[share.$n]}"
done
restore share.cp1 "File server" last --flatten --format raw --checkpoint "Before the move"
equal "File server, checkpoint 'Before the move'" "$(sha "$(one share.cp1 '*.raw')")" "${want[share.cp1]}"
restore share.cp2 "File server" last --flatten --format raw --checkpoint "After the move"
equal "File server, checkpoint 'After the move'" "$(sha "$(one share.cp2 '*.raw')")" "${want[share.cp2]}"
restore web.vhdx "Web server" last
restore old.vhd "Legacy" last
folder=$work/restored/folder
hyperkeep --quiet restore folder "$(point "File server" last)" --to "$folder" >>restore.log
took_restore=$(since "$began")

say "asking other tools"
top=$("$python" "$ROOT/scripts/demo/vm_disks.py" "$folder") ||
    die "dissect does not read the restored configuration as naming restored disks"
equal "the restored export's configuration, read by dissect, names the disk that was restored" \
    "$top" "$(one folder share_2.avhdx)"
equal "and that disk, with its parents as it names them, is the guest's" \
    "$("$python" "$oracle" "$top" | cut -d' ' -f1)" "${want[share.2]}"
equal "hyperkeep ls finds the restored VM with its disk of three layers and two checkpoints" \
    "$(hyperkeep ls "folder:$folder" --json | "$python" "$ROOT/scripts/demo/ls_counts.py")" "1 VM, 3 layers, 2 checkpoints"
holds "qemu-img compares the restored VHDX with the one that was backed up: identical" \
    qemu-img compare "$web/web.vhdx" "$(one web.vhdx '*.vhdx')"
holds "qemu-img finds no fault in the restored VHDX" qemu-img check "$(one web.vhdx '*.vhdx')"
holds "qemu-img compares the restored VHD with the one that was backed up: identical" \
    qemu-img compare -f vpc -F vpc "$old/old.vhd" "$(one old.vhd '*.vhd')"
take_part "$(one web.2.raw '*.raw')" web.part
holds "e2fsck finds the restored ext4 clean" e2fsck -fn web.part
equal "debugfs reads the changed file from the restored ext4" \
    "$(debugfs -R 'cat note.txt' web.part 2>/dev/null)" "$(cat files/note.txt)"
take_part "$(one web.1.raw '*.raw')" web.part
equal "and in the first point it is not there yet" \
    "$(debugfs -R 'cat note.txt' web.part 2>&1 | grep -c 'File not found')" 1
take_part "$(one share.2.raw '*.raw')" share.part
holds "ntfsfix finds the restored NTFS sound" ntfsfix -n share.part
name=$(ntfsls -p /reports share.part 2>/dev/null | grep -q third.csv && echo /reports/third.csv || echo /third.csv)
equal "ntfscat reads the changed file from the restored NTFS" \
    "$(ntfscat share.part "$name" 2>/dev/null | sha256sum)" "$(sha256sum <files/after-3/reports/third.csv)"
bad=0
while IFS= read -r pack; do
    [ "$(sha256sum <"$pack" | cut -d' ' -f1)" = "$(basename "$pack")" ] || bad=$((bad + 1))
done < <(find vault/packs -type f)
equal "sha256sum of every pack is its name (no key needed)" $bad 0
holds "hyperkeep check --read-data finds the vault whole" hyperkeep --quiet check --read-data

hyperkeep ls "folder:$folder" >ls.txt
hyperkeep show "$(point "File server" last)" >show.txt
hyperkeep points >points.txt
lab_demo
guest=$(($(mib raw/web.raw) + $(mib raw/old.raw) + $(mib raw/share.0.raw)))
excerpt() { head -n "$2" "$1" | sed 's/^/    /'; }
cat <<REPORT

What the vault has (hyperkeep points):
$(excerpt points.txt 20)

The newest point of "File server" (hyperkeep show, beginning):
$(excerpt show.txt 8)

The same VM, restored as a folder for Hyper-V's import (hyperkeep ls folder:…, beginning):
$(excerpt ls.txt 12)

Hyperkeep demonstration: $checks checks, all passed
  three VMs, five disk files       $disks_1 MiB of files, $guest MiB allocated by their guests
  first backup                     vault $vault_1 MiB ($((vault_1 * 100 / disks_1)) % of the files), $took_1 s
  second backup, files changed     vault $vault_2 MiB (+$((vault_2 - vault_1))), $took_2 s
  thirteen restores with checks    $took_restore s
  two guests of a simulated host   backed up twice while they wrote, the second time by what changed
  what was compared                SHA-256 of whole disks as mkfs made them, and file systems by
                                   e2fsck, debugfs, ntfsfix, ntfscat, qemu-img and dissect
  what the times are worth         little: the program is built as for tests; see docs/benchmarks.md
  recovery sheet                   $work/recovery-sheet.txt
  not shown here                   that Hyper-V itself takes the result: there is none on this machine
REPORT
