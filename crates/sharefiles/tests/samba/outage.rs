//! Servers that go away while a file is read, and what they come back with.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use cim::job::Pace as _;
use disk::ReadAt;
use hyperkeep_sharefiles::Outage;
use hyperv::files::{FileError, FileProblem, HostFiles};

use super::server::{Reached, Samba, Scripted, Step, host, noise};

const ENCRYPTED: &str = "server smb encrypt = required";
const LEN: usize = 6 << 20;

fn parts(file: &dyn ReadAt, bytes: &[u8], mut between: impl FnMut(usize)) -> std::io::Result<()> {
    let size = 700_001;
    for (number, part) in bytes.chunks(size).enumerate() {
        between(number);
        let mut read = vec![0; part.len()];
        file.read_exact_at(&mut read, (number * size) as u64)?;
        assert!(read == part, "part {number}");
    }
    Ok(())
}

#[test]
fn reading_goes_on_after_the_server_was_killed_and_started_again() {
    let Some(samba) = Samba::start("samba", ENCRYPTED) else {
        return;
    };
    let bytes = noise(LEN);
    samba.write("VMs/a.vhdx", &bytes);
    let again = Arc::clone(&samba);
    // It comes back at the third attempt.
    let steps: Vec<Step> = vec![Box::new(|| {}), Box::new(move || again.launch())];
    let pace = Scripted::new(steps);
    let mut settings = samba.settings();
    settings.pace = pace.clone();
    let files = samba.files_with(settings);
    let file = files.open(&host(r"C:\VMs\a.vhdx")).unwrap();
    let other = files.open(&host(r"C:\VMs\a.vhdx")).unwrap();
    parts(&file, &bytes, |number| {
        if number == 4 {
            samba.kill();
        }
    })
    .unwrap();
    assert_eq!(pace.slept.lock().unwrap().len(), 2);
    // Another file that was open has the new connection as well, and so has a new one.
    parts(&other, &bytes, |_| {}).unwrap();
    other.verify().unwrap();
    let new = files.open(&host(r"C:\VMs\a.vhdx")).unwrap();
    parts(&new, &bytes, |_| {}).unwrap();
    assert_eq!(pace.slept.lock().unwrap().len(), 2);
}

#[test]
fn threads_that_lose_their_server_in_the_middle_read_what_there_is() {
    let Some(samba) = Samba::start("samba", ENCRYPTED) else {
        return;
    };
    let bytes = noise(32 << 20);
    samba.write("a", &bytes);
    let again = Arc::clone(&samba);
    let pace = Scripted::new(vec![Box::new(move || again.launch())]);
    let mut settings = samba.settings();
    settings.pace = pace;
    let files = samba.files_with(settings);
    let file = files.open(&host(r"C:\a")).unwrap();
    let read = AtomicU64::new(0);
    let killed = Mutex::new(false);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (file, bytes, read, killed, samba) = (&file, &bytes, &read, &killed, &samba);
            scope.spawn(move || {
                let size = 1 << 20;
                for number in (thread..32).step_by(4) {
                    let mut part = vec![0; size];
                    file.read_exact_at(&mut part, (number * size) as u64)
                        .unwrap();
                    assert!(part == bytes[number * size..][..size], "{number}");
                    let done = read.fetch_add(1, Ordering::SeqCst);
                    if done >= 6 {
                        let mut killed = killed.lock().unwrap();
                        if !*killed {
                            *killed = true;
                            samba.kill();
                        }
                    }
                }
            });
        }
    });
    assert!(*killed.lock().unwrap());
}

/// What is there when the server is back, and what is said to it.
fn back_with(change: impl FnOnce(&Samba) + Send + 'static) -> Option<FileProblem> {
    let samba = Samba::start("samba", ENCRYPTED)?;
    let bytes = noise(LEN);
    samba.write("VMs/a.vhdx", &bytes);
    let again = Arc::clone(&samba);
    let pace = Scripted::new(vec![Box::new(move || {
        change(&again);
        again.launch();
    })]);
    let mut settings = samba.settings();
    settings.pace = pace;
    let files = samba.files_with(settings);
    let file = files.open(&host(r"C:\VMs\a.vhdx")).unwrap();
    let failed = parts(&file, &bytes, |number| {
        if number == 3 {
            samba.kill();
        }
    })
    .unwrap_err();
    let told = FileError::within(&failed).expect("it says of which file");
    assert_eq!(told.path, r"C:\VMs\a.vhdx");
    // It stays so.
    assert!(file.read_exact_at(&mut [0; 10], 0).is_err());
    assert!(matches!(
        file.verify().unwrap_err().problem,
        FileProblem::Replaced(_)
    ));
    Some(told.problem.clone())
}

fn assert_replaced(problem: Option<FileProblem>, why: &str) {
    if let Some(problem) = problem {
        assert!(
            matches!(&problem, FileProblem::Replaced(text) if text.contains(why)),
            "{problem}"
        );
    }
}

#[test]
fn a_file_in_the_place_of_another_is_not_read() {
    let replaced = back_with(|samba| {
        let at = samba.c().join("VMs/a.vhdx");
        let time = std::fs::metadata(&at).unwrap().modified().unwrap();
        // The same bytes and times: but another file, which could have others.
        let new = samba.write("VMs/new", &noise(LEN));
        let file = std::fs::File::options().write(true).open(&new).unwrap();
        file.set_modified(time).unwrap();
        std::fs::rename(new, at).unwrap();
    });
    assert_replaced(replaced, "another file was put in its place");
}

#[test]
fn a_file_that_was_written_to_is_not_read() {
    let written = back_with(|samba| {
        let at = samba.c().join("VMs/a.vhdx");
        let time = std::fs::metadata(&at).unwrap().modified().unwrap();
        let mut file = std::fs::File::options().write(true).open(&at).unwrap();
        file.write_all(b"other bytes").unwrap();
        file.set_modified(time + std::time::Duration::from_secs(1))
            .unwrap();
    });
    assert_replaced(written, "it was written to");
}

#[test]
fn a_file_of_another_length_is_not_read() {
    let longer = back_with(|samba| {
        let at = samba.c().join("VMs/a.vhdx");
        let mut file = std::fs::File::options().append(true).open(at).unwrap();
        file.write_all(b"more").unwrap();
    });
    assert_replaced(longer, "its length went from");
}

#[test]
fn a_file_that_is_gone_is_told() {
    let gone = back_with(|samba| {
        std::fs::remove_file(samba.c().join("VMs/a.vhdx")).unwrap();
    });
    assert_replaced(gone, "it is gone");
}

#[test]
fn a_server_that_stays_away_is_given_up() {
    let Some(samba) = Samba::start("samba", ENCRYPTED) else {
        return;
    };
    let bytes = noise(LEN);
    samba.write("a", &bytes);
    let pace = Scripted::new(Vec::new());
    let mut settings = samba.settings();
    settings.pace = pace.clone();
    settings.outage = Outage {
        attempts: 7,
        ..Outage::default()
    };
    let files = samba.files_with(settings);
    let file = files.open(&host(r"C:\a")).unwrap();
    let failed = parts(&file, &bytes, |number| {
        if number == 3 {
            samba.kill();
        }
    })
    .unwrap_err();
    let told = FileError::within(&failed).unwrap();
    assert!(matches!(&told.problem, FileProblem::Io(_)), "{told}");
    let slept = pace.slept.lock().unwrap().clone();
    assert_eq!(slept.len(), 6, "{slept:?}");
    assert!(slept.windows(2).all(|two| two[1] >= two[0]));
}

#[test]
fn an_outage_is_borne_once_by_all() {
    let Some(samba) = Samba::start("samba", ENCRYPTED) else {
        return;
    };
    let bytes = noise(LEN);
    samba.write("a", &bytes);
    let pace = Scripted::new(Vec::new());
    let mut settings = samba.settings();
    settings.pace = pace.clone();
    let files = samba.files_with(settings);
    let path = host(r"C:\a");
    let open: Vec<_> = (0..4).map(|_| files.open(&path).unwrap()).collect();
    samba.kill();
    std::thread::scope(|scope| {
        for file in &open {
            scope.spawn(move || file.read_exact_at(&mut [0; 100], 0).unwrap_err());
        }
    });
    let all = pace.now();
    assert!(all <= Outage::default().total, "{all:?}");
    assert!(all >= Outage::default().total / 2, "{all:?}");
    // Nobody waits again: not who looks whether its file is what it was, nor who opens another.
    for file in &open {
        let told = file.verify().unwrap_err();
        assert!(told.to_string().contains("is away"), "{told}");
    }
    assert!(files.open(&path).is_err() && files.len(&path).is_err());
    assert!(files.list(&host(r"C:\")).is_err() && files.log_on().is_err());
    assert_eq!(pace.now(), all);
    // It is left alone for a while, and then found to be there again.
    samba.launch();
    assert!(files.open(&path).is_err());
    pace.sleep(std::time::Duration::from_secs(30));
    parts(&open[0], &bytes, |_| {}).unwrap();
    // The next outage is borne as the first one was.
    let again = Arc::clone(&samba);
    pace.then(Box::new(move || again.launch()));
    samba.kill();
    parts(&open[1], &bytes, |_| {}).unwrap();
}

#[test]
fn an_outage_is_borne_for_a_time_and_not_only_for_a_number_of_attempts() {
    let Some(samba) = Samba::start("samba", ENCRYPTED) else {
        return;
    };
    samba.write("a", b"x");
    let pace = Scripted::new(Vec::new());
    let mut settings = samba.settings();
    settings.pace = pace.clone();
    settings.outage.attempts = u32::MAX;
    let files = samba.files_with(settings);
    let file = files.open(&host(r"C:\a")).unwrap();
    samba.kill();
    assert!(file.read_exact_at(&mut [0; 1], 0).is_err());
    assert!(pace.now() <= Outage::default().total);
}

/// Passes bytes on to a server, and changes what its answers to a logon say, in each connection
/// that there is something left for.
fn disguise(server: u16, statuses: Vec<u32>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let mut statuses = statuses.into_iter();
        for client in listener.incoming() {
            let client = client.unwrap();
            let Ok(server) = TcpStream::connect(("127.0.0.1", server)) else {
                continue;
            };
            let status = statuses.next().filter(|status| *status != 0);
            let (up_from, up_to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            std::thread::spawn(move || pass(up_from, up_to, None));
            std::thread::spawn(move || pass_disguised(server, client, status));
        }
    });
    port
}

/// Passes messages on; the logon's success becomes a status.
fn pass_disguised(mut from: TcpStream, mut to: TcpStream, status: Option<u32>) {
    let mut head = [0; 4];
    while from.read_exact(&mut head).is_ok() {
        let mut message = vec![0; usize::try_from(u32::from_be_bytes(head)).unwrap()];
        if from.read_exact(&mut message).is_err() {
            break;
        }
        let setup = message.starts_with(b"\xfeSMB") && message[12..14] == [1, 0];
        if let Some(status) = status
            && setup
            && message[8..12] == [0; 4]
        {
            message[8..12].copy_from_slice(&status.to_le_bytes());
        }
        if to.write_all(&head).is_err() || to.write_all(&message).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}

#[test]
fn a_server_that_has_just_started_is_waited_for() {
    let Some(samba) = Samba::start("samba", ENCRYPTED) else {
        return;
    };
    let bytes = noise(LEN);
    samba.write("a", &bytes);
    // No domain controller yet, no service for logons yet, no resources, too many requests.
    let statuses = vec![
        0,
        0xC000_005E,
        0xC000_0192,
        0xC000_009A,
        0xC000_0205,
        0xC000_00D0,
    ];
    let wanted = statuses.len() - 1;
    let mut settings = samba.settings();
    settings.port = disguise(samba.port, statuses);
    let pace = Scripted::new(Vec::new());
    settings.pace = pace.clone();
    let files = samba.files_with(settings);
    let file = files.open(&host(r"C:\a")).unwrap();
    let again = Arc::clone(&samba);
    pace.then(Box::new(move || again.launch()));
    samba.kill();
    parts(&file, &bytes, |_| {}).unwrap();
    assert!(pace.slept.lock().unwrap().len() >= wanted);
    file.verify().unwrap();
}

#[test]
fn an_account_that_is_refused_is_refused_once() {
    // Locked, expired, wrong password, denied.
    for status in [0xC000_0234, 0xC000_0193, 0xC000_006A, 0xC000_0022] {
        let Some(samba) = Samba::start("samba", ENCRYPTED) else {
            return;
        };
        samba.write("a", b"x");
        let mut settings = samba.settings();
        // A second logon would do.
        settings.port = disguise(samba.port, vec![status]);
        let files = samba.files_with(settings);
        for _ in 0..2 {
            let error = files.open(&host(r"C:\a")).unwrap_err();
            assert!(
                matches!(&error.problem, FileProblem::Refused(_)),
                "{status:x}: {error}"
            );
        }
    }
}

/// Passes bytes on to a server, and cuts connections after so many bytes of it.
struct Cutter {
    port: u16,
    cuts: Arc<AtomicU64>,
}

impl Cutter {
    /// Each of `after` is for one connection; later ones are not cut.
    fn new(server: u16, after: Vec<u64>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let cuts = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&cuts);
        std::thread::spawn(move || {
            for (number, client) in listener.incoming().enumerate() {
                let client = client.unwrap();
                let Ok(server) = TcpStream::connect(("127.0.0.1", server)) else {
                    return;
                };
                let after = after.get(number).copied();
                let count = Arc::clone(&count);
                let (up_from, up_to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                std::thread::spawn(move || pass(up_from, up_to, None));
                std::thread::spawn(move || {
                    if pass(server, client, after) {
                        count.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
        });
        Self { port, cuts }
    }
}

/// Passes bytes on until the end; true when it made that itself.
fn pass(mut from: TcpStream, mut to: TcpStream, mut left: Option<u64>) -> bool {
    let mut buf = vec![0; 64 << 10];
    let mut cut = false;
    while let Ok(got @ 1..) = from.read(&mut buf) {
        let may = left.map_or(got, |left| got.min(usize::try_from(left).unwrap()));
        if to.write_all(&buf[..may]).is_err() {
            break;
        }
        if let Some(left) = &mut left {
            *left -= may as u64;
            if *left == 0 {
                cut = true;
                break;
            }
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
    cut
}

#[test]
fn a_connection_may_be_cut_at_any_byte() {
    for global in [ENCRYPTED, "server smb encrypt = off"] {
        let Some(samba) = Samba::start("samba", global) else {
            return;
        };
        let bytes = noise(LEN);
        samba.write("a", &bytes);
        // Within logons, headers, bytes of the file: each of the later ones cuts again.
        let cuts: Vec<u64> = vec![
            1_000_000, 2_000_003, 900, 1_500, 2_222_222, 700_001, 524_400, 1,
        ];
        let wanted = cuts.len() as u64;
        let cutter = Cutter::new(samba.port, cuts);
        let mut settings = samba.settings();
        settings.port = cutter.port;
        settings.encryption = hyperkeep_sharefiles::Encryption::Preferred;
        settings.pace = Scripted::new(Vec::new());
        let files = samba.files_with(settings);
        let file = files.open(&host(r"C:\a")).unwrap();
        for _ in 0..3 {
            parts(&file, &bytes, |_| {}).unwrap();
        }
        file.verify().unwrap();
        assert_eq!(cutter.cuts.load(Ordering::SeqCst), wanted, "{global}");
    }
}
