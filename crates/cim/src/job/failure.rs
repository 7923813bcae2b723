//! Why a job failed: all that a host tells.

use std::fmt::{Display, Formatter};

use super::state::JobSnapshot;
use crate::value::shorten;
use crate::{CimSession, Hresult, Instance, ObjectPath, cimxml};

/// Errors of one job that are kept.
const MOST_ERRORS: usize = 64;

/// A job that did not end well.
#[derive(Clone, Debug, PartialEq)]
pub struct JobFailure {
    /// The job at its end.
    pub job: JobSnapshot,
    /// What `GetErrorEx` told.
    pub errors: Vec<JobError>,
    /// Why `GetErrorEx` told nothing, if it could not be asked.
    pub unasked: Option<String>,
    /// The code of Windows behind it: that of the storage service, else the first that is in any
    /// of the texts.
    pub code: Option<Hresult>,
}

/// One error of a job (`Msvm_Error`).
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct JobError {
    /// The message, in the host's language.
    pub message: String,
    /// The id of the message, in no language.
    pub id: Option<String>,
    /// CIM's status code.
    pub status: Option<u32>,
}

impl JobFailure {
    pub(super) fn ask(session: &dyn CimSession, path: &ObjectPath, job: JobSnapshot) -> Self {
        // The method only reads, and its failure must not hide the job's own.
        let asked = session.invoke(path, "GetErrorEx", &Instance::default());
        let texts = asked.map_err(|error| error.to_string()).and_then(|result| {
            let texts = result.outputs.get_list::<String>("Errors");
            texts.map_err(|error| error.to_string())
        });
        let (errors, unasked) = match texts {
            Ok(texts) => {
                let read = |text: String| JobError::read(&text);
                (
                    texts.into_iter().take(MOST_ERRORS).map(read).collect(),
                    None,
                )
            }
            Err(problem) => (Vec::new(), Some(problem)),
        };
        let texts = [&job.description, &job.summary];
        let texts = texts.into_iter().flatten();
        let told = errors.iter().map(|error: &JobError| &error.message);
        let code = job.storage_code;
        let code = code.or_else(|| texts.chain(told).find_map(|text| Hresult::find(text)));
        Self {
            job,
            errors,
            unasked,
            code,
        }
    }
}

impl JobError {
    /// Reads an embedded `Msvm_Error`; text that is none is kept as the message.
    pub fn read(text: &str) -> Self {
        let Ok(error) = cimxml::read_instance(text) else {
            return Self {
                message: shorten(text),
                ..Self::default()
            };
        };
        let string = |name| error.get_opt::<String>(name).ok().flatten();
        Self {
            message: string("Message").unwrap_or_default(),
            id: string("MessageID").filter(|id| !id.is_empty()),
            status: error.get_opt("CIMStatusCode").ok().flatten(),
        }
    }
}

impl Display for JobFailure {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(f, "the job ended in state {:?}", self.job.state)?;
        if self.job.error_code != 0 {
            write!(f, " with error {}", self.job.error_code)?;
        }
        if let Some(code) = self.code {
            write!(f, ", code {code}")?;
        }
        let own = [&self.job.description, &self.job.summary, &self.job.status];
        let own = own.into_iter().flatten();
        let told = self.errors.iter().map(|error| &error.message);
        match told.chain(own).find(|text| !text.trim().is_empty()) {
            Some(text) => write!(f, "; the host says: {}", text.trim()),
            None => Ok(()),
        }
    }
}

impl std::error::Error for JobFailure {}
