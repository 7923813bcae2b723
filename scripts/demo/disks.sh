# shellcheck shell=bash
# Real disks for the demonstration, made by the tools that people use: sgdisk, mkfs.ext4, mkntfs.
# Sourced by demo.sh after lib.sh. Nothing here is ours, nothing needs a loop device.

PART_START=1048576 # the one partition starts at 1 MiB, as Windows and Debian place it
PART_TAIL=1048576  # and leaves room for the second GPT

# new_disk RAW MIB TYPECODE: a sparse disk with a GPT and one partition.
new_disk() {
    rm -f "$1"
    truncate -s "$2M" "$1"
    sgdisk -n 1:2048:0 -t "1:$3" "$1" >/dev/null
}

part_size() { echo $(($(stat -c %s "$1") - PART_START - PART_TAIL)); }

# take_part RAW PART and put_part PART RAW: the partition as a file of its own, for tools that know
# no offset, and back. Zeros become holes.
take_part() {
    rm -f "$2"
    dd if="$1" of="$2" bs=1M skip=1 count=$(($(part_size "$1") / 1048576)) conv=sparse status=none
    truncate -s "$(part_size "$1")" "$2"
}
put_part() {
    # Zeros are skipped, so what was there must be gone before.
    fallocate --punch-hole -o $PART_START -l "$(part_size "$2")" "$2"
    dd if="$1" of="$2" bs=1M seek=1 conv=notrunc,sparse status=none
}

# ext4_fill RAW FOLDER: an ext4 file system with the files of FOLDER.
ext4_fill() {
    local part=$1.part
    truncate -s "$(part_size "$1")" "$part"
    mkfs.ext4 -q -F -E nodiscard -d "$2" "$part"
    put_part "$part" "$1"
    rm "$part"
}

# ext4_put RAW FILE NAME: adds or replaces one file.
ext4_put() {
    local part=$1.part
    take_part "$1" "$part"
    debugfs -w -R "rm $3" "$part" >/dev/null 2>&1
    debugfs -w -R "write $2 $3" "$part" >/dev/null 2>&1
    put_part "$part" "$1"
    rm "$part"
}

# ntfs_new RAW: an empty NTFS file system.
ntfs_new() {
    local part=$1.part
    truncate -s "$(part_size "$1")" "$part"
    mkntfs -Q -q -F -p 2048 -H 255 -S 63 "$part" >/dev/null 2>&1
    put_part "$part" "$1"
    rm "$part"
}

# ntfs_put RAW FOLDER: adds the files of FOLDER, with folders through FUSE, or without FUSE file by
# file into the root. NTFS_REMOVE holds names to remove first (FUSE only).
ntfs_put() {
    local part=$1.part mnt=$1.mnt file
    take_part "$1" "$part"
    mkdir -p "$mnt"
    if [ -e /dev/fuse ] && ntfs-3g -o noatime "$part" "$mnt" 2>/dev/null; then
        for file in ${NTFS_REMOVE-}; do rm -rf "${mnt:?}/$file"; done
        cp -rL --no-preserve=all "$2/." "$mnt/"
        umount "$mnt"
    else
        find "$2" -type f -print | while IFS= read -r file; do
            ntfscp -q -f "$part" "$file" "/$(basename "$file")"
        done
    fi
    rmdir "$mnt"
    put_part "$part" "$1"
    rm "$part"
}

# sample_files FOLDER MIB FROM…: whole files out of the system's own folders, until MIB are reached.
sample_files() {
    local to=$1 most=$(($2 * 1048576)) sum=0 size file
    shift 2
    mkdir -p "$to"
    while IFS=$'\t' read -r size file; do
        ((sum + size <= most)) || continue
        sum=$((sum + size))
        mkdir -p "$to$(dirname "$file")"
        cp -L --no-preserve=all "$file" "$to$file"
    done < <(find "$@" -xdev -type f -size -20M -printf '%s\t%p\n' 2>/dev/null | LC_ALL=C sort -k2)
}
