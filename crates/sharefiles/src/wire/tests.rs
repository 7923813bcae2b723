use proptest::prelude::*;

use super::*;

fn corpus(name: &str) -> Vec<u8> {
    std::fs::read(testkit::corpus::dir("sharefiles_reply").join(name)).unwrap()
}

#[test]
fn proper_replies_are_understood() {
    let agreed = Agreed::read(&corpus("negotiate")).unwrap();
    assert_eq!(agreed.cipher, Some(Cipher::Aes128Gcm));
    assert_eq!(agreed.signing, Signing::Gmac);
    assert_eq!(agreed.most_read, 8 << 20);
    assert!(agreed.token.starts_with(b"\x60\x10spnego"));
    assert_eq!(read_setup(&corpus("setup")), Ok((false, &b"abcd"[..])));
    assert_eq!(read_tree(&corpus("tree")), Ok((true, true)));
    let opened = read_opened(&corpus("opened")).unwrap();
    assert_eq!(
        opened.about,
        About {
            created: 1,
            written: 3,
            len: 6
        }
    );
    assert_eq!(opened.on_disk.unwrap()[31], 31);
    assert_eq!(read_data(&corpus("data")), Ok(&b"hello"[..]));
    let entries = corpus("entries");
    let mut found = Vec::new();
    assert_eq!(
        read_found(read_output(&entries).unwrap(), &mut found, 9),
        Ok(true)
    );
    let names: Vec<_> = found.iter().map(|e| (e.name.as_str(), e.len)).collect();
    assert_eq!(names, [("a.vhdx", Some(77)), ("Größe", Some(77))]);
    assert_eq!(
        read_found(read_output(&entries).unwrap(), &mut found, 3),
        Ok(false)
    );
    let about = corpus("about");
    let about = read_about(read_output(&about).unwrap()).unwrap();
    assert_eq!(
        about,
        About {
            created: 1,
            written: 3,
            len: 6
        }
    );
    let refused = Header::read(&corpus("refused")).unwrap();
    assert_eq!(refused.status, Status::OBJECT_NAME_NOT_FOUND);
    assert_eq!(Transform::read(&corpus("sealed")).unwrap().len, 20);
}

#[test]
fn an_offer_that_was_not_made_is_not_taken() {
    let good = corpus("negotiate");
    let at = |what: &[u8]| good.windows(what.len()).position(|w| w == what).unwrap();
    // The dialect; the hash; the cipher; the way to sign.
    let cipher = at(&[2, 0, 4, 0, 0, 0, 0, 0, 1, 0, 2, 0]);
    let signing = at(&[8, 0, 4, 0, 0, 0, 0, 0, 1, 0, 2, 0]);
    let hash = at(&[1, 0, 38, 0]);
    for (place, byte) in [
        (HEADER + 4, 0x02),
        (hash + 12, 2),
        (hash, 99),
        (cipher + 10, 1),
        (cipher + 8, 2),
        (signing + 10, 0),
    ] {
        let mut bad = good.clone();
        bad[place] = byte;
        assert!(Agreed::read(&bad).is_err(), "{place} {byte}");
    }
    let mut plain = good.clone();
    plain[cipher + 10] = 0;
    assert_eq!(Agreed::read(&plain).unwrap().cipher, None);
}

#[test]
fn requests_are_as_the_specification_has_them() {
    let header = Header {
        charge: 2,
        status: Status::SUCCESS,
        command: Command::Read as u16,
        credits: 9,
        flags: 0,
        message: 0x0102,
        tree: 0x0304,
        session: 0x0506,
        signature: [0; 16],
    };
    let bytes = header.with(&read(&[7; 16], 0x1_0000_0000, 65_537));
    assert_eq!(bytes.len(), HEADER + 49);
    let expected = "FE534D4240000200000000000800090000000000000000000201000000000000\
                    0000000004030000060500000000000000000000000000000000000000000000\
                    3100000001000100000000000100000007070707070707070707070707070707\
                    00000000000000000000000000000000\
                    00";
    assert_eq!(data_encoding::HEXUPPER.encode(&bytes), expected);
    // Nothing but reading is asked for, of what exists, and nobody is kept out.
    for want in [Want::Data, Want::About, Want::Entries] {
        let body = open("a", want);
        let word = |at: usize| u32::from_le_bytes(body[at..at + 4].try_into().unwrap());
        let (access, share, disposition) = (word(24), word(32), word(36));
        assert_eq!(access & !0x0010_0081, 0, "{want:?}");
        assert_eq!((share, disposition), (7, 1));
        // No oplock, no deletion on close.
        assert_eq!((body[3], word(40) & 0x1000), (0, 0));
    }
}

proptest! {
    #[test]
    fn no_bytes_confuse_us(
        name in prop::sample::select(vec![
            "negotiate", "setup", "tree", "opened", "data", "entries", "about", "sealed",
        ]),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = corpus(name);
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let _ = take_apart(&bytes);
        bytes.truncate(cut.index(bytes.len()));
        let _ = take_apart(&bytes);
    }
}
