//! What a method returned.

use crate::instance::PropertyError;
use crate::{Instance, ObjectPath};

/// `ReturnValue` that means: a job does it.
const JOB_STARTED: u32 = 4096;

/// What a method returned.
#[derive(Clone, Debug, PartialEq)]
pub struct MethodResult {
    /// The outputs by name, `ReturnValue` among them; those of a job that was started are null.
    pub outputs: Instance,
}

/// How a call of a method went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Invoked {
    /// It is done.
    Done,
    /// A job does it; the outputs do not tell its results.
    Job(ObjectPath),
    /// It was refused with this code, which means what the method says that it means.
    Refused(u32),
}

impl MethodResult {
    /// How it went, by `ReturnValue`.
    pub fn outcome(&self) -> Result<Invoked, PropertyError> {
        match self.outputs.get("ReturnValue")? {
            0 => Ok(Invoked::Done),
            JOB_STARTED => self.outputs.get("Job").map(Invoked::Job),
            code => Ok(Invoked::Refused(code)),
        }
    }

    /// An output that is the path of an object; `None` when it is null or absent.
    pub fn path(&self, name: &str) -> Result<Option<ObjectPath>, PropertyError> {
        self.outputs.get_opt(name)
    }
}
