"""What one command costs, and what else the programs beside it share."""

import hashlib
import json
import os
import subprocess
import time

# Exit codes of a success: 3 is Hyperkeep's "all data is safe, something needs attention".
GOOD = (0, 3)


def environment(args):
    work = args.work
    return dict(
        os.environ,
        PATH=":".join([*map(os.path.abspath, args.bin), os.environ["PATH"]]),
        HOME=f"{work}/home", TMPDIR=work, XDG_CACHE_HOME=f"{work}/cache",
        HYPERKEEP_VAULT="{repo}", HYPERKEEP_PASSPHRASE="bench", HYPERKEEP_CACHE_DIR=f"{work}/cache/hyperkeep",
        RESTIC_PASSWORD="bench", RESTIC_CACHE_DIR=f"{work}/cache/restic",
        RUSTIC_PASSWORD="bench", RUSTIC_CACHE_DIR=f"{work}/cache/rustic", RUSTIC_LOG_LEVEL="warn", RUSTIC_NO_PROGRESS="true",
        BORG_PASSPHRASE="bench", BORG_BASE_DIR=f"{work}/cache/borg", BORG_RELOCATED_REPO_ACCESS_IS_OK="yes",
    )


def size(path):
    """Bytes of all files below a folder."""
    return sum(os.lstat(os.path.join(d, f)).st_size for d, _, names in os.walk(path) for f in names)


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 22):
            digest.update(block)
    return digest.hexdigest()


def out_of_memory(folder):
    """Takes the files of a repository, and nothing else, out of the page cache."""
    for where, _, names in os.walk(folder):
        for name in names:
            with open(os.path.join(where, name), "rb") as file:
                os.fsync(file.fileno())
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def run(command, env, repo):
    """Runs a shell command; what it cost, and what it printed."""
    env = {key: value.replace("{repo}", repo) for key, value in env.items()}
    began = time.monotonic()
    child = subprocess.Popen(["bash", "-c", command], env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    # stderr is small for all of these; a pipe's buffer holds it until stdout has ended.
    out = child.stdout.read()
    err = child.stderr.read()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    cost = dict(
        wall=round(time.monotonic() - began, 2),
        cpu=round(usage.ru_utime + usage.ru_stime, 2),
        rss_mib=usage.ru_maxrss // 1024,
        # Linux counts blocks of 512 bytes, those that are still in the page cache too.
        written_mib=usage.ru_oublock // 2048,
        read_mib=usage.ru_inblock // 2048,
        rc=child.returncode,
        load=round(os.getloadavg()[0], 1),
    )
    if child.returncode not in GOOD:
        cost["output"] = (out + err)[-2000:]
    return cost, out


def load(path):
    """The results so far, so that tools can be measured in several runs of the program."""
    if not os.path.exists(path):
        return {}
    with open(path) as file:
        return json.load(file)


def save(path, results):
    """Writes the results; a reader sees the old ones or the new ones."""
    with open(path + ".tmp", "w") as file:
        json.dump(results, file, indent=1)
    os.replace(path + ".tmp", path)
