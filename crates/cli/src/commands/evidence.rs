//! What is known of the volumes of a guest, as text.

use engine::guest::evidence::{Evidence, VolumeEvidence};

use crate::commands::findings::findings_text;
use crate::table::Table;
use crate::text;

/// A table of volumes, and what is not proven of them; indented.
pub(crate) fn evidence_text(all: &[Evidence], indent: usize) -> String {
    let mut table = Table::new(&["VOLUME", ">SIZE", "WHAT", "FOUND", "OF"]).indent(indent);
    for (of, volume) in volumes(all) {
        table.row([
            &volume.volume,
            &text::size(volume.bytes),
            &volume.what,
            volume.verdict.as_str(),
            &of,
        ]);
    }
    let mut out = match volumes(all).next().is_some() {
        true => table.render(),
        false => format!("{}no volumes are known\n", " ".repeat(indent)),
    };
    let mut told: Vec<String> = Vec::new();
    for (_, volume) in volumes(all) {
        let notes = volume.notes.iter().cloned();
        let unproven = volume.unproven.iter();
        let unproven = unproven.map(|what| format!("not proven is {what}"));
        for note in notes.chain(unproven) {
            let line = format!("{}: {note}", volume.volume);
            if !told.contains(&line) {
                told.push(line);
            }
        }
    }
    for line in told {
        out.push_str(&format!("{}{}\n", " ".repeat(indent), text::line(&line)));
    }
    for evidence in all {
        out.push_str(&findings_text(&evidence.findings, indent));
    }
    out
}

fn volumes(all: &[Evidence]) -> impl Iterator<Item = (String, &VolumeEvidence)> {
    all.iter().flat_map(|evidence| {
        let of = match &evidence.checkpoint {
            None => "the VM".to_owned(),
            Some(name) => format!("checkpoint {name}"),
        };
        let volumes = evidence.volumes.iter();
        volumes.map(move |volume| (of.clone(), volume))
    })
}
