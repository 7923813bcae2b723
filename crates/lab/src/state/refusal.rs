//! How the host says no: codes that methods return, and the errors of jobs.

/// A code that a method returns instead of 0 or 4096.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the host refuses with {0}")]
pub struct Refusal(pub u32);

impl Refusal {
    /// It failed.
    pub const FAILED: Self = Self(32768);
    /// The account may not do this.
    pub const ACCESS_DENIED: Self = Self(32769);
    /// The lab, or the host, does not do this.
    pub const NOT_SUPPORTED: Self = Self(32770);
    /// A parameter makes no sense.
    pub const INVALID_PARAMETER: Self = Self(32773);
    /// The object's state does not allow it.
    pub const INVALID_STATE: Self = Self(32775);
    /// A parameter has another type.
    pub const INCORRECT_TYPE: Self = Self(32776);
    /// There is no such file; of the image service.
    pub const NO_FILE: Self = Self(32779);
}

/// Why a job failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// `ErrorCode` of the job.
    pub code: u16,
    /// Windows' code behind it; it is only told within the text.
    pub hresult: Option<u32>,
    /// What happened, for people. Hosts tell it in their language.
    pub text: String,
    /// What is wrong besides, where a host looked for all of it.
    pub others: Vec<Failure>,
}

impl Failure {
    /// A failure with the general code.
    pub fn general(hresult: Option<u32>, text: impl Into<String>) -> Self {
        Self {
            code: 32768,
            hresult,
            text: text.into(),
            others: Vec::new(),
        }
    }

    /// The text with Windows' code as hosts write it.
    pub fn description(&self) -> String {
        match self.hresult {
            Some(code) => format!("{} (0x{code:08X})", self.text),
            None => self.text.clone(),
        }
    }
}
