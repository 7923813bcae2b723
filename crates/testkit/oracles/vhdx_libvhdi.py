"""A VHDX with its parents as libvhdi reads it.

Arguments: the raw file to write, and the layers, the leaf first.
"""

import sys

import pyvhdi

layers = []
for path in sys.argv[2:]:
    layer = pyvhdi.file()
    layer.open(path)
    layers.append(layer)
for child, parent in zip(layers, layers[1:]):
    child.set_parent(parent)
disk = layers[0]
with open(sys.argv[1], "wb") as out:
    left = disk.get_media_size()
    while left:
        piece = disk.read(min(left, 1 << 20))
        if not piece:
            raise SystemExit(f"ends {left} bytes early")
        out.write(piece)
        left -= len(piece)
