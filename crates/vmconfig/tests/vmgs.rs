//! Guest state files are recognised, whole and damaged.

use hyperkeep_vmconfig::vmgs::{self, Error, Vmgs};

#[test]
fn version_and_contents() {
    let plain = testkit::vm::vmgs(false);
    let expected = Vmgs {
        version: 0x0003_0000,
        encrypted: false,
        tpm_state: Some(false),
        key_protector: Some(false),
        vhd_footer: true,
    };
    assert_eq!(vmgs::read(&plain).unwrap(), expected);
    let tpm = vmgs::read(&testkit::vm::vmgs(true)).unwrap();
    assert_eq!((tpm.tpm_state, tpm.key_protector), (Some(true), Some(true)));
    // Without its footer it is still recognised, and said to lack it.
    let cut = &plain[..plain.len() - 512];
    assert_eq!(
        vmgs::read(&cut).unwrap(),
        Vmgs {
            vhd_footer: false,
            ..expected
        }
    );
}

#[test]
fn damage() {
    let mut file = testkit::vm::vmgs(true);
    file[20] ^= 1;
    assert_eq!(
        vmgs::read(&file).unwrap().version,
        0x0003_0000,
        "the second header counts"
    );
    file[4096 + 20] ^= 1;
    assert!(matches!(vmgs::read(&file), Err(Error::NoValidHeader)));
    assert!(matches!(vmgs::read(&vec![0u8; 9000]), Err(Error::NotVmgs)));
    let good = testkit::vm::vmgs(true);
    for len in 0..9000 {
        let read = vmgs::read(&&good[..len]);
        assert_eq!(read.is_err(), len < 168, "{len}");
    }
}
