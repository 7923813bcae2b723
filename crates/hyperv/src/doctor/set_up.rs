//! A script that gives an account the least rights that will do.
//!
//! Written from documentation; no such host has run it yet. What comes from outside, the account
//! and the folders' names, stands in it in single quotes and cannot become code.

use serde::{Deserialize, Serialize};

use crate::files::HostPath;
use crate::inventory::Inventory;
use crate::powershell::quoted;

const SCRIPT: &str = include_str!("set_up.ps1");
/// The longest name of an account that Windows has: a domain's, and a user's.
const MOST_ACCOUNT: usize = 15 + 1 + 104;

/// A folder that is shared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// The share's name.
    pub name: String,
    /// The folder, as the host spells it.
    pub folder: String,
}

/// Text that is no account's name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no name of an account: write DOMAIN\\NAME, NAME@DOMAIN or NAME")]
pub struct BadAccount(pub String);

/// The folders that hold all files of the host's VMs, with names for their shares. A folder within
/// another one is not told, nor one that is on another server, nor the root of a drive: sharing that
/// is for a person to decide.
pub fn shares(inventory: &Inventory) -> Vec<Share> {
    let mut folders: Vec<HostPath> = Vec::new();
    for machine in &inventory.machines {
        let all = machine.checkpoints.iter().map(|c| &c.settings);
        for settings in std::iter::once(&machine.settings).chain(all) {
            let roots = &settings.config.data_roots;
            let roots = [&roots.configuration, &roots.checkpoints];
            folders.extend(
                roots
                    .into_iter()
                    .flatten()
                    .filter_map(|root| HostPath::parse(root).ok()),
            );
            let media = settings.media.iter();
            let media = media.filter_map(|medium| HostPath::parse(&medium.path).ok());
            folders.extend(media.filter_map(|path| path.parent()));
        }
    }
    let local =
        |folder: &HostPath| !folder.names().is_empty() && !folder.to_string().starts_with(r"\\");
    folders.retain(local);
    // Shorter ones first: what lies below one of them is shared with it.
    folders.sort_by_key(|folder| (folder.names().len(), folder.to_string().to_lowercase()));
    let mut tops: Vec<HostPath> = Vec::new();
    for folder in folders {
        if !tops.iter().any(|top| folder.below(top).is_some()) {
            tops.push(folder);
        }
    }
    let named = |folder: HostPath| Share {
        name: name_of(&folder.to_string()),
        folder: folder.to_string(),
    };
    tops.into_iter().map(named).collect()
}

/// The name of a folder's share: the same each time, whatever other folders there are. The dollar
/// keeps it out of lists that people look through.
fn name_of(folder: &str) -> String {
    // FNV-1a. Folders that somebody made have the same name are told apart by the script.
    let sum = |sum: u64, byte: u8| (sum ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    let folder = folder.to_lowercase();
    let sum = folder.bytes().fold(0xcbf2_9ce4_8422_2325, sum);
    format!("hyperkeep-{sum:016x}$")
}

impl Share {
    /// The rule by which the folder is found in its share on the host: what `--share` takes.
    pub fn rule(&self, host: &str) -> String {
        format!(r"{}=\\{host}\{}", self.folder, self.name)
    }
}

/// The script for `account`, with shares of the folders with VMs. It ends by telling by which
/// arguments those are found on the host, which backups call by the name `host`.
///
/// # Errors
/// When `account` cannot be an account's name.
pub fn set_up(account: &str, inventory: &Inventory, host: &str) -> Result<String, BadAccount> {
    let odd = |c: char| c.is_control() || "\"/[]:;|=,+*?<>`$‘’‚‛".contains(c);
    if account.trim().is_empty()
        || account.chars().count() > MOST_ACCOUNT
        || account.chars().any(odd)
    {
        return Err(BadAccount(account.chars().take(MOST_ACCOUNT).collect()));
    }
    let mut namespaces = vec![r"root\virtualization\v2", r"root\cimv2"];
    if inventory.host.cluster.is_some() {
        namespaces.push(r"root\MSCluster");
    }
    let namespaces: Vec<String> = namespaces.into_iter().map(quoted).collect();
    let shares: Vec<String> = shares(inventory)
        .iter()
        .map(|share| {
            let (name, path) = (quoted(&share.name), quoted(&share.folder));
            let rule = quoted(&share.rule(host));
            format!("    @{{ Name = {name}; Path = {path}; Rule = {rule} }}")
        })
        .collect();
    Ok(SCRIPT
        .replace("@NAMESPACES@", &namespaces.join(", "))
        .replace("@SHARES@", &shares.join("\n"))
        .replace("'@ACCOUNT@'", &quoted(account)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preflight::tests::well;

    fn host(paths: &[&str]) -> Inventory {
        let mut vm = well();
        let medium = vm.settings.media[0].clone();
        vm.settings.media = paths
            .iter()
            .map(|path| crate::inventory::Medium {
                path: (*path).to_owned(),
                ..medium.clone()
            })
            .collect();
        vm.settings.config.data_roots.checkpoints = None;
        Inventory {
            machines: vec![vm],
            ..Inventory::default()
        }
    }

    #[test]
    fn folders_are_shared_once_and_drives_are_not() {
        let inventory = host(&[
            r"D:\VMs\a\disk.vhdx",
            r"d:\vms\b.vhdx",
            r"E:\c.vhdx",
            r"\\server\share\d.vhdx",
            r"C:\ClusterStorage\Volume1\e\e.vhdx",
        ]);
        let folders: Vec<String> = shares(&inventory).into_iter().map(|s| s.folder).collect();
        assert_eq!(folders, [r"D:\vms", r"C:\ClusterStorage\Volume1\e"]);
    }

    #[test]
    fn names_cannot_become_code() {
        let inventory = host(&[r"D:\it's ’odd’ $(calc)\a.vhdx"]);
        let script = set_up(r"LAB\o'neill", &inventory, "hv01").unwrap();
        assert!(script.contains(r"$account = 'LAB\o''neill'"), "{script}");
        assert!(
            script.contains(r"Path = 'D:\it''s ’’odd’’ $(calc)'"),
            "{script}"
        );
        assert!(!script.contains("@SHARES@") && !script.contains("@NAMESPACES@"));
        for bad in ["", " ", "a\nb", "a;b", "$(calc)", "a`b", &"x".repeat(200)] {
            assert!(set_up(bad, &inventory, "hv01").is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_share_keeps_its_name_and_the_script_tells_how_it_is_found() {
        let one = shares(&host(&[r"D:\VMs\a.vhdx"]));
        // A folder that comes first by its name, and the same one spelled in another way.
        let both = shares(&host(&[r"d:\vms\a.vhdx", r"C:\VMs\b.vhdx"]));
        assert_eq!(both.len(), 2);
        assert_eq!(both[1].name, one[0].name);
        assert_ne!(both[0].name, both[1].name);
        assert!(one[0].name.ends_with('$'));

        let script = set_up("backup", &host(&[r"D:\VMs\a.vhdx"]), "hv01").unwrap();
        let rule = one[0].rule("hv01");
        assert!(script.contains(&quoted(&rule)), "{script}");
        let (folder, at) = rule.split_once('=').unwrap();
        assert_eq!(folder, r"D:\VMs");
        assert_eq!(at, format!(r"\\hv01\{}", one[0].name));
        assert!(HostPath::parse(at).is_ok());
    }
}
