#!/usr/bin/env python3
"""Backs up a large sparse disk, changes a little of it everywhere, and backs it up again.

  big_disk.py --dbtool PROGRAM [--work DIR] [--out FILE.json] [--bin DIR]… [SIZE_GIB…]    default: 64 2048 10240

Each disk holds the same data (3 GiB of database pages, 1 GiB of noise, spread over the whole disk in
pieces of 64 MiB). Then pages of 4 KiB are rewritten, scattered over the data, and given as changed
ranges: 2,560 of them (10 MiB), the same ones back to what they were, 25,600 (100 MiB), and back. An
incremental's time, memory, and what it stores must follow the changes and not the size of the disk, for
second changes of the same places as for first ones. A restore is compared with the changed disk, hole by
hole. Then the disk is opened in the vault, and pages all over it are read: opening, too, must not take
longer."""

import argparse
import os
import random
import shutil
import subprocess

import costs

PIECE = 64 << 20
PAGE = 4096
CHANGES = {"small": 2560, "incremental": 25600}


def make(path, size, dbtool, work):
    """The disk, and where its pieces lie."""
    for kind, mib, name in (("gen", 3072, "db"), ("rand", 1024, "noise")):
        subprocess.run([dbtool, kind, f"{work}/{name}.bin", str(mib), "77"], check=True)
    pieces = 4096 * (1 << 20) // PIECE
    places = [(size // pieces * n) // PIECE * PIECE for n in range(pieces)]
    with open(path, "wb") as disk:
        disk.truncate(size)
        for name in ("db", "noise"):
            with open(f"{work}/{name}.bin", "rb") as data:
                for place in places[:48] if name == "db" else places[48:]:
                    disk.seek(place)
                    disk.write(data.read(PIECE))
    for name in ("db", "noise"):
        os.unlink(f"{work}/{name}.bin")
    return places


def change(path, places, ranges, count):
    """Rewrites scattered pages and writes down where; what was there before."""
    rng = random.Random(count)
    before = {}
    pages = PIECE // PAGE
    chosen = sorted(places[n // pages] + n % pages * PAGE for n in rng.sample(range(len(places) * pages), count))
    with open(path, "r+b") as disk, open(ranges, "w") as out:
        for offset in chosen:
            disk.seek(offset)
            before[offset] = disk.read(PAGE)
            page = bytearray(before[offset])
            page[100:164] = rng.randbytes(64)
            disk.seek(offset)
            disk.write(page)
            out.write(f"{offset} {PAGE}\n")
    return before


def change_back(path, before):
    with open(path, "r+b") as disk:
        for offset, page in before.items():
            disk.seek(offset)
            disk.write(page)


def equal(a, b):
    """Whether two sparse files hold the same bytes; holes are not read where both have them."""
    with open(a, "rb") as x, open(b, "rb") as y:
        size = os.fstat(x.fileno()).st_size
        if size != os.fstat(y.fileno()).st_size:
            return False

        def next_data(file, at):
            try:
                return os.lseek(file.fileno(), at, os.SEEK_DATA)
            except OSError:
                return size

        at = 0
        while at < size:
            at = min(next_data(x, at), next_data(y, at)) // PAGE * PAGE
            x.seek(at)
            y.seek(at)
            block, other = x.read(1 << 20), y.read(1 << 20)
            if block != other:
                return False
            at += len(block) or 1
    return True


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dbtool", required=True)
    parser.add_argument("--work", default="bench-work")
    parser.add_argument("--out", default="bench-results.json")
    parser.add_argument("--bin", action="append", default=[])
    parser.add_argument("sizes", nargs="*", type=int, default=[64, 2048, 10240])
    args = parser.parse_args()
    args.work, args.out = os.path.abspath(args.work), os.path.abspath(args.out)
    env = costs.environment(args)
    results = costs.load(args.out)
    ok = True
    for gib in args.sizes:
        repo, disk, ranges, dest = (f"{args.work}/{n}" for n in ("repo-big", "big.raw", "big.txt", "restore"))
        for folder in (repo, dest, f"{args.work}/cache"):
            shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(f"{args.work}/home", exist_ok=True)
        places = make(disk, gib << 30, os.path.abspath(args.dbtool), args.work)
        result = dict(data_mib=4096, changed={key: count * PAGE for key, count in CHANGES.items()})

        def step(key, command):
            cost, out = costs.run(command, env, repo)
            cost.update(repo=costs.size(repo), said=out[-20000:])
            result[key] = cost
            print(f"{gib:5} GiB {key:16} wall {cost['wall']:8.1f}  cpu {cost['cpu']:8.1f}  rss {cost['rss_mib']:5} MiB  repository {cost['repo'] / 2**20:8.1f} MiB  code {cost['rc']}", flush=True)
            if "output" in cost:
                print(cost["output"])

        step("init", "hyperkeep --quiet init >/dev/null")
        step("full", f"hyperkeep --quiet --json backup folder:{disk}")
        incremental = f"hyperkeep --quiet --json backup folder:{disk} --changed-ranges {ranges}"
        for key, count in CHANGES.items():
            before = change(disk, places, ranges, count)
            step(key, incremental)
            if key == "incremental":
                step("restore", f"hyperkeep --quiet restore disks big.raw@latest --to {dest}")
                step("reads", f"random_reads {repo} {args.work}/cache/hyperkeep {disk}")
                restored = [os.path.join(d, f) for d, _, files in os.walk(dest) for f in files if f == "big.raw"]
                result["equal"] = bool(restored) and equal(disk, restored[0])
                ok = ok and result["equal"]
            change_back(disk, before)
            step(f"{key} back", incremental)
        results.setdefault("big-disk", {})[f"{gib} GiB"] = result
        costs.save(args.out, results)
        shutil.rmtree(dest, ignore_errors=True)
        shutil.rmtree(repo, ignore_errors=True)
        os.unlink(disk)
    if not ok:
        raise SystemExit("a restored disk is not equal")


main()
