//! One object of a host, read with tolerance: what is not as documented is noted and left out.

use cim::{FromScalar, Instance};

use super::finding::{Finding, Notes};

/// An object whose properties are read one by one.
#[derive(Clone, Copy)]
pub(super) struct Row<'a>(pub(super) &'a Instance);

impl<'a> Row<'a> {
    /// A value; `None` when it is null, absent, or not as documented, and then noted.
    pub(super) fn opt<T: FromScalar>(self, name: &str, notes: &mut Notes) -> Option<T> {
        match self.0.get_opt(name) {
            Ok(value) => value,
            Err(error) => {
                self.note(error.to_string(), notes);
                None
            }
        }
    }

    /// A text that is not empty.
    pub(super) fn text(self, name: &str, notes: &mut Notes) -> Option<String> {
        let text: Option<String> = self.opt(name, notes);
        text.filter(|text| !text.trim().is_empty())
    }

    /// The elements of an array; none if one of them is not as documented, and then noted.
    pub(super) fn list<T: FromScalar>(self, name: &str, notes: &mut Notes) -> Vec<T> {
        self.0.get_list(name).unwrap_or_else(|error| {
            self.note(error.to_string(), notes);
            Vec::new()
        })
    }

    /// The text of a property as a type of its own; a text that is none is noted.
    pub(super) fn parsed<T>(
        self,
        name: &str,
        parse: impl FnOnce(&str) -> Option<T>,
        notes: &mut Notes,
    ) -> Option<T> {
        let text = self.text(name, notes)?;
        let value = parse(&text);
        if value.is_none() {
            let text: String = text.chars().take(80).collect();
            self.note(
                format!("{name} is {text:?}, which is not understood"),
                notes,
            );
        }
        value
    }

    /// Notes what is wrong with this object.
    pub(super) fn note(self, problem: String, notes: &mut Notes) {
        let object = self.name();
        notes.push(Finding::Unreadable { object, problem });
    }

    /// `InstanceID`, or empty where there is none; for looking things up.
    pub(super) fn id(self) -> String {
        let id = self.0.get_opt("InstanceID").ok().flatten();
        id.unwrap_or_default()
    }

    /// What the object is called in messages.
    pub(super) fn name(self) -> String {
        let told = ["InstanceID", "DeviceID", "Name"];
        let mut told = told.iter().filter_map(|key| {
            let text: Option<String> = self.0.get_opt(key).ok().flatten();
            text.filter(|text| !text.is_empty())
        });
        match told.next() {
            Some(id) => format!(
                "{} {}",
                self.0.class,
                id.chars().take(200).collect::<String>()
            ),
            None => self.0.class.clone(),
        }
    }
}
