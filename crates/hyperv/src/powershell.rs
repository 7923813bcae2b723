//! Text from outside in scripts for PowerShell: always between quotes, never anything else.

/// Text that stands in no script.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} has control characters, which stand in no script")]
pub struct Unspeakable(pub String);

/// Text in quotes between which PowerShell takes nothing but their end for special. It takes
/// typographic ones for quotes as well.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::from("'");
    for c in text.chars() {
        if matches!(c, '\'' | '‘' | '’' | '‚' | '‛') {
            out.push(c);
        }
        out.push(c);
    }
    out.push('\'');
    out
}

/// The same of one line.
///
/// # Errors
/// When it has control characters: a script is there to be read, and they show as nothing.
pub(crate) fn quoted_line(text: &str) -> Result<String, Unspeakable> {
    match text.chars().any(char::is_control) {
        true => Err(Unspeakable(text.chars().take(200).collect())),
        false => Ok(quoted(text)),
    }
}
