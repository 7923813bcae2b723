//! Conditions, and whether an object meets one.

use cim::{CimType, DateTime, Instance, Scalar, Value};

use super::BadQuery;

/// A condition of a query.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum Condition {
    Compare {
        property: String,
        operator: Operator,
        literal: Literal,
    },
    And(Box<Condition>, Box<Condition>),
    Or(Box<Condition>, Box<Condition>),
    Not(Box<Condition>),
}

/// How a property is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Operator {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Like,
}

/// What it is compared with.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum Literal {
    Text(String),
    Number(i128),
    Boolean(bool),
    Null,
}

impl Condition {
    /// The properties that it names.
    pub fn properties(&self) -> Vec<&str> {
        match self {
            Self::Compare { property, .. } => vec![property],
            Self::And(one, other) | Self::Or(one, other) => {
                [one.properties(), other.properties()].concat()
            }
            Self::Not(inner) => inner.properties(),
        }
    }

    /// Whether an object meets it. Null meets no comparison but that with null.
    pub fn holds(&self, of: &Instance) -> Result<bool, BadQuery> {
        Ok(match self {
            Self::And(one, other) => one.holds(of)? && other.holds(of)?,
            Self::Or(one, other) => one.holds(of)? || other.holds(of)?,
            Self::Not(inner) => !inner.holds(of)?,
            Self::Compare {
                property,
                operator,
                literal,
            } => {
                if property.eq_ignore_ascii_case("__CLASS") {
                    let class = Scalar::String(of.class.clone());
                    return compare(&class, *operator, literal);
                }
                let value = of.property(property).map(|p| &p.value);
                match (value.unwrap_or(&Value::Null), literal) {
                    (value, Literal::Null) => match operator {
                        Operator::Equal => value.is_null(),
                        Operator::Unequal => !value.is_null(),
                        _ => return Err(BadQuery("null is neither less nor more".to_owned())),
                    },
                    (Value::Null, _) => false,
                    (Value::Scalar(one), literal) => compare(one, *operator, literal)?,
                    (Value::Array(_), _) => {
                        return Err(BadQuery(format!("{property} is an array")));
                    }
                }
            }
        })
    }
}

fn compare(value: &Scalar, operator: Operator, literal: &Literal) -> Result<bool, BadQuery> {
    use std::cmp::Ordering;
    let unfit = || BadQuery(format!("a property cannot be compared with {literal:?}"));
    let ordering = match (value, literal) {
        (Scalar::Boolean(value), Literal::Boolean(wanted)) => value.cmp(wanted),
        (Scalar::Boolean(value), Literal::Number(wanted)) => i128::from(*value).cmp(wanted),
        (Scalar::Boolean(value), Literal::Text(wanted)) => {
            match Scalar::parse(CimType::Boolean, wanted) {
                Some(Scalar::Boolean(wanted)) => value.cmp(&wanted),
                _ => return Err(unfit()),
            }
        }
        (Scalar::String(value), Literal::Text(wanted)) if operator == Operator::Like => {
            return like(&value.to_lowercase(), &wanted.to_lowercase());
        }
        (Scalar::String(value), Literal::Text(wanted)) => {
            value.to_lowercase().cmp(&wanted.to_lowercase())
        }
        (Scalar::DateTime(DateTime::Timestamp(at)), Literal::Text(wanted)) => {
            match DateTime::parse(wanted) {
                Ok(DateTime::Timestamp(wanted)) => at.instant().cmp(&wanted.instant()),
                _ => return Err(unfit()),
            }
        }
        (Scalar::Reference(path), Literal::Text(wanted)) => match wanted.parse() {
            Ok(wanted) if path.same_object(&wanted) => Ordering::Equal,
            Ok(_) => Ordering::Less,
            Err(_) => return Err(unfit()),
        },
        (number, literal) => {
            let text = number.to_text().ok_or_else(unfit)?;
            let number: i128 = text.parse().map_err(|_| unfit())?;
            match literal {
                Literal::Number(wanted) => number.cmp(wanted),
                Literal::Text(wanted) => number.cmp(&wanted.parse().map_err(|_| unfit())?),
                Literal::Boolean(_) | Literal::Null => return Err(unfit()),
            }
        }
    };
    Ok(match operator {
        Operator::Equal => ordering.is_eq(),
        Operator::Unequal => ordering.is_ne(),
        Operator::Less => ordering.is_lt(),
        Operator::LessOrEqual => ordering.is_le(),
        Operator::Greater => ordering.is_gt(),
        Operator::GreaterOrEqual => ordering.is_ge(),
        Operator::Like => return Err(unfit()),
    })
}

/// `%` is any text, `_` any character; both are lower case. Sets in brackets are not built.
fn like(text: &str, pattern: &str) -> Result<bool, BadQuery> {
    if pattern.contains('[') {
        return Err(BadQuery(
            "LIKE with a set of characters is not supported".to_owned(),
        ));
    }
    let (text, pattern): (Vec<char>, Vec<char>) =
        (text.chars().collect(), pattern.chars().collect());
    // Which beginnings of the pattern fit the text so far.
    let mut fits = vec![false; pattern.len() + 1];
    fits[0] = true;
    let through = |fits: &mut Vec<bool>| {
        for (at, c) in pattern.iter().enumerate() {
            fits[at + 1] |= *c == '%' && fits[at];
        }
    };
    through(&mut fits);
    for c in text {
        let mut next = vec![false; pattern.len() + 1];
        for (at, p) in pattern.iter().enumerate() {
            match p {
                '%' => next[at + 1] = fits[at + 1],
                p => next[at + 1] = fits[at] && (*p == '_' || *p == c),
            }
        }
        fits = next;
        through(&mut fits);
    }
    Ok(fits[pattern.len()])
}
