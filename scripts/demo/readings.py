#!/usr/bin/env python3
"""Reads `hyperkeep backup --json` and prints how each disk was read of which something was."""

import json
import sys

vms = json.load(sys.stdin)["vms"]
print(" ".join(layer["reading"]["how"] for vm in vms for layer in vm["layers"] if layer["stats"]["read"]))
