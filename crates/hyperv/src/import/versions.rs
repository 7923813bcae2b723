//! Which versions of configurations a host can have, by Microsoft's table of its builds.

use vmconfig::model::ConfigVersion;

/// The least and the most that a Windows of a build can have (`10.0.20348`); `None` where the table
/// does not tell.
///
/// A configuration is imported upwards only, and nothing makes its version less.
pub fn versions(os: &str) -> Option<(ConfigVersion, ConfigVersion)> {
    let build: u32 = os.split('.').nth(2)?.parse().ok()?;
    let version = |major| ConfigVersion { major, minor: 0 };
    let (least, most) = match build {
        9600..14393 => (5, 5),
        14393..17763 => (5, 8),
        17763..20348 => (5, 9),
        20348..22621 => (8, 10),
        22621..26100 => (8, 11),
        26100.. => (8, 12),
        _ => return None,
    };
    Some((version(least), version(most)))
}
