#!/usr/bin/env python3
"""Prints the SHA-256 of what a guest would read from a VHDX or AVHDX, with all its parents.

  disk_sha256.py FILE…

The reader is dissect.hypervisor, which finds each parent by the path that its child names: so this
also proves that the files of a restored chain find each other."""

import hashlib
import sys
from pathlib import Path

from dissect.hypervisor.disk.vhdx import VHDX

for name in sys.argv[1:]:
    disk = VHDX(Path(name))
    digest = hashlib.sha256()
    at = 0
    while at < disk.size:
        block = disk.read(min(1 << 20, disk.size - at))
        if not block:
            raise SystemExit(f"{name}: ends at {at} of {disk.size} bytes")
        digest.update(block)
        at += len(block)
    print(digest.hexdigest(), name)
