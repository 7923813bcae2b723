//! Where the files of a VM lie in its restore point.

use vmconfig::names::Names;

use crate::source::RelPath;

/// The folders that Hyper-V itself gives an exported VM.
#[derive(Default)]
pub(super) struct Paths {
    disks: Names,
    machine: Names,
    checkpoints: Names,
}

impl Paths {
    /// The place of a disk image.
    pub(super) fn disk(&mut self, host_path: &str) -> Option<RelPath> {
        place("Virtual Hard Disks", &mut self.disks, host_path)
    }

    /// The place of a file of the VM itself.
    pub(super) fn machine(&mut self, host_path: &str) -> Option<RelPath> {
        place("Virtual Machines", &mut self.machine, host_path)
    }

    /// The place of a checkpoint's file.
    pub(super) fn checkpoint(&mut self, host_path: &str) -> Option<RelPath> {
        place("Snapshots", &mut self.checkpoints, host_path)
    }
}

/// A name that was made safe always gives a path.
fn place(folder: &str, names: &mut Names, host_path: &str) -> Option<RelPath> {
    let name = host_path.rsplit(['\\', '/']).next().unwrap_or_default();
    RelPath::new(format!("{folder}/{}", names.file(name))).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_of_a_host_leads_anywhere_else() {
        let mut paths = Paths::default();
        let mut disk = |text| paths.disk(text).map(String::from);
        let at = |name: &str| Some(format!("Virtual Hard Disks/{name}"));
        assert_eq!(disk(r"D:\VMs\a.vhdx"), at("a.vhdx"));
        assert_eq!(disk(r"E:\VMs\A.VHDX"), at("A (2).VHDX"));
        assert_eq!(disk(r"D:\VMs\.."), at("_"));
        assert_eq!(disk("C:"), at("C_"));
        assert_eq!(disk(""), at("_ (2)"));
    }
}
