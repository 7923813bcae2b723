//! State files: `.vmrs` and `.vmgs`.

use vmconfig::{Tree, Value, VmConfig, hvs};

/// A `.vmrs`: nearly empty for a VM that is off, with memory for one that is saved.
///
/// # Panics
/// Never: the tree is one that the writer takes.
pub fn runtime_state(config: &VmConfig, saved: bool) -> Vec<u8> {
    let mut tree = Tree::default();
    let version = config.version.map_or(0x0800, |version| version.packed());
    tree.set(
        &["configuration", "properties", "version"],
        Value::Int(version),
    );
    if saved {
        tree.set(&["savedstate", "VmVersion"], Value::Int(version));
        tree.set(&["savedstate", "type"], Value::String("Normal".into()));
        let registers = Value::Bytes(vec![0x11; 3000]);
        tree.set(&["savedstate", "savedVM", "partition_state"], registers);
        let memory: Vec<u8> = (0..1u32 << 16)
            .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
            .collect();
        tree.set(&["savedstate", "RamBlock0"], Value::Bytes(memory));
    }
    hvs::write_tree(&tree, 0).expect("a small tree")
}

/// A guest state file: a fixed VHD that holds the `GUESTRTS` headers and a file table. With
/// `protector`, its table lists a key protector and the TPM's state.
pub fn vmgs(protector: bool) -> Vec<u8> {
    const DATA: usize = 64 << 10;
    let mut file = vec![0; DATA];
    for (sequence, at) in [(1u32, 0usize), (0, 4096)] {
        let mut header = vec![0; 168];
        header[..8].copy_from_slice(b"GUESTRTS");
        header[8..12].copy_from_slice(&0x0003_0000u32.to_le_bytes());
        header[16..20].copy_from_slice(&sequence.to_le_bytes());
        header[20..24].copy_from_slice(&168u32.to_le_bytes());
        // The file table: block 2, one block.
        header[24..28].copy_from_slice(&2u32.to_le_bytes());
        header[28..32].copy_from_slice(&1u32.to_le_bytes());
        let crc = crc32fast::hash(&header);
        header[12..16].copy_from_slice(&crc.to_le_bytes());
        file[at..at + 168].copy_from_slice(&header);
    }
    let mut table = |id: usize, block: u32, size: u64| {
        let entry = &mut file[2 * 4096 + id * 64..][..64];
        entry[..4].copy_from_slice(&block.to_le_bytes());
        entry[4..8].copy_from_slice(&1u32.to_le_bytes());
        entry[8..16].copy_from_slice(&size.to_le_bytes());
    };
    table(1, 4, 1000);
    if protector {
        table(3, 5, 2000);
        table(6, 6, 500);
    }
    file.extend(vhd_footer(DATA as u64));
    file
}

/// Footer of a fixed VHD (VHD specification, "Hard Disk Footer Format").
fn vhd_footer(size: u64) -> [u8; 512] {
    let mut footer = [0; 512];
    footer[..8].copy_from_slice(b"conectix");
    footer[8..12].copy_from_slice(&2u32.to_be_bytes());
    footer[12..16].copy_from_slice(&0x0001_0000u32.to_be_bytes());
    footer[16..24].fill(0xff);
    footer[28..32].copy_from_slice(b"test");
    footer[40..48].copy_from_slice(&size.to_be_bytes());
    footer[48..56].copy_from_slice(&size.to_be_bytes());
    footer[60..64].copy_from_slice(&2u32.to_be_bytes());
    let sum: u32 = footer.iter().map(|b| u32::from(*b)).sum();
    footer[64..68].copy_from_slice(&(!sum).to_be_bytes());
    footer
}
