//! The commands: each turns what was asked into calls, and the answers into one document.

pub(crate) mod backup;
mod backup_hosts;
pub(crate) mod check;
pub(crate) mod diff;
pub(crate) mod doctor;
mod doctor_report;
pub(crate) mod estimate;
mod evidence;
mod findings;
pub(crate) mod guest;
mod host_settings;
pub(crate) mod init;
pub(crate) mod keys;
mod keys_documents;
pub(crate) mod lab;
mod last;
mod listing;
pub(crate) mod ls;
pub(crate) mod points;
pub(crate) mod restore;
mod restore_files;
pub(crate) mod secret;
pub(crate) mod show;
pub(crate) mod source;
mod survey;
pub(crate) mod verify;
pub(crate) mod vms;
