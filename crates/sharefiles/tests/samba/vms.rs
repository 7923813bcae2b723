//! Backups of a simulated host, whose files are reached over SMB while its guests go on writing.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use disk::BlockRead;
use hyperkeep_sharefiles::ShareFiles;
use hyperv::files::HostFiles;
use hyperv::frozen::{FileRole, Frozen, Merge, Reading};
use hyperv::plan::Policy;
use hyperv::preflight::Mode;
use hyperv::tracking::Token;

use super::server::{Reached, Samba, Scripted};
use super::simulated::{Lab, MARK, SCENARIO, SIZE};

/// Samba in front of the host's drive `D:`.
fn share(lab: &Lab) -> Option<Arc<Samba>> {
    let drive = lab.drive('D');
    let drive = drive.display();
    let lines = format!("server smb encrypt = required\n[D$]\npath = {drive}\nread only = yes");
    Samba::start("samba", &lines)
}

/// Reads what is to be read into the copies; the number of its bytes.
fn read(frozen: &Frozen, copies: &mut [Vec<u8>], mut between: impl FnMut()) -> u64 {
    let mut bytes = 0;
    for (disk, copy) in frozen.disks.iter().zip(copies) {
        let ranges = match &disk.reading {
            Reading::Full(_) => [disk::ByteRange::new(0, SIZE)].into_iter().collect(),
            Reading::Changed(ranges) => ranges.clone(),
        };
        for range in ranges.iter() {
            let at = usize::try_from(range.start).unwrap();
            let end = usize::try_from(range.end).unwrap();
            disk.chain.read_at(range.start, &mut copy[at..end]).unwrap();
            bytes += range.len();
            between();
        }
    }
    bytes
}

#[test]
fn backups_over_smb_are_what_the_guest_had_written() {
    let lab = Lab::start(SCENARIO);
    let Some(samba) = share(&lab) else {
        return;
    };
    let plan = lab.plan(&Policy::default());
    assert_eq!(plan.mode, Mode::Cbt);
    let mut guest = vec![vec![0; usize::try_from(SIZE).unwrap()]; 2];
    let mut copies = guest.clone();
    for offset in [0, 1 << 20, SIZE - 4096] {
        lab.write(0, offset, &[1; 4096], &mut guest[0]);
        lab.write(1, offset, &[2; 4096], &mut guest[1]);
    }
    let mut token: Option<Token> = None;
    for round in 0..4_u8 {
        let again = Arc::clone(&samba);
        let pace = Scripted::new(vec![Box::new(move || again.launch())]);
        let mut settings = samba.settings();
        settings.pace = pace.clone();
        let files: ShareFiles = samba.files_with(settings);
        let expected = guest.clone();
        // In every other round the server is killed between two reads, and comes back.
        let mut reads = 0;
        let (bytes, next) = lab.with(|control| {
            let request = plan.request(MARK, token.as_ref(), false);
            let frozen = Frozen::take(control, &files, &request).unwrap();
            assert_eq!((frozen.lost.len(), frozen.lost_files.len()), (0, 0));
            let roles: Vec<FileRole> = frozen.files.iter().map(|file| file.role).collect();
            assert!(roles.contains(&FileRole::Configuration), "{roles:?}");
            // It goes on writing.
            lab.write(
                0,
                u64::from(round) << 16,
                &[100 + round; 4096],
                &mut guest[0],
            );
            lab.write(1, 3 << 20, &[100 + round; 4096], &mut guest[1]);
            let bytes = read(&frozen, &mut copies, || {
                reads += 1;
                if reads == 1 && round % 2 == 1 {
                    samba.kill();
                }
            });
            frozen.verify().unwrap();
            let kept = frozen.keep();
            assert_eq!(kept.problems, [""; 0]);
            let merge = Merge::wait(control, lab.vm(), &kept.resting, Duration::from_secs(300));
            assert_eq!(merge.unwrap(), Merge::Done);
            (bytes, kept.token)
        });
        assert!(copies == expected, "round {round}");
        let killed = !pace.slept.lock().unwrap().is_empty();
        assert_eq!(killed, round % 2 == 1, "round {round}");
        if round > 0 {
            assert!(bytes < SIZE / 4, "round {round}: {bytes} bytes");
        }
        token = next;
        for place in 0..5 {
            let offset = place * 131_072 + 8192 * u64::from(round);
            lab.write(0, offset, &[round + 1; 4096], &mut guest[0]);
        }
        lab.time.clock.advance(Duration::from_secs(60));
    }
    let (checkpoints, points, _) = lab.rest();
    assert_eq!((checkpoints.len(), points), (0, 1));
    // Nothing of ours is left on the host's drive.
    let files = samba.files();
    let names = files.list(&super::server::host(r"D:\VMs\web")).unwrap();
    let mut names: Vec<_> = names.into_iter().map(|entry| entry.name).collect();
    names.retain(|name| Path::new(name).extension().is_some_and(|e| e != "vhdx"));
    assert_eq!(names, [""; 0]);
}
