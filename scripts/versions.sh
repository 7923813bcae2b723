# Versions of the cargo tools that the scripts use; Python's are in requirements.txt.
# shellcheck disable=SC2034
CARGO_DENY=0.20.2
CARGO_FUZZ=0.13.2
