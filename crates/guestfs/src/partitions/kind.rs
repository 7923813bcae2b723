//! What a partition is for.

use uuid::{Uuid, uuid};

/// `LDM_METADATA_PARTITION` and `LDM_DATA_PARTITION`.
const DYNAMIC: [Uuid; 2] = [
    uuid!("5808c8aa-7e8f-42e0-85d2-e1e90434cfb3"),
    uuid!("af9b60a0-1431-4f62-bc68-3311714a69ad"),
];
/// The type of a dynamic disk's partitions in an MBR.
const DYNAMIC_MBR: u8 = 0x42;

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
}
