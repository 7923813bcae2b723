//! How a host is changed, VM by VM, with every call in one journal.
//!
//! VMs that a cluster keeps are changed over sessions that follow them from node to node; all
//! others over that of the host itself.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use cim::{CimError, CimSession};
use hyperv::cluster::{Cluster, Following};
use hyperv::control::Control;
use hyperv::journal::Journal;
use hyperv::recovery::Report;
use uuid::Uuid;

use super::{BEGIN, CLEAN_UP, OnReturn, Setup};
use crate::finding::{Code, Finding};

/// See the [module](self).
pub(super) struct Controls {
    own: Arc<Control>,
    make: Box<dyn Fn(Arc<dyn CimSession>) -> Control + Send + Sync>,
    follow: Option<Follow>,
    on_return: OnReturn,
}

struct Follow {
    cluster: Arc<Cluster>,
    pace: Arc<dyn cim::job::Pace + Send + Sync>,
    vms: Mutex<HashMap<Uuid, Followed>>,
}

#[derive(Clone)]
struct Followed {
    control: Arc<Control>,
    following: Arc<Following>,
}

impl Controls {
    pub(super) fn new(setup: &Setup, journal: Arc<Journal>) -> Self {
        let (pace, clock) = (Arc::clone(&setup.pace), Arc::clone(&setup.clock));
        let make = move |session| {
            let (pace, clock) = (Arc::clone(&pace), Arc::clone(&clock));
            let mut control = Control::new(session, Arc::clone(&journal), pace, clock);
            control.begin = BEGIN;
            control.backoff = CLEAN_UP;
            control
        };
        Self {
            own: Arc::new(make(Arc::clone(&setup.session))),
            make: Box::new(make),
            follow: setup.node.as_ref().map(|node| Follow {
                cluster: Arc::clone(&node.cluster),
                pace: Arc::clone(&setup.pace),
                vms: Mutex::default(),
            }),
            on_return: setup.on_return.clone(),
        }
    }

    /// That of the host itself.
    pub(super) fn own(&self) -> &Arc<Control> {
        &self.own
    }

    /// That of a VM, wherever it is.
    ///
    /// # Errors
    /// When the cluster cannot be asked for it.
    pub(super) fn of(&self, vm: Uuid) -> Result<Arc<Control>, CimError> {
        let Some(follow) = &self.follow else {
            return Ok(Arc::clone(&self.own));
        };
        if let Some(known) = follow.known(vm) {
            return Ok(known.control);
        }
        let Some(following) = follow.cluster.follow(vm, Arc::clone(&follow.pace))? else {
            // It is none of the cluster's, and stays where it is.
            return Ok(Arc::clone(&self.own));
        };
        let following = Arc::new(following);
        let session: Arc<dyn CimSession> = following.clone();
        let control = Arc::new((self.make)(session));
        let followed = Followed {
            control: Arc::clone(&control),
            following,
        };
        follow.lock().insert(vm, followed);
        Ok(control)
    }

    /// Tells whom it concerns of VMs that are back.
    pub(super) fn returned(&self, report: &Report) -> Vec<Finding> {
        self.on_return.tell(self.own.journal(), report)
    }

    /// Whether a VM is one of the cluster's, so that it is found wherever it is.
    pub(super) fn follows(&self, vm: Uuid) -> bool {
        let follow = self.follow.as_ref();
        self.of(vm).is_ok() && follow.is_some_and(|follow| follow.known(vm).is_some())
    }

    /// How often a VM was seen to move.
    pub(super) fn moves(&self, vm: Uuid) -> usize {
        let known = self.follow.as_ref().and_then(|follow| follow.known(vm));
        known.map_or(0, |known| known.following.moves().len())
    }

    /// Where VMs have gone meanwhile, and what the cluster did not say.
    pub(super) fn told(&self) -> Vec<Finding> {
        let Some(follow) = &self.follow else {
            return Vec::new();
        };
        let mut found = Vec::new();
        for (vm, known) in follow.lock().iter() {
            let moves = known.following.moves().into_iter();
            let moves = moves.map(|went| format!("it went from {} to {}", went.from, went.to));
            let all = moves.chain(known.following.take_doubts());
            found.extend(all.map(|text| (*vm, text)));
        }
        found.sort();
        let note = |(vm, text)| Finding::note(Code::HostNote, format!("VM {vm}"), text);
        found.into_iter().map(note).collect()
    }
}

impl Follow {
    fn known(&self, vm: Uuid) -> Option<Followed> {
        self.lock().get(&vm).cloned()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Uuid, Followed>> {
        self.vms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
