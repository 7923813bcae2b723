//! Writes a small vault with one of everything into a folder, and beside it `expected.json`,
//! which says what opens it and what must come out.
//!
//! ```text
//! cargo run -p hyperkeep-vault-format --example sample_vault -- DIR
//! ```
//!
//! The golden vaults under `tests/golden/` were made by it, one for each version of the format;
//! they are never made again.

use std::collections::BTreeMap;
use std::path::PathBuf;

use hyperkeep_vault_format::ObjectHash;
use serde_json::json;

#[path = "../tests/common/sample.rs"]
mod sample;

fn main() -> std::io::Result<()> {
    let Some(folder) = std::env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("usage: sample_vault DIR");
        std::process::exit(2);
    };
    let vault = sample::make();
    for (name, bytes) in &vault.objects {
        let path = folder.join("vault").join(name);
        std::fs::create_dir_all(path.parent().expect("in a folder"))?;
        std::fs::write(path, bytes)?;
    }
    let points: BTreeMap<String, _> = vault
        .points
        .iter()
        .map(|(point, [base, whole, file])| {
            let sha256 = [base, whole, file].map(|bytes| ObjectHash::of(bytes).to_string());
            (
                point.to_string(),
                json!({"base": sha256[0], "whole": sha256[1], "file": sha256[2]}),
            )
        })
        .collect();
    let expected = json!({
        "passphrase": sample::PASSPHRASE,
        "recovery": vault.recovery.to_text().as_str(),
        "reader": vault.reader.to_text().as_str(),
        "host": vault.host.to_text().as_str(),
        "vm": sample::VM,
        "points": points,
    });
    let text = serde_json::to_string_pretty(&expected)? + "\n";
    std::fs::write(folder.join("expected.json"), text)
}
