//! The Samba server of [`testkit::samba`], as this crate reaches it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cim::http::{Credentials, Secret};
use cim::job::Pace;
use hyperkeep_sharefiles::{Settings, ShareFiles, ShareMap};
use hyperv::files::HostPath;
pub(crate) use testkit::samba::{PASSWORD, Samba};

/// Ways to its files.
pub(crate) trait Reached {
    fn settings(&self) -> Settings;
    fn files(&self) -> ShareFiles;
    fn files_with(&self, settings: Settings) -> ShareFiles;
}

impl Reached for Samba {
    fn settings(&self) -> Settings {
        let mut settings = Settings::new(Credentials {
            user: self.user.clone(),
            password: Secret::new(PASSWORD.to_owned()),
        });
        settings.port = self.port;
        settings.patience = Duration::from_secs(30);
        settings
    }

    fn files(&self) -> ShareFiles {
        self.files_with(self.settings())
    }

    fn files_with(&self, settings: Settings) -> ShareFiles {
        ShareFiles::new(ShareMap::new("127.0.0.1").unwrap(), settings)
    }
}

pub(crate) fn host(text: &str) -> HostPath {
    HostPath::parse(text).unwrap_or_else(|error| panic!("{error}"))
}

/// A file that differs at each place.
pub(crate) fn noise(len: usize) -> Vec<u8> {
    testkit::image::noise(len as u64, len)
}

/// Time in which things are done while somebody waits: nobody really does.
pub(crate) struct Scripted {
    steps: Mutex<VecDeque<Step>>,
    pub(crate) slept: Mutex<Vec<Duration>>,
}

pub(crate) type Step = Box<dyn FnOnce() + Send>;

impl Scripted {
    /// Does one step in each sleep, and nothing when there are no more.
    pub(crate) fn new(steps: Vec<Step>) -> Arc<Self> {
        Arc::new(Self {
            steps: Mutex::new(steps.into()),
            slept: Mutex::default(),
        })
    }

    /// Does one more in the sleep after those.
    pub(crate) fn then(&self, step: Step) {
        self.steps.lock().unwrap().push_back(step);
    }
}

impl Pace for Scripted {
    fn now(&self) -> Duration {
        self.slept.lock().unwrap().iter().sum()
    }

    fn sleep(&self, span: Duration) {
        self.slept.lock().unwrap().push(span);
        let step = self.steps.lock().unwrap().pop_front();
        if let Some(step) = step {
            step();
        }
    }
}
