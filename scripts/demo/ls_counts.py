#!/usr/bin/env python3
"""Reads `hyperkeep ls folder:… --json` and prints how many VMs, layers of their disks, and checkpoints
there are."""

import json
import sys

vms = json.load(sys.stdin)["vms"]
layers = {path for vm in vms for disk in vm["holds"]["disks"] for path in disk["chain"]}
checkpoints = sum(len(vm["holds"]["checkpoints"]) for vm in vms)
print(f"{len(vms)} VM, {len(layers)} layers, {checkpoints} checkpoints")
