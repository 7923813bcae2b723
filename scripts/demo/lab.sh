# shellcheck shell=bash disable=SC2154
# A simulated Hyper-V host: two guests go on writing while they are backed up over WS-Management.
# Sourced by demo.sh, whose functions and variables it uses.

# lab_image NAME NUMBER FILE: the disk as it is, after one file more; each is a whole file system.
lab_image() {
    cp --sparse=always "lab/$1.$(($2 - 1)).raw" "lab/$1.$2.raw"
}

# lab_mark NAME: a page before the first partition, which all images have until their guest overwrites it.
lab_mark() {
    printf 'written before the first backup' | dd of="lab/$1.0.raw" bs=4096 seek=128 conv=notrunc status=none
}

# lab_scenario: the host, on which each guest goes round its images, a piece every 50 ms. It overwrites
# its mark just before its first checkpoint ends, so while it is backed up.
lab_scenario() {
    local name images=()
    for name in ext4 ntfs; do
        images+=("$(printf '"%s/lab/'"$name"'.%s.raw", ' "$work" 0 "$work" 1 "$work" 2 "$work" 3)")
    done
    cat <<SCENARIO
{ "host": { "name": "HV01", "seed": 1 },
  "accounts": [{ "user": "LAB\\\\backup", "password": "$(cat lab/password)" }],
  "volumes": [{ "name": "D:\\\\", "capacity": 107374182400 }],
  "rules": { "tracking-unit": 4096, "checkpoint-ms": 500, "merge-ms": 1000 },
  "mishaps": [
    { "on": "ConvertToReferencePoint", "before": [{ "writes": { "vm": "Linux guest",
      "what": { "offset": 524288, "length": 4096, "seed": 0 } } }] },
    { "on": "ConvertToReferencePoint", "before": [{ "writes": { "vm": "Windows guest",
      "what": { "offset": 524288, "length": 4096, "seed": 0 } } }] } ],
  "vms": [
    { "name": "Linux guest", "guest": { "name": "Debian", "version": "13", "platform": 1 },
      "disks": [{ "path": "D:\\\\VMs\\\\linux\\\\ext4.vhdx", "size": 50331648,
                  "guest": { "images": [${images[0]%, }], "every-ms": 50 } }] },
    { "name": "Windows guest", "guest": { "name": "Windows Server 2022", "version": "10.0.20348", "platform": 2 },
      "disks": [{ "path": "D:\\\\VMs\\\\windows\\\\ntfs.vhdx", "size": 50331648,
                  "guest": { "images": [${images[1]%, }], "every-ms": 50 } }] }
  ] }
SCENARIO
}

# lab_backup: backs up the host; the document is in lab/backup.json.
lab_backup() {
    hyperkeep --quiet --json backup "winrm+http://LAB\\backup@$lab_address" --map "D:\\=$work/lab/host/D" \
        --password-file lab/password --state lab/state >lab/backup.json || {
        cat lab/backup.json
        die "the simulated host was not backed up"
    }
}

# lab_frozen NUMBER FILE: what the guest's checkpoint of this number froze, of which the host kept a copy.
lab_frozen() {
    local kept
    mapfile -t kept < <(find lab/frozen -type f -path "*/$1/D/VMs/$2")
    [ ${#kept[@]} = 1 ] || die "the simulated host should have kept one $2 of checkpoint $1, and kept ${#kept[@]}"
    "$python" "$oracle" "${kept[0]}" | cut -d' ' -f1
}

# lab_marks NUMBER NAME: whether the restored disk has the mark, 1 or 0.
lab_marks() {
    dd if="$(one "lab-$2-$1" '*.raw')" bs=4096 skip=128 count=1 status=none | grep -ac 'before the first backup' || true
}

# lab_same NUMBER: the newest points of both VMs are what their checkpoints of this number froze.
lab_same() {
    restore "lab-ext4-$1" "Linux guest" last --flatten --format raw
    equal "Linux guest, backup $1: SHA-256 of what its checkpoint froze, as dissect reads it" \
        "$(sha "$(one "lab-ext4-$1" '*.raw')")" "$(lab_frozen "$1" linux/ext4.vhdx)"
    take_part "$(one "lab-ext4-$1" '*.raw')" lab.part
    holds "e2fsck finds it clean" e2fsck -fn lab.part
    restore "lab-ntfs-$1" "Windows guest" last --flatten --format raw
    equal "Windows guest, backup $1: SHA-256 of what its checkpoint froze, as dissect reads it" \
        "$(sha "$(one "lab-ntfs-$1" '*.raw')")" "$(lab_frozen "$1" windows/ntfs.vhdx)"
    take_part "$(one "lab-ntfs-$1" '*.raw')" lab.part
    holds "ntfsfix finds it sound" ntfsfix -n lab.part
}

lab_demo() {
    local number
    say "making two guests of a simulated Hyper-V host"
    mkdir -p lab/files
    head -c 18 /dev/urandom | base64 >lab/password
    new_disk lab/ext4.0.raw 48 8300
    lab_mark ext4
    sample_files lab/files/first 8 /usr/bin
    ext4_fill lab/ext4.0.raw lab/files/first
    new_disk lab/ntfs.0.raw 48 0700
    lab_mark ntfs
    ntfs_new lab/ntfs.0.raw
    for number in 1 2 3; do
        mkdir -p "lab/files/$number"
        seq "$number" 3 300000 >"lab/files/$number/log$number.txt"
        lab_image ext4 "$number"
        ext4_put "lab/ext4.$number.raw" "lab/files/$number/log$number.txt" "log$number.txt"
        lab_image ntfs "$number"
        ntfs_put "lab/ntfs.$number.raw" "lab/files/$number"
    done
    lab_scenario >lab/scenario.json
    hyperkeep lab lab/scenario.json lab/host 127.0.0.1:0 --keep-frozen lab/frozen >lab/address 2>lab/lab.log &
    lab_process=$!
    trap 'kill "$lab_process" 2>/dev/null || true' EXIT
    for number in $(seq 100); do
        [ ! -s lab/address ] || break
        kill -0 "$lab_process" 2>/dev/null || { cat lab/lab.log; die "the simulated host did not start"; }
        sleep 0.1
    done
    lab_address=$(head -n 1 lab/address)

    say "backing them up over WS-Management while they write"
    lab_backup
    lab_same 1
    lab_backup
    equal "the second backup read what the host's change tracking named, of both" \
        "$("$python" "$ROOT/scripts/demo/readings.py" <lab/backup.json)" "ranges ranges"
    lab_same 2
    equal "what they overwrote during the first backup is as it was in that, and gone in the second" \
        "$(lab_marks 1 ext4) $(lab_marks 1 ntfs) $(lab_marks 2 ext4) $(lab_marks 2 ntfs)" "1 1 0 0"
    kill "$lab_process"
    trap - EXIT
}
