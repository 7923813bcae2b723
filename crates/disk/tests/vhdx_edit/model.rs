//! Random changes, syncs and reopenings against a flat array.

use std::fs;
use std::sync::Arc;

use hyperkeep_disk::layer::{Format, Layer};
use hyperkeep_disk::vhdx::{EditIds, VhdxEditor, VhdxImage, VhdxLayout};
use hyperkeep_disk::{BlockRead, ByteRange, Content, MemFile, WriteAt};
use proptest::prelude::*;
use testkit::ops::{Op, ops, read};
use testkit::vhd::oracle;
use uuid::Uuid;

use crate::images::{image, over, params};

/// One thing that is done to an open file.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    Change(Op),
    Unmap(Op),
    Sync,
    Close,
    /// The program ends without closing, after a sync.
    Abandon,
}

pub(crate) fn steps(sectors: u64) -> impl Strategy<Value = Vec<Step>> {
    // Half of the changes are long enough to cover whole blocks of 1 MiB.
    let step = (ops(sectors, 40), ops(sectors, 9000), 0..10u8).prop_map(|(short, long, kind)| {
        let first = |ops: Vec<Op>| ops.into_iter().next();
        match kind {
            0 => Some(Step::Sync),
            1 => Some(Step::Close),
            2 => Some(Step::Abandon),
            3 => first(long).map(Step::Unmap),
            4..=6 => first(long).map(Step::Change),
            _ => first(short).map(Step::Change),
        }
    });
    prop::collection::vec(step, 0..25).prop_map(|steps| steps.into_iter().flatten().collect())
}

pub(crate) fn ids(n: u128) -> EditIds {
    EditIds {
        file_write_guid: Uuid::from_u128(0xF000 + n),
        data_write_guid: Uuid::from_u128(0xD000 + n),
        log_guid: Uuid::from_u128(0x1000 + n),
    }
}

/// What a layer over a parent shows, sector by sector: its own bytes, or nothing.
#[derive(Clone)]
pub(crate) struct Shown {
    pub(crate) bytes: Vec<u8>,
    pub(crate) own: Vec<bool>,
}

impl Shown {
    pub(crate) fn of(disk: &dyn BlockRead) -> Self {
        let bytes = read(disk);
        let mut own = vec![false; bytes.len() / 512];
        for extent in disk.extents(ByteRange::new(0, disk.len())).unwrap() {
            let sectors = extent.range.start as usize / 512..extent.range.end as usize / 512;
            own[sectors].fill(extent.content != Content::Hole);
        }
        Self { bytes, own }
    }

    /// Applies a step to the model. Blocks are what an unmap works on.
    pub(crate) fn apply(&mut self, step: &Step, unit: u64, block: u64, fixed: bool) {
        match step {
            Step::Change(op) => {
                op.apply_to(unit, &mut self.bytes);
                let range = op.range(unit);
                self.own[range.start as usize / 512..range.end as usize / 512].fill(true);
            }
            Step::Unmap(op) if !fixed => {
                let (range, len) = (op.range(unit), self.bytes.len() as u64);
                for start in (0..len).step_by(block as usize) {
                    let end = len.min(start + block);
                    if range.start <= start && end <= range.end {
                        self.bytes[start as usize..end as usize].fill(0);
                        self.own[start as usize / 512..end as usize / 512].fill(true);
                    }
                }
            }
            _ => {}
        }
    }
}

/// Does a step to an open editor; `model` has the bytes already.
pub(crate) fn perform<F: WriteAt>(
    step: &Step,
    unit: u64,
    editor: &mut VhdxEditor<F>,
    model: &Shown,
) {
    match step {
        Step::Change(op) => op.write(unit, editor, &model.bytes),
        Step::Unmap(op) => editor.unmap(op.range(unit)).unwrap(),
        Step::Sync | Step::Close | Step::Abandon => editor.sync().unwrap(),
    }
}

#[derive(Debug, Clone)]
struct Case {
    sector: u32,
    len: u64,
    block: u32,
    kind: u8,
    before: Vec<Op>,
    steps: Vec<Step>,
}

impl Case {
    fn layout(&self) -> VhdxLayout {
        match self.kind {
            0 => VhdxLayout::Fixed,
            1 => VhdxLayout::Dynamic,
            _ => over("base.vhdx"),
        }
    }
}

fn cases() -> impl Strategy<Value = Case> {
    let shape = (
        prop::sample::select(vec![512u32, 4096]),
        1u64..80,
        prop::sample::select(vec![1u32 << 20, 2 << 20]),
        0..4u8,
    );
    shape.prop_flat_map(|(sector, units, block, kind)| {
        let len = units * (64 << 10);
        let sectors = len / u64::from(sector);
        (ops(sectors, 500), steps(sectors)).prop_map(move |(before, steps)| Case {
            sector,
            len,
            block,
            kind,
            before,
            steps,
        })
    })
}

/// Runs a case and gives the file, and what it must show.
fn run(case: &Case) -> (Vec<u8>, Shown) {
    let mut bytes = vec![0; case.len as usize];
    let params = params(case.len, case.block, case.sector, case.layout());
    let (file, own) = image(&params, &case.before, &mut bytes);
    let mut model = Shown { bytes, own };
    let unit = u64::from(case.sector);
    let fixed = case.kind == 0;

    let file = Arc::new(MemFile::new(file));
    let mut opened = 0;
    let mut open = || {
        opened += 1;
        VhdxEditor::open(file.clone(), ids(opened)).unwrap()
    };
    let mut editor = open();
    for step in &case.steps {
        model.apply(step, unit, case.block.into(), fixed);
        perform(step, unit, &mut editor, &model);
        match step {
            Step::Close => {
                editor.close().unwrap();
                editor = open();
            }
            Step::Abandon => {
                drop(editor);
                editor = open();
            }
            Step::Sync => check(&file.bytes(), &model, case),
            Step::Change(_) | Step::Unmap(_) => {}
        }
    }
    editor.close().unwrap();
    (file.bytes(), model)
}

fn check(file: &[u8], model: &Shown, case: &Case) {
    let disk = VhdxImage::open(file).unwrap();
    assert!(disk.findings().is_empty(), "{:?}", disk.findings());
    let shown = Shown::of(&disk);
    assert!(shown.bytes == model.bytes, "other bytes");
    if case.kind > 1 {
        assert!(shown.own == model.own, "other sectors are the layer's own");
    }
}

proptest! {
    #![proptest_config(testkit::vary::config(48))]

    #[test]
    fn a_changed_file_shows_what_was_written(case in cases()) {
        let (file, model) = run(&case);
        check(&file, &model, &case);
        let disk = VhdxImage::open(&file[..]).unwrap();
        let Format::Vhdx(info) = &disk.info().format else { panic!() };
        prop_assert!(!info.dirty_log);
    }
}

#[test]
fn other_tools_agree_about_changed_files() {
    let Some(qemu) = oracle::qemu_img("VHDX editor against qemu-img") else {
        return;
    };
    let Some(python) = oracle::python("VHDX editor against dissect", "dissect.hypervisor") else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("disk.vhdx");
    testkit::vary::runner(24)
        .run(&cases(), |case| {
            let (file, model) = run(&case);
            if case.kind > 1 {
                let empty = params(case.len, case.block, case.sector, VhdxLayout::Dynamic);
                let base = image(&empty, &[], &mut vec![0; case.len as usize]).0;
                fs::write(dir.path().join("base.vhdx"), base).unwrap();
            }
            fs::write(&path, file).unwrap();
            let seen = python.dissect_vhdx(&path).map_err(TestCaseError::fail)?;
            prop_assert!(seen == model.bytes, "dissect reads something else");
            if case.kind <= 1 && case.sector == 512 {
                qemu.run(&["check", "-f", "vhdx"], &[&path])
                    .map_err(TestCaseError::fail)?;
                let seen = qemu.read("vhdx", &path).map_err(TestCaseError::fail)?;
                prop_assert!(seen == model.bytes, "qemu-img reads something else");
            }
            Ok(())
        })
        .unwrap();
}

#[test]
fn guids_change_exactly_when_the_rules_say() {
    let params = params(4 << 20, 1 << 20, 512, over("base.vhdx"));
    let (bytes, _) = image(&params, &[], &mut vec![0; 4 << 20]);
    let file = Arc::new(MemFile::new(bytes.clone()));
    let guids = || {
        let disk = VhdxImage::open(file.bytes()).unwrap();
        let Format::Vhdx(info) = &disk.info().format else {
            panic!()
        };
        (info.file_write_guid, info.data_write_guid)
    };
    let before = guids();

    VhdxEditor::open(file.clone(), ids(1))
        .unwrap()
        .close()
        .unwrap();
    assert!(file.bytes() == bytes, "opening alone changes nothing");

    let mut editor = VhdxEditor::open(file.clone(), ids(2)).unwrap();
    let mut link = editor.info().parent.clone().unwrap();
    link.paths[0].path = r".\elsewhere\base.vhdx".into();
    editor.set_parent(&link).unwrap();
    editor.close().unwrap();
    assert_eq!(guids(), (ids(2).file_write_guid, before.1));
    let disk = VhdxImage::open(file.bytes()).unwrap();
    assert_eq!(disk.info().parent, Some(link));

    let mut editor = VhdxEditor::open(file.clone(), ids(3)).unwrap();
    editor.write_zeros(ByteRange::new(0, 512)).unwrap();
    assert_eq!(guids(), (ids(3).file_write_guid, ids(3).data_write_guid));
    drop(editor);

    // Nothing was synced, but the log is in use: replaying it is a change of the file only.
    VhdxEditor::open(file.clone(), ids(4))
        .unwrap()
        .close()
        .unwrap();
    assert_eq!(guids(), (ids(4).file_write_guid, ids(3).data_write_guid));
}

#[test]
fn space_is_used_again_once_giving_it_up_is_durable() {
    let params = params(8 << 20, 1 << 20, 512, VhdxLayout::Dynamic);
    let (bytes, _) = image(&params, &[], &mut vec![0; 8 << 20]);
    let file = Arc::new(MemFile::new(bytes));
    let mut editor = VhdxEditor::open(file.clone(), ids(1)).unwrap();
    let mib = 1 << 20;
    editor.write_at(0, &vec![1; 3 * mib]).unwrap();
    editor.sync().unwrap();
    let full = file.bytes().len();
    editor.write_zeros(ByteRange::new(0, 2 << 20)).unwrap();
    editor.sync().unwrap();
    editor.write_at(5 << 20, &[2; 512]).unwrap();
    editor.write_at(7 << 20, &[3; 512]).unwrap();
    editor.close().unwrap();
    assert_eq!(file.bytes().len(), full);
    let disk = VhdxImage::open(file.bytes()).unwrap();
    let mut model = vec![0; 8 * mib];
    model[2 * mib..3 * mib].fill(1);
    model[5 * mib..5 * mib + 512].fill(2);
    model[7 * mib..7 * mib + 512].fill(3);
    assert!(read(&disk) == model, "and no old bytes show through");
}

#[test]
fn bits_left_from_a_block_that_is_gone_do_not_count() {
    let params = params(2 << 20, 1 << 20, 512, over("base.vhdx"));
    let op = Op {
        at: 100,
        sectors: 50,
        byte: Some(1),
    };
    let (mut bytes, _) = image(&params, &[op], &mut vec![0; 2 << 20]);
    // The writer puts the BAT at 3 MiB. Its first entry names the block; another tool may take
    // the block away and leave its bits.
    let bat = 3 << 20;
    assert_eq!(bytes[bat] & 7, 7);
    bytes[bat..bat + 8].fill(0);
    let file = Arc::new(MemFile::new(bytes));
    let mut editor = VhdxEditor::open(file.clone(), ids(1)).unwrap();
    editor.write_at(10 * 512, &[2; 512]).unwrap();
    editor.close().unwrap();
    let own = Shown::of(&VhdxImage::open(file.bytes()).unwrap()).own;
    let here: Vec<_> = (0..own.len()).filter(|n| own[*n]).collect();
    assert_eq!(here, [10]);
}
