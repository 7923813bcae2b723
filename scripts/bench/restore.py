#!/usr/bin/env python3
"""Restores one whole disk with each program in turns, several times, and compares what each restore costs.

  restore.py [--data DIR] [--work DIR] [--out FILE.json] [--tools a,b,c] [--bin DIR]… [--rounds N] [IMAGE]

IMAGE is one of make-dataset.sh's; default vm-a.d1. Each program backs it up into a repository of its own.
Then come rounds, in each of which every program restores it once, and each round begins with another
program, so that what else the machine does meets all of them. Before each restore the repository is
written to the medium and leaves the page cache, so that nobody reads from memory. Told is the median of the rounds:
CPU seconds, wall seconds until the program ends and until the disk is on the medium (an fsync afterwards),
peak memory, bytes that it wrote, and what the restored disk takes there. Every restored disk is compared
with the image by its SHA-256.

Takes, besides the image, the size of the disk and four repositories: 14 GB for vm-a.d1."""

import argparse
import os
import platform
import shutil
import statistics
import time

import costs
from costs import GOOD, out_of_memory, run, sha256, size
from programs import TOOLS, fill

MEDIANS = ("cpu", "wall", "safe", "rss_mib", "written_mib", "allocated_mib", "load")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="bench-data")
    parser.add_argument("--work", default="bench-work")
    parser.add_argument("--out", default="bench-results.json")
    parser.add_argument("--tools", default="hyperkeep,restic,rustic,borg", help="comma-separated")
    parser.add_argument("--bin", action="append", default=[], help="folders searched first for programs")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("image", nargs="?", default="vm-a.d1")
    args = parser.parse_args()
    args.data, args.work, args.out = (os.path.abspath(p) for p in (args.data, args.work, args.out))
    return args


def on_medium(path):
    with open(path, "rb") as file:
        os.fsync(file.fileno())


def restore(title, command, names, env, wanted):
    """One restore: what it cost, and whether the disk is equal."""
    dest, base = names["dest"], names["base"]
    shutil.rmtree(dest, ignore_errors=True)
    os.makedirs(dest)
    out_of_memory(names["repo"])
    began = time.monotonic()
    cost, _ = run(fill(command, **names), env, names["repo"])
    found = [os.path.join(d, f) for d, _, files in os.walk(dest) for f in files if f == base]
    for path in found:
        on_medium(path)
    cost["safe"] = round(time.monotonic() - began, 2)
    cost["allocated_mib"] = os.stat(found[0]).st_blocks // 2048 if found else 0
    cost["equal"] = len(found) == 1 and sha256(found[0]) == wanted
    shutil.rmtree(dest)
    print(f"{title:15} wall {cost['wall']:6.1f}  on the medium {cost['safe']:6.1f}  cpu {cost['cpu']:6.1f}  rss {cost['rss_mib']:5} MiB"
          f"  wrote {cost['written_mib']:5} MiB  takes {cost['allocated_mib']:5} MiB  load {cost['load']:4}"
          f"  equal {cost['equal']}  code {cost['rc']}{cost.get('output', '')}", flush=True)
    return cost


def main():
    args = arguments()
    env = costs.environment(args)
    tools = args.tools.split(",")
    vm, day = args.image.split(".")
    image = f"{args.data}/{args.image}.raw"
    dest, current = f"{args.work}/restore", f"{args.work}/current"
    for folder in (current, f"{args.work}/cache"):
        shutil.rmtree(folder, ignore_errors=True)
    for folder in (current, f"{args.work}/home", f"{args.work}/cache"):
        os.makedirs(folder, exist_ok=True)
    os.link(image, f"{current}/{vm}.raw")
    wanted = sha256(image)
    result = dict(image=args.image, size_mib=os.stat(image).st_size >> 20, allocated_mib=os.stat(image).st_blocks // 2048, rounds=args.rounds,
                  machine=dict(cores=os.cpu_count(), kernel=platform.release(), date=time.strftime("%Y-%m-%d")), tools={})

    names = {}
    for name in tools:
        repo = f"{args.work}/repo-{name}"
        shutil.rmtree(repo, ignore_errors=True)
        names[name] = dict(repo=repo, img=f"{current}/{vm}.raw", vm=vm, day=day, base=f"{vm}.raw", dest=dest, ranges="")
        tool = TOOLS[name]
        _, version = run(tool["version"], env, repo)
        started, _ = run(tool["init"].format(repo=repo), env, repo)
        backup, _ = run(fill(tool["backup"], **names[name]), env, repo)
        for cost in (started, backup):
            if cost["rc"] not in GOOD:
                raise SystemExit(f"{name}: {cost['output']}")
        result["tools"][name] = dict(version=version.splitlines()[0], backup=backup, repo=size(repo))
        print(f"{name:15} backup: wall {backup['wall']:6.1f}  cpu {backup['cpu']:6.1f}  load {backup['load']:4}", flush=True)

    # Title, program, command: a program that has to be told to keep holes takes part twice.
    contestants = [(name + key.removeprefix("restore").replace("_", " "), name, TOOLS[name][key])
                   for name in tools for key in ("restore", "restore_sparse") if key in TOOLS[name]]
    restores = result["restores"] = {title: dict(rounds=[]) for title, _, _ in contestants}
    for number in range(args.rounds):
        first = number % len(contestants)
        for title, name, command in contestants[first:] + contestants[:first]:
            restores[title]["rounds"].append(restore(title, command, names[name], env, wanted))
    for told in restores.values():
        told["median"] = {key: round(statistics.median(cost[key] for cost in told["rounds"]), 2) for key in MEDIANS}
    broken = [title for title, told in restores.items() if not all(cost["equal"] and cost["rc"] in GOOD for cost in told["rounds"])]
    for name in tools:
        shutil.rmtree(names[name]["repo"])
    shutil.rmtree(current)
    results = costs.load(args.out)
    results["restore"] = result
    costs.save(args.out, results)
    if broken:
        raise SystemExit(f"failed or not equal: {', '.join(broken)}")


main()
