//! Findings as text.

use engine::{Finding, Severity};

use crate::text;

/// A line or two for each finding.
pub(crate) fn findings_text(findings: &[Finding], indent: usize) -> String {
    let indent = " ".repeat(indent);
    let mut out = String::new();
    for finding in findings {
        let word = match finding.severity {
            Severity::Info => "note",
            Severity::Warning => "warning",
            Severity::Partial => "not covered",
            Severity::Error => "error",
        };
        out.push_str(&format!(
            "{indent}{word}: {}\n",
            text::line(&finding.to_string())
        ));
        if let Some(hint) = &finding.hint {
            out.push_str(&format!("{indent}  hint: {}\n", text::line(hint)));
        }
    }
    out
}
