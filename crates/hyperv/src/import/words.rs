//! What each step does, in words.

use std::fmt;

use super::steps::Step;

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WriteDisk { to, bytes } => {
                write!(f, "write {to}, {} MiB at most", bytes.div_ceil(1 << 20))
            }
            Self::WriteConfiguration { folder } => write!(f, "write its configuration to {folder}"),
            Self::TurnOff { vm } => write!(f, "turn off the VM {vm} that is replaced"),
            Self::RemoveReplication { vm } => write!(f, "remove the replication of {vm}"),
            Self::PutAside { vm, folder } => {
                write!(f, "export the configuration of {vm} to {folder}")
            }
            Self::Destroy { vm } => write!(f, "take {vm} off the host; its disks stay"),
            Self::Import {
                new_id,
                checkpoints,
            } => {
                let id = if *new_id { "a new" } else { "its own" };
                let tree = if *checkpoints { "with" } else { "without" };
                write!(f, "import it with {id} id, {tree} checkpoints")
            }
            Self::Define { generation } => write!(f, "make a VM of generation {generation} anew"),
            Self::Name { name } => write!(f, "name it {name:?}"),
            Self::Attach { location, path } => write!(f, "attach {path} at {location}"),
            Self::TakeOut { location } => write!(f, "take out what is in the drive at {location}"),
            Self::Connect {
                adapter,
                switch: None,
                ..
            } => write!(f, "leave {adapter:?} without a switch"),
            Self::Connect {
                adapter,
                switch: Some(switch),
                vlan,
            } => {
                write!(f, "connect {adapter:?} to {switch:?}")?;
                vlan.map_or(Ok(()), |vlan| write!(f, ", VLAN {vlan}"))
            }
            Self::NewAddress { adapter } => write!(f, "give {adapter:?} a new address"),
            Self::DropSavedState => f.write_str("drop its saved memory"),
            Self::Validate => f.write_str("have the host look whether it can be a VM"),
            Self::Realize => f.write_str("make it a VM"),
            Self::Verify => f.write_str("compare it with this plan"),
            Self::RemoveAside { folder } => write!(f, "remove {folder}"),
            Self::Start => f.write_str("start it"),
        }
    }
}
