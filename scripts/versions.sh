# shellcheck shell=bash disable=SC2034
# Versions of the cargo tools that the scripts use; Python's are in requirements.txt.
CARGO_DENY=0.20.2
CARGO_FUZZ=0.13.2
RUSTIC=0.11.4
