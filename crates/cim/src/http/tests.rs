use super::*;

fn reply(text: &str) -> Result<HttpReply, String> {
    read_reply(&mut text.as_bytes(), 100).map_err(|error| error.to_string())
}

#[test]
fn replies_of_all_lengths() {
    let plain = reply("HTTP/1.1 200 OK\r\ncontent-length: 4\r\nX: a\r\nx: b\r\n\r\n<a/>").unwrap();
    assert_eq!(
        (plain.status, plain.body.as_slice(), plain.keep),
        (200, &b"<a/>"[..], true)
    );
    assert_eq!(plain.header("X").collect::<Vec<_>>(), ["a", "b"]);
    let chunked = "HTTP/1.1 500 \r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\n<a\r\n2\r\n/>\r\n0\r\nT: x\r\n\r\n";
    assert_eq!(reply(chunked).unwrap().body, b"<a/>");
    let to_end = reply("HTTP/1.1 200 OK\r\n\r\nall of it").unwrap();
    assert_eq!(
        (to_end.body.as_slice(), to_end.keep),
        (&b"all of it"[..], false)
    );
    let interim = reply("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 x\r\n\r\n").unwrap();
    assert_eq!((interim.status, interim.keep), (204, true));
    let close = reply("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n").unwrap();
    assert!(!close.keep);
    let old = reply("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
    assert!(!old.keep);
}

#[test]
fn replies_that_lie_are_refused() {
    let long = format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(70_000));
    let interim = "HTTP/1.1 100 Continue\r\n\r\n".repeat(9);
    for (text, why) in [
        ("", "closed the connection"),
        ("HTTP/1.1 200", "closed the connection"),
        ("nonsense\r\n\r\n", "head is malformed"),
        (long.as_str(), "head is larger"),
        (interim.as_str(), "never comes"),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n<a/>",
            "closed the connection",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n<a/>",
            "more follows",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n",
            "body is larger",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\nx",
            "no number",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
            "two lengths",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
            "unknown transfer",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n65\r\n",
            "body is larger",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffff\r\n",
            "chunks are malformed",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxx\r\n",
            "chunks are malformed",
        ),
    ] {
        let told = reply(text).unwrap_err();
        assert!(told.contains(why), "{text:.60}: {told}");
    }
    let endless = format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(101));
    assert!(reply(&endless).unwrap_err().contains("larger"));
}

/// The bytes of MS-WSMV 2.2.9.1, and what comes back.
#[test]
fn encrypted_messages_have_their_own_shape() {
    let sealed = Sealed {
        signature: vec![1; 16],
        // The boundary within the data is data.
        data: b"--Encrypted Boundary--\r\n".to_vec(),
    };
    let body = sealed.to_body(
        "application/HTTP-SPNEGO-session-encrypted",
        sealed.data.len(),
    );
    let mut wanted = b"--Encrypted Boundary\r\n\
        \tContent-Type: application/HTTP-SPNEGO-session-encrypted\r\n\
        \tOriginalContent: type=application/soap+xml;charset=UTF-8;Length=24\r\n\
        --Encrypted Boundary\r\n\
        \tContent-Type: application/octet-stream\r\n\
        \x10\0\0\0"
        .to_vec();
    wanted.extend_from_slice(&sealed.signature);
    wanted.extend_from_slice(&sealed.data);
    wanted.extend_from_slice(b"--Encrypted Boundary--\r\n");
    assert_eq!(body, wanted);
    assert_eq!(Sealed::from_body(&body), Ok(sealed.clone()));
    let text = String::from_utf8(body.clone()).unwrap();
    let blank = text.replacen("--Encrypted", "-- Encrypted", 2);
    assert_eq!(Sealed::from_body(blank.as_bytes()), Ok(sealed));
    for (from, to) in [
        ("Length=24", "Length=23"),
        ("Length=24", "Length=x"),
        ("OriginalContent", "Original"),
        ("octet-stream", "text"),
        ("\x10\0\0\0", "\x7f\x7f\0\0"),
        ("\x10\0\0\0", "\x50\0\0\0"),
    ] {
        let bad = text.replacen(from, to, 1);
        assert_ne!(bad, text);
        assert!(Sealed::from_body(bad.as_bytes()).is_err(), "{from} → {to}");
    }
    for len in 0..body.len() - 2 {
        assert!(Sealed::from_body(&body[..len]).is_err(), "{len}");
    }
}

#[test]
fn endpoints_are_names_or_addresses() {
    let at = |e: Result<Endpoint, BadEndpoint>| e.unwrap().url();
    assert_eq!(at(Endpoint::http("hv01", None)), "http://hv01:5985/wsman");
    assert_eq!(
        at(Endpoint::https("hv01.example", Some(443))),
        "https://hv01.example:443/wsman"
    );
    assert_eq!(
        at(Endpoint::https("fe80::1", None)),
        "https://[fe80::1]:5986/wsman"
    );
    assert_eq!(Endpoint::https("[::1]", None).unwrap().host(), "::1");
    for bad in ["", "a b", "a/b", "a\r\nX: y", "user@host", "a:1"] {
        assert!(Endpoint::http(bad, None).is_err(), "{bad:?}");
    }
    assert!(Endpoint::http("a", Some(0)).is_err());
}

#[test]
fn what_must_not_be_used_is_refused() {
    let who = || Credentials {
        user: "u".into(),
        password: Secret::new("geheim".into()),
    };
    let plain = Endpoint::http("127.0.0.1", None).unwrap();
    let make = |logon| HttpTransport::new(plain.clone(), Trust::System, who(), logon).err();
    assert_eq!(make(Logon::Basic), Some(BadSetup::BasicInClear));
    assert_eq!(make(Logon::Ntlm), None);
    let kerberos = Logon::Kerberos {
        kdc: "kdc".into(),
        service: "HTTP".into(),
    };
    assert_eq!(make(kerberos), Some(BadSetup::KerberosToAddress));
    assert!(!format!("{:?}", who()).contains("geheim"));
}

#[test]
fn secrets_come_from_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    for (bytes, secret) in [("pass wörd \r\nmore", "pass wörd "), ("x", "x"), ("", "")] {
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(Secret::from_file(&path).unwrap().expose(), secret);
    }
    std::fs::write(&path, "x".repeat(5000)).unwrap();
    assert!(Secret::from_file(&path).is_err());
}

#[test]
fn fingerprints_of_all_spellings() {
    let hex = "AB".repeat(32);
    let colons = vec!["ab"; 32].join(":");
    assert_eq!(parse_fingerprint(&hex), Ok([0xab; 32]));
    assert_eq!(parse_fingerprint(&colons), Ok([0xab; 32]));
    for bad in ["", "ab", &"ab".repeat(33), &"xy".repeat(32)] {
        assert!(parse_fingerprint(bad).is_err(), "{bad}");
    }
    assert!(Trust::from_pem(b"no certificate").is_err());
}

#[test]
fn bindings_follow_the_hash_of_the_certificate() {
    use ring::digest::{SHA256, SHA384, digest};
    let certificate = |signature: &[u8]| {
        let mut der = vec![0x30, 0, 0x30, 2, 5, 0, 0x30, 0, 6];
        der.push(u8::try_from(signature.len()).unwrap());
        der.extend_from_slice(signature);
        der[7] = u8::try_from(signature.len() + 2).unwrap();
        der[1] = u8::try_from(der.len() - 2).unwrap();
        der
    };
    let with = |algorithm, der: &[u8]| {
        let mut token = b"tls-server-end-point:".to_vec();
        token.extend_from_slice(digest(algorithm, der).as_ref());
        Some(token)
    };
    let sha384 = certificate(&[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 3]);
    assert_eq!(binding::token(&sha384), with(&SHA384, &sha384));
    let sha1 = certificate(&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 5]);
    assert_eq!(binding::token(&sha1), with(&SHA256, &sha1));
    for len in 0..sha1.len() {
        assert_eq!(binding::token(&sha1[..len]), None, "{len}");
    }
}
