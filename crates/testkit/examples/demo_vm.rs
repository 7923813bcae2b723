//! Makes the Hyper-V side of the demonstration: what the usual tools on Linux cannot.
//!
//! ```text
//! demo_vm folder OUT NAME NUMBER DISK [CHECKPOINT=FROZEN-DISK]…
//! demo_vm checkpoint PARENT BEFORE AFTER CHILD
//! ```
//! `folder` writes the configuration files of a VM, as in an export, and prints the folder that its
//! disks belong into; a `.vhd` makes a VM of generation 1. `checkpoint` writes CHILD, a
//! differencing VHDX over the file PARENT, with the sectors in which the raw image AFTER differs
//! from BEFORE, which is what a guest's writes after a checkpoint leave behind.

use std::fs::File;
use std::path::Path;
use std::process::ExitCode;

use disk::layer::{ParentPath, PathKind};
use disk::vhdx::{VhdxImage, VhdxLayout, VhdxParams, VhdxWriter};
use disk::{BlockRead, ByteRange, DiskWrite, Layer, ParentLink, ReadAt};
use hyperkeep_testkit::vm::{Layout, Vm};
use uuid::Uuid;

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match *args.as_slice() {
        ["folder", out, name, number, disk, ref checkpoints @ ..] => {
            folder(Path::new(out), name, number, disk, checkpoints)
        }
        ["checkpoint", parent, before, after, child] => {
            checkpoint(Path::new(parent), before, after, Path::new(child))
        }
        _ => Err("see the top of crates/testkit/examples/demo_vm.rs".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("demo_vm: {why}");
            ExitCode::FAILURE
        }
    }
}

fn folder(out: &Path, name: &str, number: &str, disk: &str, checkpoints: &[&str]) -> Outcome {
    let number = number.parse()?;
    let mut vm = match disk.ends_with(".vhd") {
        true => Vm::generation1(name, number),
        false => Vm::generation2(name, number),
    };
    vm = vm.disk(disk);
    for checkpoint in checkpoints {
        let (title, frozen) = checkpoint
            .split_once('=')
            .ok_or("a checkpoint is CHECKPOINT=FROZEN-DISK")?;
        vm = vm.checkpoint(title, &[frozen]);
    }
    vm.write_to(out, Layout::Export)?;
    println!("{}", out.join(vm.disk_folder(Layout::Export)).display());
    Ok(())
}

/// Bytes compared, and written, at a time. A sector would be as right; but dissect miscounts the
/// sectors of parents that do not begin on multiples of eight (`docs/oracles.md`).
const STEP: usize = 4096;

fn checkpoint(parent: &Path, before: &str, after: &str, child: &Path) -> Outcome {
    let (old, new) = (File::open(before)?, File::open(after)?);
    let base = VhdxImage::open(File::open(parent)?)?;
    let len = base.geometry().len;
    let info = base.info();
    let disk::Format::Vhdx(format) = &info.format else {
        return Err("the parent is no VHDX".into());
    };
    let name = parent.file_name().unwrap_or_default().display();
    let path = |kind, path| ParentPath { kind, path };
    let link = ParentLink {
        identities: vec![format.data_write_guid],
        paths: vec![
            path(PathKind::Relative, format!(r".\{name}")),
            path(PathKind::Absolute, format!(r"D:\Hyper-V\{name}")),
        ],
        other: Vec::new(),
        timestamp: None,
    };
    // Names are unique enough here to name contents by, and then every run makes the same file.
    let id = |what: &str| {
        let mut bytes = [0; 16];
        let text = format!("{what} of {}", child.display());
        for (at, byte) in text.bytes().enumerate() {
            let cell: &mut u8 = &mut bytes[at % 16];
            *cell = cell.rotate_left(3) ^ byte;
        }
        Uuid::from_bytes(bytes)
    };
    let params = VhdxParams {
        geometry: base.geometry(),
        block_size: 2 << 20,
        layout: VhdxLayout::Differencing(link),
        disk_id: format.disk_id,
        data_write_guid: id("content"),
        file_write_guid: id("file"),
        creator: "demo_vm".into(),
        metadata: Vec::new(),
    };
    let file = File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .open(child)?;
    let mut writer = VhdxWriter::create(file, &params)?;
    let (mut a, mut b) = (vec![0; 1 << 20], vec![0; 1 << 20]);
    let mut changed = 0;
    for window in disk::block::windows(len, 1 << 20) {
        let size = usize::try_from(window.len())?;
        old.read_exact_at(&mut a[..size], window.start)?;
        new.read_exact_at(&mut b[..size], window.start)?;
        let pairs = a[..size].chunks(STEP).zip(b[..size].chunks(STEP));
        for (number, (was, is)) in pairs.enumerate().filter(|(_, (was, is))| was != is) {
            let offset = window.start + (number * STEP) as u64;
            if is.iter().all(|byte| *byte == 0) {
                let end = offset + is.len() as u64;
                writer.write_zeros(ByteRange::new(offset, end))?;
            } else {
                writer.write_at(offset, is)?;
            }
            changed += was.len();
        }
    }
    Box::new(writer).finish()?;
    println!("{changed} bytes differ");
    Ok(())
}
