#!/usr/bin/env python3
"""Prints the tables of docs/benchmarks.md from the results of the programs beside it.

  table.py RESULTS.json"""

import json
import sys

STEPS = ["vm-a.d1", "vm-b.d1", "vm-c.d1", "vm-a.d2", "vm-c.d2", "vm-a.d3", "vm-c.d3"]


def row(*cells):
    print("| " + " | ".join(str(cell) for cell in cells) + " |")


def head(*cells):
    row(*cells)
    print("|---|" + "---:|" * (len(cells) - 1))


def reads(title, step):
    said = json.loads(step["said"])
    row(title, *(f"{said[k]:.1f}" for k in ("open_ms", "map_ms")), *(f"{said[k]:.2f}" for k in ("mean_ms", "median_ms", "p99_ms")))


def incrementals(steps):
    """What the four later backups cost, with how much was read for a byte that had changed."""
    later = [steps[k] for k in STEPS[3:] if k in steps]
    said = [json.loads(step["said"])["vms"][0]["layers"][0] for step in later]
    compared = sum(layer["reading"].get("compared", 0) for layer in said)
    return sum(step["cpu"] for step in later), sum(layer["stats"]["read"] for layer in said), compared


def restores(told):
    """A whole disk with each program in turns: medians, and ratios to the first."""
    machine, size = told["machine"], told["size_mib"]
    print(f"\nRestoring {told['image']}, {size} MiB of which {told['allocated_mib']} are allocated; the median of {told['rounds']} rounds"
          f" ({machine['cores']} cores, Linux {machine['kernel']}, {machine['date']})\n")
    for name, program in told["tools"].items():
        print(f"- {name}: {program['version']}; repository {program['repo'] / 2**20:.0f} MiB")
    print()
    head("program", "CPU s", "wall s", "until it is on the medium", "peak MiB", "wrote MiB", "takes MiB", "load", "all equal")
    for title, restore in told["restores"].items():
        m = restore["median"]
        row(title, *(m[key] for key in ("cpu", "wall", "safe", "rss_mib", "written_mib", "allocated_mib")),
            f"{min(cost['load'] for cost in restore['rounds'])} to {max(cost['load'] for cost in restore['rounds'])}",
            "yes" if all(cost["equal"] for cost in restore["rounds"]) else "NO")
    first, *others = told["restores"]
    print()
    head(f"{first} to", "CPU", "wall", "on the medium")
    for title in others:
        row(title, *(f"{told['restores'][first]['median'][key] / told['restores'][title]['median'][key]:.2f}" for key in ("cpu", "wall", "safe")))


def backups(machine, results, tools):
    """Every program over all images."""
    print(f"Machine: {machine.get('cores')} cores, Linux {machine.get('kernel')}, {machine.get('date')}.\n")
    for name, result in results.items():
        print(f"- {name}: {result['version'].splitlines()[0]}" + ("" if "restore_equal" not in result else f"; restored image equal: {'yes' if result['restore_equal'] else 'NO'}"))

    print("\nCPU seconds / wall seconds\n")
    keys = [*STEPS, "list", "check", "restore"]
    head("tool", *keys)
    for name, steps in tools.items():
        row(name, *(f"{steps[k]['cpu']:.1f} / {steps[k]['wall']:.1f}" if k in steps else "" for k in keys))

    print("\nRepository in MiB after each step\n")
    head("tool", *STEPS)
    for name, steps in tools.items():
        row(name, *(f"{steps[k]['repo'] / 2**20:.0f}" if k in steps else "" for k in STEPS))

    print("\nPeak memory in MiB of the largest process\n")
    head("tool", "backup", "check", "restore")
    for name, steps in tools.items():
        row(name, max(steps[k]["rss_mib"] for k in STEPS if k in steps), *(steps[k]["rss_mib"] if k in steps else "" for k in ("check", "restore")))

    print("\nRatios in this run\n")
    head("what", "value")
    cpu = {name: sum(steps[k]["cpu"] for k in STEPS if k in steps) for name, steps in tools.items()}
    for ours, bare in (("hyperkeep", "bare"), ("hyperkeep-ranges", "bare-ranges")):
        for other in (bare, "restic", "rustic", "borg"):
            if ours in cpu and other in cpu:
                row(f"CPU of the 7 backups, {ours} to {other}", f"{cpu[ours] / cpu[other]:.2f}")
        for other in ("restic", "rustic", "borg"):
            if ours in tools and other in tools:
                row(f"repository after the 7 backups, {ours} to {other}", f"{tools[ours]['vm-c.d3']['repo'] / tools[other]['vm-c.d3']['repo']:.3f}")
                if "restore" in tools[ours] and "restore" in tools[other]:
                    row(f"CPU of the restore, {ours} to {other}", f"{tools[ours]['restore']['cpu'] / tools[other]['restore']['cpu']:.2f}")


def main():
    with open(sys.argv[1]) as file:
        results = json.load(file)
    machine = results.pop("machine", {})
    big = results.pop("big-disk", {})
    baselines = results.pop("baselines", {})
    guest = results.pop("guest-files", {})
    restored = results.pop("restore", {})
    tools = {name: result["steps"] for name, result in results.items()}
    if tools:
        backups(machine, results, tools)
    if "bare-ranges" in tools and "hyperkeep-ranges" in tools:
        ours, bare = tools["hyperkeep-ranges"], tools["bare-ranges"]
        cost, read, compared = incrementals(ours)
        given = sum(int(bare[k]["said"].split()[1]) for k in STEPS[3:])
        stored = ours["vm-c.d3"]["repo"] - ours["vm-c.d1"]["repo"]
        row("bytes read by the four incrementals to bytes given as changed", f"{read / given:.2f}")
        row("of which to compare what should be unchanged", f"{compared / given:.2f}")
        row("CPU of the four incrementals, hyperkeep-ranges to bare-ranges", f"{cost / sum(bare[k]['cpu'] for k in STEPS[3:]):.2f}")
        row("bytes stored by the four incrementals, metadata included", f"{stored / 2**20:.0f} MiB")

    if restored:
        restores(restored)
    if baselines:
        print("\nPlain programs on vm-a of day 1\n")
        head("command", "CPU s", "wall s")
        for title, cost in baselines.items():
            row(title, cost["cpu"], cost["wall"])
    if guest:
        print(f"\nA guest's disk with {guest['files']} files and {guest['data_gib']} GiB of data\n")
        head("command", "CPU s", "wall s", "wall, least to most", "peak MiB", "read MiB", "load")
        for title in ("backup", "root", "folder", "folders", "file", "first", "disk"):
            walls = [cost["wall"] for cost in guest["rounds"][title]]
            row(title, guest[title]["cpu"], guest[title]["wall"], f"{min(walls)} to {max(walls)}",
                *(guest[title][key] for key in ("rss_mib", "read_mib", "load")))
    if big:
        print("\nA large sparse disk\n")
        head("disk", "step", "CPU / wall s", "vault grew by MiB", "memory MiB", "restored equal")
        for name, b in big.items():
            last = b["init"]["repo"]
            for key in ("full", "small", "small back", "incremental", "incremental back"):
                step = b[key]
                of = f"{b['data_mib']} MiB" if key == "full" else f"{b['changed'][key.removesuffix(' back')] >> 20} MiB of pages" + key.endswith("back") * ", changed back"
                told = "" if key != "incremental" else "yes" if b["equal"] else "NO"
                row(name, of, f"{step['cpu']:.2f} / {step['wall']:.2f}", f"{(step['repo'] - last) / 2**20:.1f}", step["rss_mib"], told)
                last = step["repo"]

    answered = {name: steps["reads"] for name, steps in tools.items() if "reads" in steps}
    answered |= {f"disk of {name}": b["reads"] for name, b in big.items() if "reads" in b}
    if answered:
        print("\nA disk in the vault: opened, its whole map read, and 4 KiB at random places; ms\n")
        head("vault", "open", "map", "read, mean", "median", "99 %")
        for name, step in answered.items():
            reads(name, step)


main()
