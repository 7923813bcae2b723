"""Reads HyperVStorage files with dissect.hypervisor and prints their trees as JSON, one a line.

usage: hvs_tree.py FILE...

An entry is [name, type, value]; a node's value is the list of its entries. Text is its UTF-16LE
bytes in hex, a float its IEEE bits in hex, and an integer a string: JSON can hold none of them
exactly. The library keeps children in a dict and so loses repeated names; this script asks it for
the entries one by one and orders siblings itself, by insertion sequence.
"""

import json
import struct
import sys

from dissect.hypervisor.descriptor.c_hyperv import KeyDataType
from dissect.hypervisor.descriptor.hyperv import HyperVFile


def value(entry):
    kind = entry.type
    if kind == KeyDataType.Int:
        return ["int", str(entry.value)]
    if kind == KeyDataType.UInt:
        return ["uint", str(entry.value)]
    if kind == KeyDataType.Double:
        return ["double", struct.pack(">d", entry.value).hex()]
    if kind == KeyDataType.String:
        return ["string", entry.value.encode("utf-16-le").hex()]
    if kind == KeyDataType.Array:
        return ["bytes", bytes(entry.value).hex()]
    if kind == KeyDataType.Bool:
        return ["bool", entry.value]
    raise SystemExit(f"unexpected type {kind}")


def tree(path):
    with open(path, "rb") as fh:
        file = HyperVFile(fh)
        below = {}
        for tables in file.key_tables.values():
            for entry in tables[0].entries:
                if entry.type != KeyDataType.Free:
                    below.setdefault(id(entry.parent) if entry.parent else None, []).append(entry)

        def entries(parent):
            found = sorted(below.get(parent, []), key=lambda e: e.header.insertion_sequence)
            return [
                [e.key, "node", entries(id(e))] if e.type == KeyDataType.Node else [e.key, *value(e)]
                for e in found
            ]

        return entries(None)


for name in sys.argv[1:]:
    print(json.dumps(tree(name)))
