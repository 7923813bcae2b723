#!/usr/bin/env python3
"""Lists a folder, and restores a file, of a disk with many files in a vault; beside restoring the disk first.

  guest_files.py [--work DIR] [--out FILE.json] [--bin DIR]… [--gib N] [--data GIB] [--rounds N] [FILES]
                                                                                      default: 1000000 files

An ext4 with so many files, a hundred in each folder, and some GiB of data beside them, made with a loop mount
(root). Each command is a program of its own: unlocking the vault is part of what it takes. The commands take
turns, and the median of the rounds is told. Before each, the vault leaves the page cache. To restore the disk
first is what a program does that knows of no files in a disk: it is restored, mounted, and the file is read."""

import argparse
import os
import shutil
import statistics
import subprocess
import tempfile

import costs

IN_FOLDER = 100
IN_ROOT = 100


def make(disk, size, files, data):
    """The disk."""
    with open(disk, "wb") as file:
        file.truncate(size)
    subprocess.run(["mke2fs", "-q", "-F", "-t", "ext4", "-N", str(files + files // 10), disk], check=True)
    with tempfile.TemporaryDirectory() as root:
        subprocess.run(["mount", "-o", "loop", disk, root], check=True)
        try:
            for folder in range(files // IN_FOLDER):
                path = f"{root}/a{folder % IN_ROOT}/b{folder // IN_ROOT}"
                os.makedirs(path)
                for file in range(IN_FOLDER):
                    # One in ten has contents.
                    with open(f"{path}/file{file}", "w") as out:
                        out.write(f"{folder} {file}\n" if file % 10 == 0 else "")
            with open(f"{root}/large", "wb") as out:
                for _ in range(data << 6):
                    out.write(os.urandom(16 << 20))
        finally:
            subprocess.run(["umount", root], check=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", default="bench-work")
    parser.add_argument("--out", default="bench-results.json")
    parser.add_argument("--bin", action="append", default=[])
    parser.add_argument("--gib", type=int, default=32)
    parser.add_argument("--data", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("files", nargs="?", type=int, default=1_000_000)
    args = parser.parse_args()
    args.work, args.out = os.path.abspath(args.work), os.path.abspath(args.out)
    env = costs.environment(args)
    repo, disk, dest = (f"{args.work}/{n}" for n in ("repo-guest", "guest.raw", "restore"))
    for folder in (repo, dest, f"{args.work}/cache"):
        shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(f"{args.work}/home", exist_ok=True)
    make(disk, args.gib << 30, args.files, args.data)
    rounds = {}

    def step(key, command, said=None):
        costs.out_of_memory(repo)
        cost, out = costs.run(command, env, repo)
        rounds.setdefault(key, []).append(cost)
        print(f"{key:10} wall {cost['wall']:8.2f}  cpu {cost['cpu']:8.2f}  rss {cost['rss_mib']:5} MiB  load {cost['load']:5}  code {cost['rc']}", flush=True)
        if "output" in cost or said and said not in out:
            raise SystemExit(f"{key}: {out}{cost.get('output', '')}")

    folder = f"d0/a7/b{args.files // IN_FOLDER // IN_ROOT // 2}"
    number = folder.rsplit("b", 1)[1]
    words = f"{int(number) * IN_ROOT + 7} 50"
    point = "guest.raw@latest"
    step("init", "hyperkeep --quiet init >/dev/null")
    step("backup", f"hyperkeep --quiet --json backup folder:{disk}")
    for _ in range(args.rounds):
        step("root", f"hyperkeep --quiet ls {point}:/d0", "a99")
        step("folder", f"hyperkeep --quiet ls {point}:/{folder}", "file99")
        # A hundred others in one session: what there is to it besides unlocking.
        step("folders", f"for n in {{0..99}}; do echo ls /d0/a$n/b{number}; done | hyperkeep --quiet browse {point} --script - | grep -c file99", "100")
        step("file", f"hyperkeep --quiet restore files {point} /{folder}/file50 --tar - | tar xO", words)
        # Of a large file, and then the reader goes away.
        step("first", f"hyperkeep --quiet restore files {point} /d0/large --tar - 2>/dev/null | tar xO 2>/dev/null | head -c 1 | wc -c", "1")
        step("disk", f"""
            hyperkeep --quiet restore disks {point} --to {dest} && mkdir {dest}/mnt &&
            mount -o loop,ro {dest}/guest.raw {dest}/mnt && cat {dest}/mnt/{folder.removeprefix('d0/')}/file50; umount {dest}/mnt""", words)
        shutil.rmtree(dest)
    result = {key: {what: round(statistics.median(cost[what] for cost in told), 2) for what in told[0] if what != "output"}
              for key, told in rounds.items()}
    results = costs.load(args.out)
    results["guest-files"] = dict(result, rounds=rounds, files=args.files, data_gib=args.data, repo=costs.size(repo))
    costs.save(args.out, results)
    for folder in (repo, dest):
        shutil.rmtree(folder, ignore_errors=True)
    os.unlink(disk)


main()
