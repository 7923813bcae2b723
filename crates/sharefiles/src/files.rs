//! A host's files, by its shares.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use hyperv::files::{FileError, FileProblem, FrozenFile, HostEntry, HostFiles, HostPath};

use crate::budget::Budget;
use crate::fault::Fault;
use crate::file::{RemoteFile, open_at};
use crate::place::{Place, ShareMap};
use crate::server::{Live, Server};
use crate::settings::Settings;
use crate::wire::{Command, Found, Status, Want, query_folder, read_found, read_output};

/// Entries that a folder may have.
const MOST_ENTRIES: usize = 1 << 16;

/// Files of a host, read over SMB 3.1.1.
pub struct ShareFiles {
    map: ShareMap,
    settings: Arc<Settings>,
    budget: Arc<Budget>,
    servers: Mutex<HashMap<String, Arc<Server>>>,
}

impl ShareFiles {
    /// Files found by these rules. Nothing is connected to before something is wanted.
    pub fn new(map: ShareMap, settings: Settings) -> Self {
        Self {
            map,
            budget: Budget::new(settings.budget.max(1)),
            settings: Arc::new(settings),
            servers: Mutex::default(),
        }
    }

    /// Logs on to the host, so that what stands in the way is known before anything is begun.
    ///
    /// # Errors
    /// When the host has no shares that it lets the account have.
    pub fn log_on(&self) -> Result<(), FileError> {
        let host = self.map.host();
        let logged_on = self.server(host).live().map(drop);
        logged_on.map_err(|fault| FileError {
            path: format!(r"\\{host}"),
            problem: fault.into(),
        })
    }

    fn server(&self, name: &str) -> Arc<Server> {
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        let server = servers.entry(name.to_lowercase()).or_insert_with(|| {
            let settings = Arc::clone(&self.settings);
            Arc::new(Server::new(name.to_owned(), settings))
        });
        Arc::clone(server)
    }

    fn find(&self, path: &HostPath) -> Result<(Arc<Server>, Place), FileProblem> {
        let place = self.map.find(path).ok_or(FileProblem::Unmapped)?;
        Ok((self.server(&place.server), place))
    }
}

/// What of a folder fits a pattern.
fn entries(live: &Live, folder: &Place, pattern: &str) -> Result<Vec<Found>, Fault> {
    let (tree, opened) = open_at(live, folder, Want::Entries)?;
    let all = all_entries(live, tree, &opened.id, pattern);
    live.conn.close(tree, &opened.id);
    all
}

fn all_entries(live: &Live, tree: u32, id: &[u8; 16], pattern: &str) -> Result<Vec<Found>, Fault> {
    let mut found = Vec::new();
    for _ in 0..MOST_ENTRIES {
        let most = live.conn.output();
        let body = query_folder(id, pattern, most);
        let reply = live.conn.ask(Command::QueryDirectory, tree, &body, most)?;
        if matches!(reply.status, Status::NO_MORE_FILES | Status::NO_SUCH_FILE) {
            return Ok(found);
        }
        let output = read_output(reply.success()?)?;
        if !read_found(output, &mut found, MOST_ENTRIES)? {
            return Err(Fault::TooMany(MOST_ENTRIES));
        }
    }
    Err(Fault::TooMany(MOST_ENTRIES))
}

/// Refuses a name that could be one of several, on servers that tell apart what a host does not.
fn only_one(live: &Live, place: &Place) -> Result<(), Fault> {
    let (folder, name) = place.path.rsplit_once('\\').unwrap_or(("", &place.path));
    let folder = Place {
        path: folder.to_owned(),
        ..place.clone()
    };
    let wanted = name.to_lowercase();
    let mut alike: Vec<String> = match entries(live, &folder, name) {
        Ok(found) => found.into_iter().map(|entry| entry.name).collect(),
        // An account may be allowed to read a file and not to look around.
        Err(Fault::Status(Status::ACCESS_DENIED)) => return Ok(()),
        Err(fault) => return Err(fault),
    };
    alike.retain(|found| found.to_lowercase() == wanted);
    if alike.len() < 2 || alike.iter().any(|found| found == name) {
        return Ok(());
    }
    alike.sort();
    Err(Fault::Ambiguous(alike))
}

fn failed(path: &HostPath) -> impl Fn(Fault) -> FileError {
    |fault| error(path, fault.into())
}

fn error(path: &HostPath, problem: FileProblem) -> FileError {
    let path = path.to_string();
    FileError { path, problem }
}

impl HostFiles for ShareFiles {
    fn open(&self, path: &HostPath) -> Result<Arc<FrozenFile>, FileError> {
        let (server, place) = self.find(path).map_err(|problem| error(path, problem))?;
        let budget = Arc::clone(&self.budget);
        let file = RemoteFile::open(path.clone(), Arc::clone(&server), place.clone(), budget)
            .map_err(failed(path))?;
        server
            .persist(|live| only_one(live, &place))
            .map_err(failed(path))?;
        FrozenFile::new(path.clone(), Arc::new(file)).map(Arc::new)
    }

    fn len(&self, path: &HostPath) -> Result<u64, FileError> {
        let (server, place) = self.find(path).map_err(|problem| error(path, problem))?;
        let opened = server.persist(|live| {
            let (tree, opened) = open_at(live, &place, Want::About)?;
            live.conn.close(tree, &opened.id);
            only_one(live, &place)?;
            Ok(opened)
        });
        opened.map(|opened| opened.about.len).map_err(failed(path))
    }

    fn list(&self, folder: &HostPath) -> Result<Vec<HostEntry>, FileError> {
        let (server, place) = self
            .find(folder)
            .map_err(|problem| error(folder, problem))?;
        let found = server
            .persist(|live| entries(live, &place, "*"))
            .map_err(failed(folder))?;
        let mut found: Vec<HostEntry> = found
            .into_iter()
            .map(|Found { name, len }| HostEntry { name, len })
            .collect();
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }
}
