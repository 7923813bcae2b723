//! What is allowed: the tables that the lints read.

/// The crates of the workspace in the order a byte meets them, each with those it may use.
///
/// Tests may also use `hyperkeep-testkit` and any crate that stands higher in the table.
pub(crate) const CRATES: &[(&str, &[&str])] = &[
    ("hyperkeep-hostfile", &[]),
    ("hyperkeep-disk", &["hyperkeep-hostfile"]),
    ("hyperkeep-guestfs", &["hyperkeep-disk"]),
    ("hyperkeep-vmconfig", &["hyperkeep-hostfile"]),
    ("hyperkeep-cim", &[]),
    (
        "hyperkeep-lab",
        &["hyperkeep-disk", "hyperkeep-vmconfig", "hyperkeep-cim"],
    ),
    (
        "hyperkeep-hyperv",
        &["hyperkeep-disk", "hyperkeep-vmconfig", "hyperkeep-cim"],
    ),
    (
        "hyperkeep-sharefiles",
        &["hyperkeep-disk", "hyperkeep-cim", "hyperkeep-hyperv"],
    ),
    ("hyperkeep-vault-format", &[]),
    ("hyperkeep-store", &["hyperkeep-hostfile"]),
    (
        "hyperkeep-vault",
        &[
            "hyperkeep-hostfile",
            "hyperkeep-vault-format",
            "hyperkeep-store",
        ],
    ),
    (
        "hyperkeep-engine",
        &[
            "hyperkeep-hostfile",
            "hyperkeep-disk",
            "hyperkeep-guestfs",
            "hyperkeep-vmconfig",
            "hyperkeep-cim",
            "hyperkeep-hyperv",
            "hyperkeep-vault-format",
            "hyperkeep-store",
            "hyperkeep-vault",
        ],
    ),
    (
        "hyperkeep-cli",
        &[
            "hyperkeep-disk",
            "hyperkeep-vmconfig",
            "hyperkeep-cim",
            "hyperkeep-hyperv",
            "hyperkeep-vault-format",
            "hyperkeep-store",
            "hyperkeep-vault",
            "hyperkeep-engine",
            "hyperkeep-sharefiles",
            "hyperkeep-lab",
        ],
    ),
    (TESTKIT, &["hyperkeep-disk", "hyperkeep-vmconfig"]),
    ("xtask", &[]),
];

/// What only tests may use.
pub(crate) const TESTKIT: &str = "hyperkeep-testkit";

/// Crates of others that only some of ours may use, tests included, with the reason.
pub(crate) const RESERVED: &[(&str, &[&str], &str)] = &[
    ("anyhow", BINARIES, "libraries have typed errors"),
    ("clap", BINARIES, "only programs have arguments"),
    ("clap_complete", BINARIES, "only programs have arguments"),
    ("clap_mangen", BINARIES, "only programs have arguments"),
    ("indicatif", BINARIES, "only programs have a terminal"),
    ("ratatui", BINARIES, "only programs have a terminal"),
    ("rpassword", BINARIES, "only programs have a terminal"),
    (
        "tokio",
        &[],
        "the pipeline is threads; async comes only with network crates",
    ),
    (
        "futures",
        &[],
        "the pipeline is threads; async comes only with network crates",
    ),
];

const BINARIES: &[&str] = &["hyperkeep-cli", "xtask"];

/// Files that may contain `unsafe`: each binds the operating system, or the allocator of a test.
pub(crate) const UNSAFE_FILES: &[&str] = &[
    "crates/hostfile/src/windows.rs",
    "crates/store/src/rename.rs",
    "crates/testkit/src/memory.rs",
];

/// Crates whose parsers never touch a file system, clock or network, with the files that may.
pub(crate) const PURE_CRATES: &[(&str, &[&str])] = &[
    (
        "crates/disk/src/",
        &[
            "crates/disk/src/file.rs",
            "crates/disk/src/resolve/folders.rs",
        ],
    ),
    (
        "crates/vmconfig/src/",
        &["crates/vmconfig/src/layout/fs.rs"],
    ),
    ("crates/guestfs/src/", &[]),
    ("crates/vault-format/src/", &[]),
];

/// What a pure crate does not name outside those files.
pub(crate) const IMPURE: &[&str] = &[
    "hostfile::",
    "std::fs",
    "std::net",
    "std::env",
    "std::process",
    "std::thread",
    "SystemTime",
    "Instant",
];

/// Lines that a Rust file may have. A longer one is split along its nouns.
pub(crate) const MOST_LINES: usize = 500;

/// Bytes that one input of a committed fuzz corpus may have.
pub(crate) const MOST_CORPUS_BYTES: u64 = 64 * 1024;
