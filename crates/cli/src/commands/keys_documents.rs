//! What `keys` says.

use serde::Serialize;
use vault::{Access, Slot, SlotId, VaultId};

use crate::sheet::groups;
use crate::table::Table;
use crate::text;
use crate::ui::Document;

/// `keys list`
#[derive(Serialize)]
pub(crate) struct SlotsDocument {
    pub(crate) vault: String,
    pub(crate) slots: Vec<SlotLine>,
}

/// One slot.
#[derive(Serialize)]
pub(crate) struct SlotLine {
    id: String,
    opens_with: Option<&'static str>,
    access: Option<&'static str>,
    label: Option<String>,
    created: Option<String>,
    /// Why the slot cannot be used.
    problem: Option<String>,
    #[serde(skip)]
    created_ms: Option<u64>,
}

impl SlotLine {
    /// What can be said of a slot of a vault.
    pub(crate) fn new(id: SlotId, slot: vault::Result<Slot>, vault: VaultId) -> Self {
        let mut line = Self {
            id: id.to_string(),
            opens_with: None,
            access: None,
            label: None,
            created: None,
            problem: None,
            created_ms: None,
        };
        match slot {
            Err(error) => line.problem = Some(error.to_string()),
            Ok(slot) => {
                line.opens_with = Some(slot.holder.name());
                line.access = Some(match slot.access {
                    Access::Full => "full",
                    Access::Write => "write-only",
                });
                line.label = slot.label;
                line.created = text::rfc3339_ms(slot.created);
                line.created_ms = Some(slot.created);
                line.problem = (slot.vault != vault).then(|| format!("of vault {}", slot.vault));
            }
        }
        line
    }
}

impl Document for SlotsDocument {
    const KIND: &'static str = "keys-list";

    fn human(&self) -> String {
        let mut table = Table::new(&["SLOT", "OPENS WITH", "ACCESS", "CREATED (UTC)", "LABEL"]);
        for slot in &self.slots {
            let note = slot.problem.as_deref().or(slot.label.as_deref());
            table.row([
                slot.id.get(..8).unwrap_or(&slot.id),
                slot.opens_with.unwrap_or("?"),
                slot.access.unwrap_or("?"),
                &slot.created_ms.map(text::time_ms).unwrap_or_default(),
                note.unwrap_or_default(),
            ]);
        }
        table.render()
    }
}

/// A change of slots.
#[derive(Serialize)]
pub(crate) struct ChangeDocument {
    pub(crate) added: Option<String>,
    pub(crate) removed: Option<String>,
}

impl Document for ChangeDocument {
    const KIND: &'static str = "keys-change";

    fn human(&self) -> String {
        let line = |word, slot: &Option<String>| {
            slot.as_ref()
                .map(|slot| format!("{word} key slot {slot}\n"))
                .unwrap_or_default()
        };
        line("Added", &self.added) + &line("Removed", &self.removed)
    }
}

/// `keys add-recovery-code`
#[derive(Serialize)]
pub(crate) struct RecoveryCodeDocument {
    pub(crate) added: String,
    pub(crate) recovery_code: String,
    pub(crate) sheet: Option<String>,
}

impl Document for RecoveryCodeDocument {
    const KIND: &'static str = "keys-recovery-code";

    fn human(&self) -> String {
        let mut text = format!(
            "Added key slot {}\n\nRecovery code, shown this once:\n\n",
            self.added
        );
        for row in groups(&self.recovery_code) {
            text.push_str(&format!("    {row}\n"));
        }
        if let Some(sheet) = &self.sheet {
            text.push_str(&format!("\nRecovery sheet to print: {sheet}\n"));
        }
        text
    }
}
