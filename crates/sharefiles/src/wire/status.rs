//! What a server says of a request (MS-ERREF 2.3).

use std::fmt;

/// An NTSTATUS.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Status(pub(crate) u32);

macro_rules! statuses {
    ($($name:ident = $code:literal $text:literal,)*) => {
        impl Status {
            $(pub(crate) const $name: Self = Self($code);)*

            fn text(self) -> Option<&'static str> {
                match self {
                    $(Self::$name => Some($text),)*
                    _ => None,
                }
            }
        }
    };
}

statuses! {
    SUCCESS = 0 "success",
    PENDING = 0x103 "it is being worked on",
    MORE_PROCESSING_REQUIRED = 0xC000_0016 "the logon goes on",
    STOPPED_ON_SYMLINK = 0x8000_002D "a link leads elsewhere",
    NO_MORE_FILES = 0x8000_0006 "there are no more files",
    INVALID_PARAMETER = 0xC000_000D "a parameter is not accepted",
    NO_SUCH_FILE = 0xC000_000F "there is no such file",
    END_OF_FILE = 0xC000_0011 "the file ends before that",
    ACCESS_DENIED = 0xC000_0022 "access is denied",
    OBJECT_NAME_INVALID = 0xC000_0033 "the name is not accepted",
    OBJECT_NAME_NOT_FOUND = 0xC000_0034 "there is no such file",
    OBJECT_PATH_INVALID = 0xC000_0039 "the path is not accepted",
    OBJECT_PATH_NOT_FOUND = 0xC000_003A "there is no such folder",
    SHARING_VIOLATION = 0xC000_0043 "it is open elsewhere",
    FILE_LOCK_CONFLICT = 0xC000_0054 "a part of it is locked",
    DELETE_PENDING = 0xC000_0056 "it is being deleted",
    NO_SUCH_USER = 0xC000_0064 "the account is unknown",
    WRONG_PASSWORD = 0xC000_006A "the password is wrong",
    LOGON_FAILURE = 0xC000_006D "the account is unknown or the password is wrong",
    ACCOUNT_RESTRICTION = 0xC000_006E "the account is restricted",
    INVALID_LOGON_HOURS = 0xC000_006F "the account may not log on at this time",
    INVALID_WORKSTATION = 0xC000_0070 "the account may not log on from here",
    PASSWORD_EXPIRED = 0xC000_0071 "the password has expired",
    ACCOUNT_DISABLED = 0xC000_0072 "the account is disabled",
    INSUFFICIENT_RESOURCES = 0xC000_009A "the server is short of resources",
    FILE_IS_A_DIRECTORY = 0xC000_00BA "it is a folder",
    NETWORK_NAME_DELETED = 0xC000_00C9 "the share was taken away",
    BAD_NETWORK_NAME = 0xC000_00CC "there is no such share",
    NOT_A_DIRECTORY = 0xC000_0103 "it is no folder",
    FILE_CLOSED = 0xC000_0128 "the file was closed",
    LOGON_TYPE_NOT_GRANTED = 0xC000_015B "the account may not log on over the network",
    ACCOUNT_EXPIRED = 0xC000_0193 "the account has expired",
    USER_SESSION_DELETED = 0xC000_0203 "the logon has ended",
    PASSWORD_MUST_CHANGE = 0xC000_0224 "the password must be changed first",
    ACCOUNT_LOCKED_OUT = 0xC000_0234 "the account is locked",
    PATH_NOT_COVERED = 0xC000_0257 "the path is on another server",
    NETWORK_SESSION_EXPIRED = 0xC000_035C "the logon has expired",
    AUTHENTICATION_FIREWALL_FAILED = 0xC000_0413 "the account may not log on to this server",
    NTLM_BLOCKED = 0xC000_0418 "logons by NTLM are blocked",
}

impl Status {
    /// Whether a logon was refused for the account's sake. Asking again could lock it; all else that
    /// a server says of a logon is about the server: it has just started, or has too much to do.
    pub(crate) fn is_about_the_account(self) -> bool {
        matches!(
            self,
            Self::ACCESS_DENIED
                | Self::NO_SUCH_USER
                | Self::WRONG_PASSWORD
                | Self::LOGON_FAILURE
                | Self::ACCOUNT_RESTRICTION
                | Self::INVALID_LOGON_HOURS
                | Self::INVALID_WORKSTATION
                | Self::PASSWORD_EXPIRED
                | Self::ACCOUNT_DISABLED
                | Self::LOGON_TYPE_NOT_GRANTED
                | Self::ACCOUNT_EXPIRED
                | Self::PASSWORD_MUST_CHANGE
                | Self::ACCOUNT_LOCKED_OUT
                | Self::AUTHENTICATION_FIREWALL_FAILED
                | Self::NTLM_BLOCKED
        )
    }

    /// Whether what we had open is gone, and may be had by a new connection.
    pub(crate) fn is_lost(self) -> bool {
        matches!(
            self,
            Self::NETWORK_NAME_DELETED
                | Self::FILE_CLOSED
                | Self::USER_SESSION_DELETED
                | Self::NETWORK_SESSION_EXPIRED
        )
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.text() {
            Some(text) => write!(f, "{text} (0x{:08X})", self.0),
            None => write!(f, "status 0x{:08X}", self.0),
        }
    }
}

impl fmt::Debug for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
