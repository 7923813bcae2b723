//! What a host is.

use cim::path::HYPER_V;
use cim::{CimError, CimSession, Instance, ObjectPath};
use serde::{Deserialize, Serialize};

use super::finding::Notes;
use super::network::{self, Switch};
use super::row::Row;
use super::tables::{Tables, Told};
use super::volume::{self, Volume};
use crate::ids;

/// A host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// Its name.
    pub name: Option<String>,
    /// Its operating system, if the account may ask for it.
    pub os: Option<Os>,
    /// Where new VMs go.
    pub default_paths: DefaultPaths,
    /// Its virtual switches.
    pub switches: Vec<Switch>,
    /// The cluster that it is a node of.
    pub cluster: Option<String>,
    /// Whether it has reference points at all, and with them change tracking; hosts before 2016
    /// do not. `None` when it refuses to tell.
    pub reference_points: Option<bool>,
    /// Its volumes; `None` when it does not tell.
    pub volumes: Option<Vec<Volume>>,
}

/// A host's operating system.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Os {
    /// `10.0.20348`.
    pub version: Option<String>,
    /// Its name, in the host's language.
    pub caption: Option<String>,
    /// Server or client.
    pub kind: OsKind,
}

/// Server or client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OsKind {
    /// A desktop Windows.
    Client,
    /// A server that is a domain controller.
    DomainController,
    /// Another server.
    Server,
    /// Not told.
    #[default]
    Unknown,
}

/// Where new VMs and disks go unless somebody says otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DefaultPaths {
    /// Configurations.
    pub machines: Option<String>,
    /// Virtual disks.
    pub disks: Option<String>,
}

pub(super) fn read(tables: &Tables, notes: &mut Notes) -> Host {
    let os = tables.os.first().map(Row);
    // The host is a computer system like its VMs, with a name that is no GUID.
    let own = tables.machines.iter().map(Row).find_map(|row| {
        let name = row.text("Name", &mut Notes::default())?;
        ids::guid(&name).is_none().then_some(name)
    });
    let management = tables.management.first().map(Row);
    Host {
        name: os.and_then(|os| os.text("CSName", notes)).or(own),
        os: os.map(|row| self::os(row, notes)),
        default_paths: DefaultPaths {
            machines: management.and_then(|m| m.text("DefaultExternalDataRoot", notes)),
            disks: management.and_then(|m| m.text("DefaultVirtualHardDiskPath", notes)),
        },
        switches: network::switches(&tables.switches, notes),
        cluster: cluster(&tables.clusters, notes),
        reference_points: match &tables.reference_points {
            Told::Rows(_) => Some(true),
            Told::NoClass => Some(false),
            Told::Refused => None,
        },
        volumes: match &tables.volumes {
            Told::Rows(rows) => Some(volume::read(rows, notes)),
            Told::NoClass | Told::Refused => None,
        },
    }
}

/// What a host calls itself, asked by itself; `None` if it does not say.
///
/// # Errors
/// When it cannot be asked. One that refuses does not say.
pub fn host_name(session: &dyn CimSession) -> Result<Option<String>, CimError> {
    let may = |error: CimError| error.fault_kind().map(|_| None).ok_or(error);
    let os = session.query("root/cimv2", "SELECT * FROM Win32_OperatingSystem");
    let name = |rows: Vec<Instance>| Row(rows.first()?).text("CSName", &mut Notes::default());
    if let Some(name) = os.map(name).or_else(may)? {
        return Ok(Some(name));
    }
    let machines = session.query_paths(HYPER_V, "SELECT * FROM Msvm_ComputerSystem");
    let own = |paths: Vec<ObjectPath>| {
        let mut names = paths.iter().filter_map(|path| path.key("Name"));
        names.find(|name| ids::guid(name).is_none())
    };
    machines.map(own).or_else(may)
}

fn os(row: Row<'_>, notes: &mut Notes) -> Os {
    let product: Option<u32> = row.opt("ProductType", notes);
    Os {
        version: row.text("Version", notes),
        caption: row.text("Caption", notes),
        kind: match product {
            Some(1) => OsKind::Client,
            Some(2) => OsKind::DomainController,
            Some(3) => OsKind::Server,
            _ => OsKind::Unknown,
        },
    }
}

fn cluster(rows: &[Instance], notes: &mut Notes) -> Option<String> {
    rows.first().and_then(|row| Row(row).text("Name", notes))
}
