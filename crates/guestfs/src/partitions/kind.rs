//! What a partition is for.

use uuid::{Uuid, uuid};

/// `LDM_METADATA_PARTITION` and `LDM_DATA_PARTITION`.
const DYNAMIC: [Uuid; 2] = [
    uuid!("5808c8aa-7e8f-42e0-85d2-e1e90434cfb3"),
    uuid!("af9b60a0-1431-4f62-bc68-3311714a69ad"),
];
/// The type of a dynamic disk's partitions in an MBR.
const DYNAMIC_MBR: u8 = 0x42;
const STORAGE_SPACES: Uuid = uuid!("e75caf8f-f680-4cee-afa3-b001e56efc2d");

/// What people call them.
const NAMES: [(Uuid, &str); 20] = [
    (uuid!("c12a7328-f81f-11d2-ba4b-00a0c93ec93b"), "EFI system"),
    (
        uuid!("e3c9e316-0b5c-4db8-817d-f92df00215ae"),
        "Microsoft reserved",
    ),
    (uuid!("ebd0a0a2-b9e5-4433-87c0-68b6b72699c7"), "basic data"),
    (
        uuid!("de94bba4-06d1-4d40-a16a-bfd50179d6ac"),
        "Windows recovery",
    ),
    (DYNAMIC[0], "dynamic disk's database"),
    (DYNAMIC[1], "dynamic disk's data"),
    (STORAGE_SPACES, "Storage Spaces"),
    (
        uuid!("558d43c5-a1ac-43c0-aac8-d1472b2923d1"),
        "Storage Replica",
    ),
    (uuid!("0fc63daf-8483-4772-8e79-3d69d8477de4"), "Linux data"),
    (uuid!("4f68bce3-e8cd-4db1-96e7-fbcaf984b709"), "Linux root"),
    (uuid!("b921b045-1df0-41c3-af44-4c6f280d3fae"), "Linux root"),
    (uuid!("933ac7e1-2eb4-4f13-b844-0e14e2aef915"), "Linux home"),
    (uuid!("bc13c2ff-59e6-4262-a352-b275fd6f7172"), "Linux boot"),
    (uuid!("0657fd6d-a4ab-43c4-84e5-0933c84b4f4f"), "Linux swap"),
    (uuid!("e6d6d379-f507-44c2-a23c-238f2a3df928"), "Linux LVM"),
    (uuid!("a19d880f-05fc-4d3b-a006-743f0f84911e"), "Linux RAID"),
    (uuid!("ca7d7ccb-63ed-4c53-861c-1742536059cc"), "Linux LUKS"),
    (uuid!("21686148-6449-6e6f-744e-656564454649"), "BIOS boot"),
    (uuid!("516e7cb6-6ecf-11d6-8ff8-00022d09712b"), "FreeBSD UFS"),
    (uuid!("516e7cba-6ecf-11d6-8ff8-00022d09712b"), "FreeBSD ZFS"),
];

/// What a table says that a partition is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// By the type of an MBR.
    Mbr(u8),
    /// By the type of a GPT.
    Gpt(Uuid),
}

impl Kind {
    /// Whether it belongs to a dynamic disk (LDM).
    pub fn is_dynamic(self) -> bool {
        match self {
            Self::Mbr(kind) => kind == DYNAMIC_MBR,
            Self::Gpt(kind) => DYNAMIC.contains(&kind),
        }
    }

    /// Whether it has the database of a dynamic disk, and nothing else.
    pub fn is_ldm_database(self) -> bool {
        self == Self::Gpt(DYNAMIC[0])
    }

    /// Whether it belongs to a pool of Windows' Storage Spaces.
    pub fn is_storage_spaces(self) -> bool {
        self == Self::Gpt(STORAGE_SPACES)
    }

    /// What people call it, if it is a common one.
    pub fn name(self) -> Option<&'static str> {
        match self {
            Self::Gpt(kind) => NAMES
                .iter()
                .find(|(one, _)| *one == kind)
                .map(|(_, name)| *name),
            Self::Mbr(kind) => Some(match kind {
                0x01 | 0x04 | 0x06 | 0x0b | 0x0c | 0x0e => "FAT",
                0x07 => "NTFS, exFAT or ReFS",
                0x27 => "Windows recovery",
                DYNAMIC_MBR => "dynamic disk",
                0x82 => "Linux swap",
                0x83 => "Linux data",
                0x8e => "Linux LVM",
                0xa5 | 0xa6 | 0xa9 => "BSD",
                0xe8 => "Linux LUKS",
                0xef => "EFI system",
                0xfd => "Linux RAID",
                _ => return None,
            }),
        }
    }
}
