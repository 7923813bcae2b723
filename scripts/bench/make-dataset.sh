#!/usr/bin/env bash
# shellcheck disable=SC1010,SC2016,SC2086,SC2231
# Builds the benchmark data set: realistic VM disk images with real day-2 and day-3 changes.
#   make-dataset.sh [DIR [IMAGE…]]   default DIR=./bench-data; needs root, ~22 GB, loop mounts; 6–10 minutes
# With names of images (`vm-a.d1`), makes only those and the earlier days that they need: 4 GB for one.
# Makes in DIR:
#   vm-a.d1.raw vm-a.d2.raw vm-a.d3.raw   Debian, ext4 in GPT, 1 GiB database file     (8 GiB disk)
#   vm-b.d1.raw                           another Debian, other packages and order    (8 GiB disk)
#   vm-c.d1.raw vm-c.d2.raw vm-c.d3.raw   NTFS data disk: toolchains, docs, noise, db  (6 GiB disk)
#   NAME.vhdx                             same as dynamic VHDX (VHDX="d1 d2" picks the days; default none)
#   vm-X.dN-dM.{4k,64k}.txt               "offset length" ranges that differ = what RCT would report
#   sums.txt, used.txt                    sha256 of every raw; bytes in non-zero 4 KiB blocks
# Seeds, UUIDs and times are fixed; package versions are whatever Debian bookworm serves.
# A finished image is kept: remove it (or DIR) to make it again.
set -euo pipefail
export LC_ALL=C DEBIAN_FRONTEND=noninteractive
HERE=$(cd "$(dirname "$0")" && pwd)
DIR=${1:-$PWD/bench-data}
IMAGES=("${@:2}")
for i in "${IMAGES[@]}"; do case $i in vm-[ac].d[123] | vm-b.d1) ;; *) echo "there is no image $i: vm-a.d1 to d3, vm-b.d1, vm-c.d1 to d3" >&2; exit 2 ;; esac; done
wanted() { # VM DAY: whether it, or a later day of it, is to be made
  local i; [ ${#IMAGES[@]} -gt 0 ] || return 0
  for i in "${IMAGES[@]}"; do if [ "${i%.d?}" = "$1" ] && [ "${i##*.d}" -ge "$2" ]; then return 0; fi; done
  return 1
}
VHDX=${VHDX-}
# the mirror that apt itself uses
MIRROR=${MIRROR:-$(apt-get indextargets --format '$(SITE)' 'Codename: bookworm' 'Created-By: Packages' | grep -v security | head -1)}
PART=1048576                                     # the partition starts at 1 MiB
PKG_A="g++ python3 python3-numpy postgresql perl-doc git vim openjdk-17-jre-headless nginx linux-image-amd64 man-db"
PKG_B="mariadb-server golang-go linux-image-amd64 nodejs perl-doc gcc python3-dev redis-server samba vim-nox php-cli"
mkdir -p "$DIR"; cd "$DIR"
for p in debootstrap sgdisk mkntfs ntfs-3g qemu-img gcc; do
  command -v $p >/dev/null || { echo "missing $p: apt-get install debootstrap gdisk ntfs-3g fuse3 qemu-utils gcc" >&2; exit 1; }
done
[ "$DIR/dbtool" -nt "$HERE/dbtool.c" ] || gcc -O2 -o "$DIR/dbtool" "$HERE/dbtool.c"
DB=$DIR/dbtool
cleanup() { local m; for m in "$DIR"/m-vm-?; do if mountpoint -q "$m"; then umount -R "$m" || true; fi; done; }
trap cleanup EXIT
cleanup
say() { echo "[$(date +%T)] $*"; }

disk() { # IMG SIZE GUID TYPECODE
  rm -f "$1"; truncate -s "$2" "$1"
  sgdisk -U "$3" -n 1:2048:0 -t "1:$4" -u "1:${3%?}9" "$1" >/dev/null
}
psize() { echo $(( $(stat -c %s "$1") - PART - 1048576 )); }
mnt() { # IMG DIR [ntfs]
  mkdir -p "$2"
  if [ "${3-}" = ntfs ]; then mount -t ntfs-3g -o "loop,offset=$PART,sizelimit=$(psize "$1"),big_writes,noatime" "$1" "$2"
  else mount -o "loop,offset=$PART,sizelimit=$(psize "$1"),noatime,nodiscard" "$1" "$2"; fi
}
done_img() { fallocate -d "$1"; sync -f "$1"; }
root_in() { chroot "$1" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C DEBIAN_FRONTEND=noninteractive sh -ec "$2" >>"$1.log" 2>&1; }

debian() { # NAME UUID PACKAGES
  local n=$1 img=$1.d1.raw m=m-$1
  [ -e "$img" ] && return
  disk "$img.tmp" 8G "$2" 8300
  mkfs.ext4 -q -F -U "$2" -E "offset=$PART,hash_seed=$2,nodiscard" "$img.tmp" $(( $(psize "$img.tmp") / 1024 ))k
  mnt "$img.tmp" "$m"; : >"$m.log"
  debootstrap --unpack-tarball="$DIR/base.tar" --variant=minbase bookworm "$m" "$MIRROR" >>"$m.log" 2>&1
  printf '#!/bin/sh\nexit 101\n' >"$m/usr/sbin/policy-rc.d"; chmod +x "$m/usr/sbin/policy-rc.d"
  echo force-unsafe-io >"$m/etc/dpkg/dpkg.cfg.d/bench"
  mount -t proc proc "$m/proc"
  root_in "$m" "apt-get install -y --no-install-recommends $3"     # the .debs stay in /var/cache: stale space later
}
finish() { umount -R "m-$1"; mv "$1.$2.raw.tmp" "$1.$2.raw"; done_img "$1.$2.raw"; say "$1.$2 $(du -h --block-size=1M "$1.$2.raw" | cut -f1) MiB allocated"; }

make_a() { wanted vm-a 1 || return 0; [ -e vm-a.d1.raw ] && return; debian vm-a 11111111-aaaa-4aaa-8aaa-000000000001 "$PKG_A"
  root_in m-vm-a "apt-get clean"                                    # deleted, not zeroed
  $DB log m-vm-a/var/log/app.log 300000 1; mkdir m-vm-a/srv/db; $DB gen m-vm-a/srv/db/main.db 1024 42
  $DB rand m-vm-a/srv/photos.bin 128 7; finish vm-a d1; }
make_b() { wanted vm-b 1 || return 0; [ -e vm-b.d1.raw ] && return; debian vm-b 22222222-bbbb-4bbb-8bbb-000000000002 "$PKG_B"
  $DB log m-vm-b/var/log/app.log 200000 2; finish vm-b d1; }
make_c() { wanted vm-c 1 || return 0; [ -e vm-c.d1.raw ] && return
  local img=vm-c.d1.raw.tmp lo t
  disk "$img" 6G 33333333-cccc-4ccc-8ccc-000000000003 0700
  lo=$(losetup -f --show -o $PART --sizelimit "$(psize "$img")" "$img"); mkntfs -Q -q -p 2048 -H 255 -S 63 "$lo" >/dev/null; losetup -d "$lo"
  mnt "$img" m-vm-c ntfs
  for t in "$HOME"/.rustup/toolchains/stable-*/bin "$HOME"/.rustup/toolchains/stable-*/lib "$HOME"/.pyenv/versions/3.12.1 /usr/lib/llvm-14/lib /usr/lib/llvm-14/bin /usr/share/doc; do
    [ -d "$t" ] || continue
    mkdir -p "m-vm-c/Program Files$t"; cp -r --no-preserve=all -L "$t/." "m-vm-c/Program Files$t/" 2>/dev/null || true
  done
  mkdir -p m-vm-c/Data; $DB gen m-vm-c/Data/main.mdf 512 43; $DB rand m-vm-c/Data/video.bin 256 8; $DB log m-vm-c/Data/app.log 200000 3
  finish vm-c d1; }

# A day's work: database pages, logs, files made, removed and rewritten, packages.
next_a() { local d=$1 n=$2; wanted vm-a "${n#d}" || return 0; [ -e vm-a.$n.raw ] && return; local seed=${n#d}
  cp --sparse=always vm-a.$d.raw vm-a.$n.raw.tmp; mnt vm-a.$n.raw.tmp m-vm-a; : >m-vm-a.log; mount -t proc proc m-vm-a/proc
  $DB mutate m-vm-a/srv/db/main.db 10 "$seed"
  $DB log m-vm-a/var/log/app.log 80000 "1$seed"
  if [ "$n" = d2 ]; then root_in m-vm-a "apt-get purge -y perl-doc; apt-get install -y --no-install-recommends tmux php-cli; apt-get clean"
    $DB rand m-vm-a/srv/upload.bin 24 9
  else rm m-vm-a/srv/upload.bin; cp -a m-vm-a/usr/lib/jvm m-vm-a/srv/jvm-copy; cp m-vm-a/usr/bin/git m-vm-a/usr/bin/git.new && mv m-vm-a/usr/bin/git.new m-vm-a/usr/bin/git
    root_in m-vm-a "apt-get install -y --no-install-recommends sqlite3 rsync; apt-get clean"; fi
  finish vm-a "$n"; }
next_c() { local d=$1 n=$2; wanted vm-c "${n#d}" || return 0; [ -e vm-c.$n.raw ] && return; local seed=${n#d}
  cp --sparse=always vm-c.$d.raw vm-c.$n.raw.tmp; mnt vm-c.$n.raw.tmp m-vm-c ntfs
  $DB mutate m-vm-c/Data/main.mdf 10 "$((seed + 50))"
  $DB log m-vm-c/Data/app.log 60000 "2$seed"
  if [ "$n" = d2 ]; then rm -r "m-vm-c/Program Files/usr/share/doc"/[a-g]*; $DB rand m-vm-c/Data/new.bin 24 10
  else cp -r "m-vm-c/Program Files/usr/lib/llvm-14/bin" m-vm-c/Data/bin-copy 2>/dev/null || true; rm m-vm-c/Data/new.bin; fi
  finish vm-c "$n"; }
ranges() { local v=$1 o=$2 n=$3 g; for g in 4096 65536; do local f=$v.$o-$n.$((g / 1024))k.txt
  [ -e "$f" ] || { $DB cmp $v.$o.raw $v.$n.raw $g >"$f.tmp"; mv "$f.tmp" "$f"; }; say "$f: $(awk '{s+=$2} END {printf "%d ranges, %.1f MiB", NR, s/1048576}' "$f")"; done; }

if [ ! -e base.tar ] && { { wanted vm-a 1 && [ ! -e vm-a.d1.raw ]; } || { wanted vm-b 1 && [ ! -e vm-b.d1.raw ]; }; }; then
  say "Debian base packages"
  debootstrap --make-tarball="$DIR/base.tar.tmp" --variant=minbase bookworm "$DIR/base" "$MIRROR" >base.log 2>&1; mv base.tar.tmp base.tar; rm -rf base
fi
say "images of day 1"
make_a & PA=$!; make_b & PB=$!; make_c; wait $PA; wait $PB
say "days 2 and 3"
next_a d1 d2 & PA=$!; next_c d1 d2; wait $PA
next_a d2 d3 & PA=$!; next_c d2 d3; wait $PA
rmdir m-vm-* 2>/dev/null || true
for v in vm-a vm-c; do for d in 1 2; do if wanted $v $((d + 1)); then ranges $v d$d d$((d + 1)); fi; done; done
for d in $VHDX; do for r in *.$d.raw; do [ -e "${r%.raw}.vhdx" ] || qemu-img convert -f raw -O vhdx -o subformat=dynamic "$r" "${r%.raw}.vhdx"; done; done
for r in *.raw; do echo "$r $($DB used "$r")"; done >used.txt
for r in *.raw; do echo "$(openssl dgst -sha256 -r "$r" | cut -c1-64)  $r"; done >sums.txt   # SHA-NI; coreutils' sha256sum has none
say done; cat used.txt
