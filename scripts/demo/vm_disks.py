#!/usr/bin/env python3
"""Prints the disks that the configuration of an exported VM names, as they lie in the export.

  vm_disks.py FOLDER

The configuration is read by dissect.hypervisor. An export's configuration tells each disk's path on
the host that it came from; the restored disks have the same names. Fails when one is not there."""

import ntpath
import sys
from pathlib import Path

from dissect.hypervisor.descriptor.hyperv import HyperVFile

DISKS = (".vhd", ".vhdx", ".avhd", ".avhdx")


def strings(value):
    if isinstance(value, dict):
        for child in value.values():
            yield from strings(child)
    elif isinstance(value, str):
        yield value


folder = Path(sys.argv[1])
[configuration] = (folder / "Virtual Machines").glob("*.vmcx")
with configuration.open("rb") as file:
    named = [text for text in strings(HyperVFile(file).as_dict()) if text.lower().endswith(DISKS)]
if not named:
    raise SystemExit(f"{configuration}: names no disk")
for name in dict.fromkeys(ntpath.basename(text) for text in named):
    disk = folder / "Virtual Hard Disks" / name
    if not disk.is_file():
        raise SystemExit(f"{configuration}: names {name}, which is not in {disk.parent}")
    print(disk)
