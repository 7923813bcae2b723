//! From a scenario's file to a host that listens.

use std::io::BufRead;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::clock::SystemClock;
use crate::orders::{self, Say};
use crate::scenario::{BuildError, Scenario};
use crate::server::{BadIdentity, Identity, Server};

/// How often the time of a host passes at least.
const STEP: Duration = Duration::from_millis(100);

/// Why a host does not listen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// A file cannot be read.
    #[error("{path}: {error}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// There is no host of the scenario.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The certificate is none.
    #[error(transparent)]
    Identity(#[from] BadIdentity),
    /// The address cannot be had.
    #[error("{address}: {error}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        error: std::io::Error,
    },
}

/// Starts the host of a scenario's file, or all nodes of its cluster, these at ports that follow
/// each other. Files lie in `folder`; other files that the scenario names lie
/// beside it unless their paths are whole.
pub fn serve(file: &Path, folder: &Path, address: SocketAddr) -> Result<Vec<Server>, ServeError> {
    let read = |path: PathBuf| match std::fs::read(&path) {
        Ok(bytes) => Ok(bytes),
        Err(error) => Err(ServeError::File { path, error }),
    };
    let text = read(file.to_owned())?;
    let mut scenario = Scenario::read(&String::from_utf8_lossy(&text))?;
    scenario.beside(file.parent().unwrap_or(Path::new("")));
    let tls = match &scenario.tls {
        Some(tls) => {
            let (certificate, key) = (read(tls.certificate.clone())?, read(tls.key.clone())?);
            Some(Identity::from_pem(&certificate, &key)?)
        }
        None => None,
    };
    let mut servers = Vec::new();
    let mut address = address;
    for host in scenario.build_all(folder, Arc::new(SystemClock))? {
        let (service, accounts) = (scenario.service(host)?, scenario.accounts());
        let started = Server::start(address, service, accounts, tls.clone());
        servers.push(started.map_err(|error| ServeError::Listen { address, error })?);
        // Port 0 takes any that is free, again and again.
        if address.port() != 0 {
            address.set_port(address.port().saturating_add(1));
        }
    }
    Ok(servers)
}

/// Lets the time of hosts pass, until the process ends: guests write and VMs move even if nobody
/// asks for anything. Meanwhile orders are followed, and what happens is said.
pub fn keep_going(servers: &[Server], orders: Option<impl BufRead + Send>, say: &Say) -> ! {
    orders::listen(servers, say);
    std::thread::scope(|scope| {
        if let Some(given) = orders {
            scope.spawn(|| orders::follow(servers, given, say));
        }
        loop {
            for server in servers {
                server.service().repository.host.advance();
            }
            std::thread::sleep(STEP);
        }
    })
}
