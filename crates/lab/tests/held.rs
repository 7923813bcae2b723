//! Requests that wait until their client is gone.

mod support;

use std::io::{self, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};

use cim::{CimSession, WsmanSession, random_ids};
use hyperkeep_lab::schema::HYPER_V;
use hyperkeep_lab::server::Event;
use support::{Lab, PLAIN, checkpoints, create, transport, transport_by};

/// A way to a lab that can be cut.
struct Way {
    port: u16,
    /// Its ends at the lab.
    ends: Arc<Mutex<Vec<TcpStream>>>,
}

impl Way {
    fn to(lab: &Lab) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (lab, ends) = (lab.server.address(), Arc::new(Mutex::new(Vec::new())));
        let known = Arc::clone(&ends);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (client, host) = (client.unwrap(), TcpStream::connect(lab).unwrap());
                known.lock().unwrap().push(host.try_clone().unwrap());
                for (from, to) in [(&client, &host), (&host, &client)] {
                    let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    std::thread::spawn(move || pass(from, to));
                }
            }
        });
        Self { port, ends }
    }

    /// Sends more than is kept for somebody who does not read: the lab reads on, and has not ended.
    fn flood(&self) {
        let ends = self.ends.lock().unwrap();
        let mut end = ends.last().unwrap();
        for _ in 0..16 {
            end.write_all(&[0; 1 << 20]).unwrap();
        }
    }

    /// For the lab its client is gone. That one still gets what the lab has sent, if anything.
    fn cut(&self) {
        for end in self.ends.lock().unwrap().iter() {
            // The lab may have ended it already.
            let _ = end.shutdown(Shutdown::Write);
        }
    }
}

/// Until one side ends, of which the other one is told.
fn pass(mut from: TcpStream, mut to: TcpStream) {
    // However it ended.
    let _ = io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
}

/// A lab to which this happens, and what it tells.
fn lab(mishaps: &str, tls: bool) -> (Lab, Receiver<(Event, String)>) {
    let scenario = format!(
        r#"{{"vms": [{{"name": "web", "disks": [{{"path": "D:\\a.vhdx", "size": 4194304}}]}}],
            "rules": {{"checkpoint-ms": 1}}, "mishaps": [{mishaps}]}}"#
    );
    let lab = Lab::of(&scenario, tls);
    let (tell, told) = channel();
    let tell = Mutex::new(tell);
    lab.server.listen(Box::new(move |event, request| {
        // Whoever listened may be gone.
        let _ = tell.lock().unwrap().send((event, request.to_owned()));
    }));
    (lab, told)
}

#[test]
fn a_request_is_carried_out_when_its_client_is_gone_or_before_or_never() {
    for tls in [false, true] {
        for (fate, held, gone) in [("never", 0, 0), ("late", 0, 1), ("done", 1, 1)] {
            let what = format!("{fate}, {tls}");
            let mishap = format!(r#"{{"on": "createSNAPSHOT", "does": {{"held": "{fate}"}}}}"#);
            let (lab, told) = lab(&mishap, tls);
            let way = Way::to(&lab);
            let ours = |port| {
                let transport = transport_by(&lab, port, tls, ("admin", PLAIN));
                WsmanSession::new(Box::new(transport), Box::new(random_ids().unwrap()))
            };
            let session = ours(way.port);
            let asks = std::thread::spawn(move || create(&session).unwrap_err());
            let request = "CreateSnapshot".to_owned();
            assert_eq!(told.recv().unwrap(), (Event::Held, request.clone()));
            assert_eq!(checkpoints(&lab), held, "{what}");
            // Others are answered meanwhile.
            let other = ours(lab.server.address().port());
            let query = "SELECT * FROM Msvm_ComputerSystem";
            assert!(!other.query(HYPER_V, query).unwrap().is_empty());
            // It waits for the end of what its client sends. It would have told of that before.
            way.flood();
            assert!(told.try_recv().is_err(), "{what}");
            way.cut();
            assert_eq!(told.recv().unwrap(), (Event::Gone, request), "{what}");
            assert_eq!(checkpoints(&lab), gone, "{what}");
            // It had no answer.
            let error = asks.join().unwrap();
            assert!(error.may_have_happened(), "{what}: {error}");
            // It was the only one.
            create(&other).unwrap();
            assert_eq!(checkpoints(&lab), gone + 1, "{what}");
            // Nobody is left who could tell of more.
            drop((other, lab));
            assert_eq!(told.iter().next(), None, "{what}");
        }
    }
}

#[test]
fn each_request_is_told_and_answered() {
    let (lab, told) = lab(
        r#"{"on": "any", "skip": 1, "times": 3, "does": "told"},
           {"on": "any", "before": [{"time-passes-s": 3600}]}"#,
        false,
    );
    let transport = transport(&lab, false, "admin", PLAIN);
    let session = WsmanSession::new(Box::new(transport), Box::new(random_ids().unwrap()));
    let time = || lab.server.service().repository.host.now();
    let begun = time();
    create(&session).unwrap();
    let query = "SELECT * FROM Msvm_ComputerSystem";
    session.query(HYPER_V, query).unwrap();
    session.query(HYPER_V, query).unwrap();
    assert_eq!(time(), begun);
    session.query(HYPER_V, query).unwrap();
    assert_eq!(time().duration_since(begun).as_secs(), 3600);
    let told: Vec<_> = told.try_iter().collect();
    let asked = ["CreateSnapshot", "Enumerate", "Enumerate"];
    assert_eq!(told, asked.map(|asked| (Event::Told, asked.to_owned())));
    assert_eq!(checkpoints(&lab), 1);
}

/// What cannot happen is told by the reply, and not held.
#[test]
fn a_mistake_of_the_scenario_is_answered() {
    let mishap = r#"{"on": "CreateSnapshot", "before": [{"receives-delta": "web"}],
                     "does": {"held": "never"}}"#;
    let (lab, told) = lab(mishap, false);
    let transport = transport(&lab, false, "admin", PLAIN);
    let session = WsmanSession::new(Box::new(transport), Box::new(random_ids().unwrap()));
    let error = create(&session).unwrap_err().to_string();
    assert!(error.contains("Szenario"), "{error}");
    // Nobody is left who could tell of it.
    drop((session, lab));
    assert_eq!(told.iter().next(), None);
}
