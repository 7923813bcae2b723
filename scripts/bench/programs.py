"""How each backup program is called: shared by measure.py and restore.py.

To measure another one, add an entry to TOOLS: {repo} {img} {vm} {day} {dest} {base} {ranges} are filled in;
{img} is the same path for a VM on every day; {ranges} is empty on the first. Where a program has to be told
to keep holes when it restores, restore_sparse is that, and restore.py measures both."""

def hyperkeep(ranges):
    return dict(
        version="hyperkeep --version",
        init="hyperkeep --quiet init >/dev/null",
        backup="hyperkeep --quiet --json backup folder:{img}" + (" {ranges:--changed-ranges}" if ranges else ""),
        list="hyperkeep points",
        check="hyperkeep --quiet check --read-data",
        restore="hyperkeep --quiet restore disks {base}@latest --to {dest}/out",
        # Of the newest point, which is vm-c's; compared with the image.
        reads="random_reads {repo} {work}/cache/hyperkeep {work}/current/vm-c.raw",
    )


def bare(ranges):
    return dict(
        version="echo 'example bare_pipeline'",
        init="mkdir -p {repo}",
        backup="bare_pipeline {repo}/packs {repo}/ids {img}" + (" {ranges:--ranges}" if ranges else ""),
    )


TOOLS = {
    "hyperkeep": hyperkeep(False),
    "hyperkeep-ranges": hyperkeep(True),
    "bare": bare(False),
    "bare-ranges": bare(True),
    "restic": dict(
        version="restic version",
        init="restic -q init -r {repo}",
        backup="restic -q -r {repo} backup --tag {vm}-{day} {img}",
        list="restic -q -r {repo} snapshots",
        check="restic -q -r {repo} check --read-data",
        restore="restic -q -r {repo} restore latest --tag {vm}-{day} --target {dest}",
    ),
    "rustic": dict(
        version="rustic --version",
        init="rustic -r {repo} init",
        backup="rustic -r {repo} backup --tag {vm}-{day} {img}",
        list="rustic -r {repo} snapshots",
        check="rustic -r {repo} check --read-data",
        restore="rustic -r {repo} restore --filter-tags {vm}-{day} latest {dest}",
        restore_sparse="rustic -r {repo} restore --sparse by-content --filter-tags {vm}-{day} latest {dest}",
    ),
    # Chunks of 4 MiB and --sparse are borg's own advice for disk images.
    "borg": dict(
        version="borg --version",
        init="borg init -e repokey-blake2 {repo}",
        backup="borg create -C zstd,3 --chunker-params fixed,4194304 --sparse {repo}::{vm}-{day} {img}",
        list="borg list {repo}",
        check="borg check --verify-data {repo}",
        restore="cd {dest} && borg extract --sparse {repo}::{vm}-{day}",
    ),
}


def fill(command, **names):
    """Like format, and {ranges:--option} is the option with its file, or nothing on the first day."""
    ranges = names.get("ranges", "")
    for option in ("--changed-ranges", "--ranges"):
        command = command.replace("{ranges:%s}" % option, f"{option} {ranges}" if ranges else "")
    return command.format(**names)
