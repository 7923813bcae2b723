//! The headers that we send beside those of pypsrp and pywinrm, which work with real hosts.

use hyperkeep_cim::ObjectPath;
use hyperkeep_cim::path::HYPER_V;
use hyperkeep_cim::wsman::{Mode, Request, Settings};
use uuid::uuid;

#[test]
fn other_clients_send_the_same_headers() {
    let Some(python) =
        testkit::vhd::oracle::python("cim envelopes: pypsrp, pywinrm", "pypsrp, winrm")
    else {
        return;
    };
    let mut settings = Settings::new(
        "http://hv01:5985/wsman",
        uuid!("11111111-2222-3333-4444-555555555555"),
    );
    settings.timeout = std::time::Duration::from_secs(60);
    let folder = tempfile::tempdir().unwrap();
    let path = ObjectPath::new(HYPER_V, "Msvm_ComputerSystem")
        .with_key("CreationClassName", "Msvm_ComputerSystem")
        .with_key("Name", "a \\ & <b>");
    let list = Request::enumerate(HYPER_V, "Msvm_ComputerSystem", 10, Mode::Object);
    for request in [Request::get(&path), list.pull("uuid:C", 10), list] {
        let text = request
            .write(&settings, uuid!("4b0f0c0a-7f9b-4c38-9d0b-0c9e1a3d7f11"))
            .unwrap();
        let file = folder.path().join("envelope.xml");
        std::fs::write(&file, text).unwrap();
        let mut command = std::process::Command::new(python.program());
        command.arg(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/oracles/envelopes.py"
        ));
        command
            .arg(&file)
            .args([&request.action, &request.resource]);
        command.args(
            request
                .selectors
                .iter()
                .map(|key| format!("{}={}", key.name, key.value.to_text())),
        );
        let out = command.output().unwrap();
        let told = String::from_utf8_lossy(&out.stdout);
        assert_eq!(
            told.trim(),
            "the same",
            "{}",
            String::from_utf8_lossy(&out.stderr)
        );
    }
}
