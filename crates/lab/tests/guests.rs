//! Guests with real file systems, made by the tools that people use, write while backups go on.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use disk::resolve::{Folders, open_chain};
use disk::{BlockRead, ByteRange, ByteRanges};
use hyperkeep_lab::ManualClock;
use hyperkeep_lab::scenario::Scenario;
use hyperkeep_lab::state::{
    ChangesQuery, CheckpointKind, CheckpointWish, Consistency, End, Host, JobId, Made, upper,
};
use uuid::Uuid;

const SIZE: usize = 8 << 20;
const PAGE: usize = 4096;

/// Runs a tool of a file system; `None` where it is not there.
fn tool(name: &str, arguments: &[&str]) -> Option<()> {
    let path = std::env::var("PATH").unwrap_or_default();
    let output = Command::new(name)
        .args(arguments)
        .env("PATH", format!("{path}:/usr/sbin:/sbin"))
        .stdin(Stdio::null())
        .output()
        .ok()?;
    assert!(output.status.success(), "{name} {arguments:?}: {output:?}");
    Some(())
}

/// An empty file system, then the same with one file more each time.
fn images(
    folder: &Path,
    make: &[&str],
    add: &dyn Fn(&str, &str, &str) -> Option<()>,
) -> Option<Vec<PathBuf>> {
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let mut images: Vec<PathBuf> = Vec::new();
    for number in 0..4_u8 {
        let image = folder.join(format!("{number}.img"));
        match images.last() {
            None => {
                std::fs::File::create(&image)
                    .unwrap()
                    .set_len(SIZE as u64)
                    .unwrap();
                let (name, arguments) = make.split_first().unwrap();
                let path = text(&image);
                tool(name, &[arguments, &[path.as_str()]].concat())?;
            }
            Some(before) => {
                std::fs::copy(before, &image).unwrap();
                let file = folder.join(format!("file {number}"));
                let noise = testkit::image::noise(number.into(), 400_000);
                std::fs::write(&file, noise).unwrap();
                add(&text(&image), &text(&file), &format!("file{number}"))?;
                assert_ne!(
                    std::fs::read(before).unwrap(),
                    std::fs::read(&image).unwrap()
                );
            }
        }
        images.push(image);
    }
    Some(images)
}

struct Bench {
    host: Host,
    clock: ManualClock,
    folder: tempfile::TempDir,
    vm: Uuid,
}

fn bench(folder: tempfile::TempDir, images: &[PathBuf]) -> Bench {
    let images = serde_json::to_string(images).unwrap();
    let text = format!(
        r#"{{"vms": [{{"name": "guest", "disks": [{{"path": "D:\\a.vhdx", "size": {SIZE},
            "guest": {{"images": {images}, "every-ms": 40}}}}]}}],
            "rules": {{"tracking-unit": 4096, "checkpoint-ms": 500, "merge-ms": 500}}}}"#
    );
    let clock = ManualClock::new("2026-10-05T04:00:00Z".parse().unwrap());
    let scenario = Scenario::read(&text).unwrap();
    let host = scenario
        .build(folder.path(), Arc::new(clock.clone()))
        .unwrap();
    let vm = host.vms()[0].id;
    Bench {
        host,
        clock,
        folder,
        vm,
    }
}

impl Bench {
    fn pass(&mut self, time: u64) {
        self.clock.advance(Duration::from_millis(time));
        self.host.advance();
    }

    fn finish(&mut self, job: JobId) -> Option<Made> {
        loop {
            self.pass(100);
            match &self.host.job(job).unwrap().end {
                None => {}
                Some((_, End::Completed(made))) => return made.clone(),
                Some((_, end)) => panic!("{end:?}"),
            }
        }
    }

    /// Freezes the disk: the checkpoint, and the content of the disk then.
    fn freeze(&mut self, consistency: Consistency) -> (Uuid, Vec<u8>) {
        let wish = CheckpointWish {
            kind: CheckpointKind::Recovery,
            consistency,
            memory: false,
            ignore_unfreezable: false,
        };
        let job = self.host.create_checkpoint(self.vm, wish).unwrap();
        let Some(Made::Checkpoint(id)) = self.finish(job) else {
            panic!("no checkpoint");
        };
        let content = self.content(&self.frozen(id));
        (id, content)
    }

    fn frozen(&self, id: Uuid) -> String {
        let vm = self.host.vm(self.vm).unwrap();
        let checkpoint = vm.checkpoint(id).unwrap();
        checkpoint.settings.disks().next().unwrap().1.to_owned()
    }

    fn content(&self, path: &str) -> Vec<u8> {
        let files = Folders::new().mount("D:\\", self.folder.path().join("D"));
        let chain = open_chain(&files, &self.host.files().local(path).unwrap()).unwrap();
        let mut bytes = vec![0; SIZE];
        chain.read_at(0, &mut bytes).unwrap();
        bytes
    }

    fn changes(&mut self, path: &str, since: &str) -> ByteRanges {
        let query = ChangesQuery {
            path: path.to_owned(),
            since: since.to_owned(),
            offset: 0,
            len: SIZE as u64,
        };
        self.host
            .changes(&query)
            .unwrap()
            .ranges
            .into_iter()
            .collect()
    }

    /// Makes a reference point, and waits for the merge; what tracks the changes since.
    fn convert(&mut self, id: Uuid) -> String {
        let job = self.host.convert_checkpoint(self.vm, id).unwrap();
        self.finish(job);
        while self.host.vm(self.vm).unwrap().busy.is_some() {
            self.pass(100);
        }
        let points = &self.host.vm(self.vm).unwrap().reference_points;
        points.last().unwrap().tracked[0].id.clone().unwrap()
    }
}

/// What every backup rests on, with a guest that never stops.
fn backups_go_on(folder: tempfile::TempDir, images: &[PathBuf], check: &dyn Fn(&Path)) {
    let contents: Vec<Vec<u8>> = images.iter().map(|i| std::fs::read(i).unwrap()).collect();
    let mut bench = bench(folder, images);
    let mut last: Option<(String, Vec<u8>)> = None;
    let (mut seen, mut between) = (Vec::new(), 0);
    for round in 0..9_u64 {
        bench.pass(137 * round + 400);
        let consistency = match round % 3 {
            2 => Consistency::Crash,
            _ => Consistency::Application,
        };
        let (id, content) = bench.freeze(consistency);
        let path = bench.frozen(id);
        let whole = contents.iter().position(|image| *image == content);
        match (consistency, whole) {
            (Consistency::Application, Some(which)) => seen.push(which),
            (Consistency::Application, None) => panic!("round {round}: it is no whole image"),
            (Consistency::Crash, which) => between += u32::from(which.is_none()),
        }
        for (page, bytes) in content.chunks(PAGE).enumerate() {
            let place = page * PAGE..(page + 1) * PAGE;
            let known = contents.iter().any(|image| image[place.clone()] == *bytes);
            assert!(known, "round {round}: page {page} is of no image");
        }
        // It stays as it is while the guest goes on.
        bench.pass(300);
        assert!(bench.content(&path) == content, "round {round}");
        if let Some((since, before)) = &last {
            let told = bench.changes(&path, since);
            for (page, (old, new)) in before.chunks(PAGE).zip(content.chunks(PAGE)).enumerate() {
                let range = ByteRange::at((page * PAGE) as u64, PAGE as u64).unwrap();
                let covered = told.within(range).next().is_some();
                assert!(
                    covered || old == new,
                    "round {round}: page {page} is not told"
                );
            }
        }
        if consistency == Consistency::Application {
            let raw = bench.folder.path().join(format!("{}.raw", upper(id)));
            std::fs::write(&raw, &content).unwrap();
            check(&raw);
        }
        let since = bench.convert(id);
        last = Some((since, content));
    }
    seen.dedup();
    assert!(seen.len() > 2, "the guest goes on: {seen:?}");
    assert!(between > 0, "no checkpoint was between two images");
}

#[test]
fn ext4_is_whole_at_every_application_consistent_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let make = [
        "mkfs.ext4",
        "-q",
        "-F",
        "-E",
        "nodiscard,lazy_itable_init=0",
    ];
    let add = |image: &str, file: &str, name: &str| {
        let command = format!("write \"{file}\" {name}");
        tool("debugfs", &["-w", "-R", &command, image])
    };
    let check = |disk: &Path| {
        if tool("e2fsck", &["-fn", disk.to_str().unwrap()]).is_none() {
            testkit::vhd::oracle::skip("lab guests: ext4", "no e2fsck");
        }
    };
    match images(folder.path(), &make, &add) {
        Some(images) => backups_go_on(folder, &images, &check),
        None => testkit::vhd::oracle::skip("lab guests: ext4", "no mkfs.ext4 or debugfs"),
    }
}

#[test]
fn ntfs_is_whole_at_every_application_consistent_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let make = [
        "mkntfs", "-F", "-Q", "-q", "-p", "2048", "-H", "255", "-S", "63",
    ];
    let add =
        |image: &str, file: &str, name: &str| tool("ntfscp", &["-q", "-f", image, file, name]);
    let check = |disk: &Path| {
        if tool("ntfsls", &["-f", disk.to_str().unwrap()]).is_none() {
            testkit::vhd::oracle::skip("lab guests: ntfs", "no ntfsls");
        }
    };
    match images(folder.path(), &make, &add) {
        Some(images) => backups_go_on(folder, &images, &check),
        None => testkit::vhd::oracle::skip("lab guests: ntfs", "no mkntfs or ntfscp"),
    }
}
