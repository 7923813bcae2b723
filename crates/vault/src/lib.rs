//! Cut, identify, seal, pack, index, map, commit and read.
