#!/usr/bin/env python3
"""Runs backup programs over the images of make-dataset.sh and measures all of them the same way.

  measure.py [--data DIR] [--work DIR] [--out FILE.json] [--tools a,b,c] [--bin DIR]…

Every tool does, in one fresh repository: full backups of vm-a, vm-b and vm-c (day 1), then days 2
and 3 of vm-a and vm-c, then list, check (reading all data) and restore of the latest vm-a, whose
SHA-256 is compared with the image's; Hyperkeep also answers random reads of 4 KiB. For each step: wall seconds, user+system CPU seconds of the
whole process tree, peak resident memory of its largest process, bytes of the repository after it,
and the load of the machine. CPU seconds are the figure to compare; wall times on a machine that
does other things are noise.

`hyperkeep` and `bare` read every image in full; `hyperkeep-ranges` and `bare-ranges` are given the
ranges that changed since the day before (64 KiB granularity, as Hyper-V reports them). `bare` is
the example bare_pipeline: the least work that such a backup can be, and no backup program. How each is
called is in programs.py."""

import argparse
import os
import platform
import shutil
import time

import costs
from costs import GOOD, run, sha256, size
from programs import TOOLS, fill

STEPS = ["vm-a.d1", "vm-b.d1", "vm-c.d1", "vm-a.d2", "vm-c.d2", "vm-a.d3", "vm-c.d3"]


BASELINES = {  # one image in, one file out: vm-a, day 1
    "cp --sparse=always": "cp --sparse=always {img} {o}",
    "qemu-img convert to VHDX": "qemu-img convert -f raw -O vhdx -o subformat=dynamic {img} {o}",
    "openssl sha256": "openssl sha256 {img} > {o}",
}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="bench-data")
    parser.add_argument("--work", default="bench-work")
    parser.add_argument("--out", default="bench-results.json")
    parser.add_argument("--tools", default=",".join(TOOLS), help="comma-separated; 'baselines' for plain copies")
    parser.add_argument("--bin", action="append", default=[], help="folders searched first for programs")
    args = parser.parse_args()
    args.data, args.work, args.out = (os.path.abspath(p) for p in (args.data, args.work, args.out))
    return args


def measure(name, args, env, results, save):
    tool, work = TOOLS[name], args.work
    repo, dest, current = f"{work}/repo-{name}", f"{work}/restore", f"{work}/current"
    for folder in (repo, dest, f"{work}/cache", current):
        shutil.rmtree(folder, ignore_errors=True)
    for folder in (dest, current, f"{work}/home", f"{work}/cache"):
        os.makedirs(folder, exist_ok=True)
    result = results[name] = dict(version=run(tool["version"], env, repo)[1].strip(), commands=tool, steps={})

    def step(key, command):
        cost, out = run(command, env, repo)
        cost["repo"] = size(repo)
        if name.startswith(("hyperkeep", "bare")) and key in (*STEPS, "reads"):
            cost["said"] = out.strip()[-20000:]
        result["steps"][key] = cost
        print(f"{name:18}{key:10} wall {cost['wall']:8.1f}  cpu {cost['cpu']:8.1f}  rss {cost['rss_mib']:5} MiB"
              f"  repository {cost['repo'] / 2**20:8.1f} MiB  code {cost['rc']}", flush=True)
        if cost["rc"] not in GOOD:
            print(cost["output"], flush=True)
        save()

    step("init", tool["init"].format(repo=repo))
    last = {}
    for key in STEPS:
        vm, day = key.split(".")
        image = f"{current}/{vm}.raw"
        if os.path.lexists(image):
            os.unlink(image)
        os.link(f"{args.data}/{key}.raw", image)
        ranges = f"{args.data}/{vm}.{last[vm]}-{day}.64k.txt" if vm in last else ""
        last[vm] = day
        step(key, fill(tool["backup"], repo=repo, img=image, vm=vm, day=day, base=f"{vm}.raw", dest=dest, ranges=ranges))
    names = dict(repo=repo, img=f"{current}/vm-a.raw", vm="vm-a", day=last["vm-a"], base="vm-a.raw", dest=dest, ranges="", work=work)
    for key in ("list", "check", "restore", "reads"):
        if key in tool:
            step(key, fill(tool[key], **names))
    if "restore" in tool:
        restored = [os.path.join(d, f) for d, _, files in os.walk(dest) for f in files if f == "vm-a.raw"]
        result["restore_equal"] = bool(restored) and sha256(restored[0]) == sha256(f"{args.data}/vm-a.{last['vm-a']}.raw")
        print(f"{name}: restored image equal: {result['restore_equal']}", flush=True)
    save()
    for folder in (repo, dest, current):
        shutil.rmtree(folder, ignore_errors=True)


def main():
    args = arguments()
    env = costs.environment(args)
    results = costs.load(args.out)
    os.makedirs(args.work, exist_ok=True)
    results["machine"] = dict(cores=os.cpu_count(), kernel=platform.release(), date=time.strftime("%Y-%m-%d"))

    def save():
        costs.save(args.out, results)

    for name in filter(None, args.tools.split(",")):
        if name != "baselines":
            measure(name, args, env, results, save)
            continue
        out = f"{args.work}/out.tmp"
        for title, command in BASELINES.items():
            cost, _ = run(command.format(img=f"{args.data}/vm-a.d1.raw", o=out), env, "")
            results.setdefault("baselines", {})[title] = cost
            os.unlink(out)
            save()
    broken = [n for n in args.tools.split(",") if any(s["rc"] not in GOOD for s in results.get(n, {}).get("steps", {}).values())
              or results.get(n, {}).get("restore_equal") is False]
    if broken:
        raise SystemExit(f"failed or not equal: {', '.join(broken)}")


main()
