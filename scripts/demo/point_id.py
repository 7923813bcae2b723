#!/usr/bin/env python3
"""Reads `hyperkeep points --json` and prints the id of the first or last point: point_id.py first|last."""

import json
import sys

points = sorted(json.load(sys.stdin)["points"], key=lambda point: point["taken"])
print(points[0 if sys.argv[1] == "first" else -1]["id"])
