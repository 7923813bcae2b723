//! A folder that was restored from the backup of a host: a host imports it as it is.

use std::sync::Arc;

use cim::job::SystemPace;
use hyperv::control::Control;
use hyperv::import::{Definition, PlannedVm};
use hyperv::inventory::PowerState;
use hyperv::journal::Journal;
use uuid::Uuid;

use crate::bench::files_below;
use crate::lab::{Lab, texts};
use crate::vm_plan::backed_up;
use crate::vm_restore::{disks, machine};

#[test]
fn a_restored_folder_is_imported_with_all_checkpoints() {
    let (bench, lab) = backed_up();
    let before = lab.inventory();
    let web = machine(&before, "web").clone();
    let held = disks(&lab, &web);
    let to = lab.file("Imported");
    let args = ["restore", "folder", "web@latest", "--to"].map(str::to_owned);
    let to_text = to.display().to_string();
    let place = ["--windows-path".to_owned(), r"D:\Imported".to_owned()];
    let args = [&args[..], &[to_text], &place].concat();
    bench.run(&texts(&args)).ends(0);
    let all = files_below(&to.join("Virtual Machines"));
    let mut names = all.iter().filter_map(|path| path.file_name()?.to_str());
    let file = names.find(|name| name.ends_with(".vmcx")).unwrap();
    // What the import of a host does, and no more: nothing is rewired.
    let journal = Journal::create(&bench.path("journal"), Uuid::from_u128(1)).unwrap();
    let control = Arc::new(Control::new(
        Lab::session(lab.port),
        Arc::new(journal),
        Arc::new(SystemPace::default()),
        Arc::new(jiff::Timestamp::now),
    ));
    let from = Definition {
        file: format!(r"D:\Imported\Virtual Machines\{file}"),
        snapshots: Some(r"D:\Imported\Snapshots".to_owned()),
        new_id: true,
        folder: r"D:\Imported".to_owned(),
    };
    let planned = PlannedVm::import(&control, web.id, &from).unwrap();
    planned.name("imported").unwrap();
    let id = planned.realize().unwrap();
    let after = lab.inventory();
    let imported = machine(&after, "imported");
    assert_eq!((imported.id, imported.state), (id, PowerState::Off));
    assert_ne!(imported.id, web.id);
    assert_eq!(imported.checkpoints.len(), 1);
    let media = &imported.settings.media;
    assert!(
        media.iter().all(|m| m.path.starts_with(r"D:\Imported\")),
        "{media:?}"
    );
    assert!(disks(&lab, imported) == held);
    assert_eq!(machine(&after, "web"), &web);
}
