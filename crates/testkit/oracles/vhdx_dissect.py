"""A VHDX with its parents as dissect.hypervisor reads it.

Arguments: the leaf, and the raw file to write. Parents are found by the package itself, along the
child's relative path.
"""

import sys
from pathlib import Path

from dissect.hypervisor.disk.vhdx import VHDX

disk = VHDX(Path(sys.argv[1]))
# Eight sectors at a time, which is one byte of a sector bitmap: a longer read that begins within a
# block runs over the block's end, and one that begins within a byte is miscounted.
with open(sys.argv[2], "wb") as out:
    for sector in range(0, disk.size // disk.sector_size, 8):
        out.write(disk.read_sectors(sector, 8))
