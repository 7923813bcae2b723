//! Reads the part of MOF (DSP0004 annex A) that the lab's classes need: classes with a
//! superclass, properties, references, arrays and methods; of qualifiers `key`, `in`, `out` and
//! `EmbeddedInstance`.

use cim::class::{Class, ClassProperty, Method, Parameter};
use cim::{CimType, Kind};

/// Text that is not the MOF that is read here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("behind {after:?}: {wanted} is wanted")]
pub struct BadMof {
    after: String,
    wanted: &'static str,
}

type Parsed<T> = Result<T, BadMof>;

/// Reads the classes of a namespace. A superclass comes before its subclasses.
pub(super) fn read(namespace: &str, text: &str) -> Parsed<Vec<Class>> {
    let mut reader = Reader {
        tokens: tokens(text),
        at: 0,
    };
    let mut classes: Vec<Class> = Vec::new();
    while reader.peek().is_some() {
        reader.expect("class", "`class`")?;
        let mut class = Class {
            name: reader.name()?,
            namespace: Some(namespace.to_owned()),
            ..Class::default()
        };
        if reader.take(":") {
            let name = reader.name()?;
            let above = classes.iter().find(|known| known.name == name);
            let above = above.ok_or_else(|| reader.bad("a superclass that is known"))?;
            class.properties = above.properties.clone();
            class.methods = above.methods.clone();
            class.superclass = Some(name);
        }
        reader.expect("{", "`{`")?;
        while !reader.take("}") {
            member(&mut reader, &mut class)?;
        }
        reader.expect(";", "`;`")?;
        classes.push(class);
    }
    Ok(classes)
}

fn member(reader: &mut Reader, class: &mut Class) -> Parsed<()> {
    let element = element(reader)?;
    if reader.take("(") {
        let mut parameters = Vec::new();
        while !reader.take(")") {
            let parameter = self::element(reader)?;
            parameters.push(Parameter {
                name: parameter.name,
                kind: parameter.kind,
                input: parameter.qualifiers.iter().any(|q| q == "in"),
                output: parameter.qualifiers.iter().any(|q| q == "out"),
                embeds: parameter.embeds,
            });
            reader.take(",");
        }
        class.methods.push(Method {
            name: element.name,
            parameters,
        });
    } else {
        let property = ClassProperty {
            key: element.qualifiers.iter().any(|q| q == "key"),
            name: element.name,
            kind: element.kind,
            embeds: element.embeds,
        };
        // A subclass may say more of an inherited property.
        match class
            .properties
            .iter_mut()
            .find(|p| p.name == property.name)
        {
            Some(known) => *known = property,
            None => class.properties.push(property),
        }
    }
    reader.expect(";", "`;`")
}

struct Element {
    name: String,
    kind: Kind,
    qualifiers: Vec<String>,
    embeds: Option<String>,
}

/// `[qualifiers] type [ref] name [\[\]]`.
fn element(reader: &mut Reader) -> Parsed<Element> {
    let (mut qualifiers, mut embeds) = (Vec::new(), None);
    if reader.take("[") {
        while !reader.take("]") {
            let name = reader.name()?;
            if reader.take("(") {
                let value = reader.next("a value")?;
                embeds = Some(value.trim_matches('"').to_owned());
                reader.expect(")", "`)`")?;
            }
            qualifiers.push(name);
            reader.take(",");
        }
    }
    let told = reader.name()?;
    let base = match CimType::from_name(&told) {
        _ if reader.take("ref") => CimType::Reference,
        Some(base) => base,
        None => CimType::Object,
    };
    let name = reader.name()?;
    let array = reader.take("[") && {
        reader.expect("]", "`]`")?;
        true
    };
    Ok(Element {
        name,
        kind: Kind { base, array },
        qualifiers,
        embeds,
    })
}

struct Reader {
    tokens: Vec<String>,
    at: usize,
}

impl Reader {
    fn peek(&self) -> Option<&str> {
        self.tokens.get(self.at).map(String::as_str)
    }

    fn next(&mut self, wanted: &'static str) -> Parsed<String> {
        let token = self
            .peek()
            .map(str::to_owned)
            .ok_or_else(|| self.bad(wanted))?;
        self.at += 1;
        Ok(token)
    }

    fn take(&mut self, token: &str) -> bool {
        let here = self.peek() == Some(token);
        self.at += usize::from(here);
        here
    }

    fn expect(&mut self, token: &str, wanted: &'static str) -> Parsed<()> {
        if self.take(token) {
            return Ok(());
        }
        Err(self.bad(wanted))
    }

    fn name(&mut self) -> Parsed<String> {
        let proper = |c: char| c == '_' || c.is_ascii_alphanumeric();
        match self.peek() {
            Some(token) if token.chars().all(proper) => self.next("a name"),
            _ => Err(self.bad("a name")),
        }
    }

    fn bad(&self, wanted: &'static str) -> BadMof {
        let from = self.at.saturating_sub(6);
        BadMof {
            after: self.tokens[from..self.at].join(" "),
            wanted,
        }
    }
}

fn tokens(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    for line in text.lines() {
        let line = line.split("//").next().unwrap_or("");
        let mut word = String::new();
        for c in line.chars() {
            if c == '_' || c == '"' || c.is_ascii_alphanumeric() {
                word.push(c);
                continue;
            }
            if !word.is_empty() {
                tokens.push(std::mem::take(&mut word));
            }
            if !c.is_whitespace() {
                tokens.push(c.to_string());
            }
        }
        if !word.is_empty() {
            tokens.push(word);
        }
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_understood_is_an_error() {
        for (text, wanted) in [
            ("klass A {};", "`class`"),
            ("class A : B {};", "a superclass that is known"),
            ("class A { string };", "a name"),
            ("class A { string B }", "`;`"),
            ("class A { uint32 M([in] string", "a name"),
        ] {
            assert_eq!(read("n", text).unwrap_err().wanted, wanted, "{text}");
        }
    }
}
