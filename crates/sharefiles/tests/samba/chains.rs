//! Chains of disks, read through `disk` over SMB as they are read here.

use std::sync::Arc;

use disk::layer::{ParentPath, PathKind};
use disk::resolve::{Folders, open_chain};
use disk::{BlockRead, Chain};
use hyperkeep_sharefiles::ShareFiles;
use hyperv::files::HostFinder;
use testkit::image::{Image, Kind};

use super::server::{Reached, Samba, Scripted, host, noise};

const ENCRYPTED: &str = "server smb encrypt = required";
const LEN: u64 = 24 << 20;

/// A base of 24 MiB, and two layers above it in another folder.
fn lay(samba: &Samba, kind: Kind) {
    let (vms, bases) = (samba.c().join("VMs/wéb"), samba.c().join("Bases"));
    std::fs::create_dir_all(&vms).unwrap();
    std::fs::create_dir_all(&bases).unwrap();
    let base = Image::new(kind, LEN, 1)
        .data(0, &noise(3 << 20))
        .data(9 << 20, &noise(5_000_192));
    let base = base.write(&bases.join("Base.vhdx"));
    let mut middle = Image::child(&base, "Base.vhdx", 2).data(1 << 20, &noise(2 << 20));
    if let Some(link) = middle.info.parent.as_mut() {
        link.paths = vec![ParentPath {
            kind: PathKind::Absolute,
            path: r"C:\bases\BASE.VHDX".to_owned(),
        }];
    }
    let middle = middle.write(&vms.join("middle.avhdx"));
    Image::child(&middle, "middle.avhdx", 3)
        .data(512, &noise(1024))
        .zeros(10 << 20, 1 << 20)
        .data(20 << 20, &noise(777 * 512))
        .write(&vms.join("leaf.avhdx"));
}

fn here(samba: &Samba) -> Chain {
    let finder = Folders::new().search(samba.c().join("Bases"));
    open_chain(&finder, &samba.c().join("VMs/wéb/leaf.avhdx")).unwrap()
}

fn there(finder: &HostFinder<'_>) -> Chain {
    let leaf = HostFinder::path(&host(r"C:\VMs\WÉB\leaf.avhdx"));
    open_chain(finder, &leaf).unwrap()
}

fn whole(disk: &dyn BlockRead) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(LEN).unwrap()];
    for (number, part) in bytes.chunks_mut(1 << 20).enumerate() {
        disk.read_at((number as u64) << 20, part).unwrap();
    }
    bytes
}

#[test]
fn chains_are_the_same_there_and_here() {
    for kind in [Kind::Vhdx, Kind::VhdxFixed, Kind::Vhd] {
        let Some(samba) = Samba::start("samba", ENCRYPTED) else {
            return;
        };
        lay(&samba, kind);
        let files: ShareFiles = samba.files();
        let finder = HostFinder::new(&files);
        let (here, there) = (here(&samba), there(&finder));
        assert!(whole(&there) == whole(&here), "{kind:?}");
        assert_eq!(finder.opened().len(), 3);
        finder.verify().unwrap();
    }
}

#[test]
fn a_chain_goes_on_after_its_server_was_killed() {
    let Some(samba) = Samba::start("samba", ENCRYPTED) else {
        return;
    };
    lay(&samba, Kind::Vhdx);
    let mut settings = samba.settings();
    let again = Arc::clone(&samba);
    settings.pace = Scripted::new(vec![Box::new(move || again.launch())]);
    let files = samba.files_with(settings);
    let finder = HostFinder::new(&files);
    let (here, there) = (whole(&here(&samba)), there(&finder));
    let mut read = vec![0; here.len()];
    for (number, part) in read.chunks_mut(1 << 20).enumerate() {
        if number == 9 {
            samba.kill();
        }
        there.read_at((number as u64) << 20, part).unwrap();
    }
    assert!(read == here);
    finder.verify().unwrap();
}
