//! From words to a query.

use super::token::{Token, tokens};
use super::{BadQuery, Condition, Literal, MOST_BYTES, Operator, Query, Related};

/// Parentheses and `NOT`s within one another.
const MOST_DEPTH: usize = 32;

type Parsed<T> = Result<T, BadQuery>;

pub(super) fn query(text: &str) -> Parsed<Query> {
    if text.len() > MOST_BYTES {
        return Err(BadQuery("it is too long".to_owned()));
    }
    let tokens = tokens(text)?;
    let mut words = Words { left: &tokens };
    let query = if words.take("select") {
        select(&mut words)?
    } else if words.take("associators") {
        Query::Associators(related(&mut words)?)
    } else if words.take("references") {
        Query::References(related(&mut words)?)
    } else {
        return Err(BadQuery(
            "it is neither SELECT nor ASSOCIATORS nor REFERENCES".to_owned(),
        ));
    };
    match words.left {
        [] => Ok(query),
        [first, ..] => Err(BadQuery(format!("{first:?} is too much"))),
    }
}

fn select(words: &mut Words<'_>) -> Parsed<Query> {
    let columns = if words.sign("*") {
        None
    } else {
        let mut columns = vec![words.word("a property")?];
        while words.sign(",") {
            columns.push(words.word("a property")?);
        }
        Some(columns)
    };
    if !words.take("from") {
        return Err(BadQuery("FROM is missing".to_owned()));
    }
    Ok(Query::Select {
        columns,
        class: words.word("a class")?,
        condition: match words.take("where") {
            true => Some(any(words, 0)?),
            false => None,
        },
    })
}

fn related(words: &mut Words<'_>) -> Parsed<Related> {
    let of = match (words.take("of"), words.next()) {
        (true, Some(Token::Path(path))) => path.trim().parse(),
        _ => return Err(BadQuery("OF {path} is missing".to_owned())),
    };
    let mut related = Related {
        of: of.map_err(|error: cim::BadPath| BadQuery(error.to_string()))?,
        ..Related::default()
    };
    if !words.take("where") {
        return Ok(related);
    }
    loop {
        let name = words.word("AssocClass, ResultClass, Role or ResultRole")?;
        let place = match name.to_ascii_lowercase().as_str() {
            "assocclass" => &mut related.association,
            "resultclass" => &mut related.result,
            "role" => &mut related.role,
            "resultrole" => &mut related.result_role,
            _ => return Err(BadQuery(format!("{name} is not supported"))),
        };
        if !words.sign("=") {
            return Err(BadQuery(format!("= is missing behind {name}")));
        }
        *place = Some(words.word("a name")?);
        if words.left.is_empty() {
            return Ok(related);
        }
    }
}

fn any(words: &mut Words<'_>, depth: usize) -> Parsed<Condition> {
    let mut condition = all(words, depth)?;
    while words.take("or") {
        condition = Condition::Or(Box::new(condition), Box::new(all(words, depth)?));
    }
    Ok(condition)
}

fn all(words: &mut Words<'_>, depth: usize) -> Parsed<Condition> {
    let mut condition = one(words, depth)?;
    while words.take("and") {
        condition = Condition::And(Box::new(condition), Box::new(one(words, depth)?));
    }
    Ok(condition)
}

fn one(words: &mut Words<'_>, depth: usize) -> Parsed<Condition> {
    if depth > MOST_DEPTH {
        return Err(BadQuery("it is nested too deeply".to_owned()));
    }
    if words.take("not") {
        return Ok(Condition::Not(Box::new(one(words, depth + 1)?)));
    }
    if words.sign("(") {
        let inner = any(words, depth + 1)?;
        if !words.sign(")") {
            return Err(BadQuery("a parenthesis is not closed".to_owned()));
        }
        return Ok(inner);
    }
    let property = words.word("a property")?;
    if words.take("is") {
        let operator = match words.take("not") {
            true => Operator::Unequal,
            false => Operator::Equal,
        };
        if !words.take("null") {
            return Err(BadQuery("NULL is missing behind IS".to_owned()));
        }
        return Ok(Condition::Compare {
            property,
            operator,
            literal: Literal::Null,
        });
    }
    let operator = match words.next() {
        Some(Token::Sign("=")) => Operator::Equal,
        Some(Token::Sign("<>" | "!=")) => Operator::Unequal,
        Some(Token::Sign("<")) => Operator::Less,
        Some(Token::Sign("<=")) => Operator::LessOrEqual,
        Some(Token::Sign(">")) => Operator::Greater,
        Some(Token::Sign(">=")) => Operator::GreaterOrEqual,
        Some(Token::Word(word)) if word.eq_ignore_ascii_case("like") => Operator::Like,
        other => return Err(BadQuery(format!("{other:?} is no comparison"))),
    };
    let literal = match words.next() {
        Some(Token::Text(text)) => Literal::Text(text.clone()),
        Some(Token::Number(digits)) => match digits.parse() {
            Ok(number) => Literal::Number(number),
            Err(_) => return Err(BadQuery("a number is too large".to_owned())),
        },
        Some(Token::Word(word)) if word.eq_ignore_ascii_case("true") => Literal::Boolean(true),
        Some(Token::Word(word)) if word.eq_ignore_ascii_case("false") => Literal::Boolean(false),
        Some(Token::Word(word)) if word.eq_ignore_ascii_case("null") => Literal::Null,
        other => return Err(BadQuery(format!("{other:?} is no literal"))),
    };
    Ok(Condition::Compare {
        property,
        operator,
        literal,
    })
}

struct Words<'a> {
    left: &'a [Token],
}

impl<'a> Words<'a> {
    fn next(&mut self) -> Option<&'a Token> {
        let (first, rest) = self.left.split_first()?;
        self.left = rest;
        Some(first)
    }

    fn take(&mut self, keyword: &str) -> bool {
        let here = matches!(self.left.first(), Some(Token::Word(word)) if word.eq_ignore_ascii_case(keyword));
        if here {
            self.next();
        }
        here
    }

    fn sign(&mut self, wanted: &str) -> bool {
        let here = matches!(self.left.first(), Some(Token::Sign(sign)) if *sign == wanted);
        if here {
            self.next();
        }
        here
    }

    fn word(&mut self, wanted: &str) -> Parsed<String> {
        match self.next() {
            Some(Token::Word(word) | Token::Text(word)) => Ok(word.clone()),
            other => Err(BadQuery(format!("{other:?} where {wanted} is wanted"))),
        }
    }
}
