//! Keys for encrypted volumes of a guest.

use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;

/// Where keys come from.
#[derive(Debug, Args)]
pub(crate) struct VolumeKeyArgs {
    /// What opens an encrypted volume, out of a file (`-` for standard input): a passphrase, a key file of
    /// LUKS, a recovery password of BitLocker. Without FILE it is the variable `HYPERKEEP_VOLUME_KEY`, or
    /// asked for. May be given several times
    #[arg(long = "volume-key", value_name = "VOLUME[=FILE]")]
    pub(crate) volume_key: Vec<VolumeKeyArg>,
}

/// The key of one volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct VolumeKeyArg {
    /// The volume's name.
    pub(crate) volume: String,
    /// The file that has it.
    pub(crate) file: Option<PathBuf>,
}

impl FromStr for VolumeKeyArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // A name of a volume group may have any character but this one.
        let (volume, file) = match text.split_once('=') {
            Some((volume, file)) => (volume, Some(file)),
            None => (text, None),
        };
        let volume = volume.trim_matches('/');
        if volume.is_empty() || file.is_some_and(str::is_empty) {
            return Err("write VOLUME=FILE, or VOLUME to be asked".to_owned());
        }
        Ok(Self {
            volume: volume.to_owned(),
            file: file.map(PathBuf::from),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_and_perhaps_a_file() {
        let parse = |text: &str| text.parse::<VolumeKeyArg>();
        let of = |volume: &str, file: Option<&str>| VolumeKeyArg {
            volume: volume.to_owned(),
            file: file.map(PathBuf::from),
        };
        assert_eq!(parse("d0p2"), Ok(of("d0p2", None)));
        assert_eq!(parse("/d0p2=/a=b"), Ok(of("d0p2", Some("/a=b"))));
        assert_eq!(parse("vg-root=-"), Ok(of("vg-root", Some("-"))));
        for bad in ["", "=", "=file", "d0p2=", "/=file"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
