//! A host of the tests: what it answers is written down, what it was asked is kept.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use uuid::Uuid;

use crate::{Transport, TransportError, TransportProblem, WsmanSession};

const WMI: &str = "http://schemas.microsoft.com/wbem/wsman/1/wmi/root/virtualization/v2";

/// What the host does with one message.
pub(crate) enum Answer {
    /// Replies with this body.
    Body(String),
    /// Replies with these bytes.
    Raw(String),
    /// The connection breaks, before or after the message was sent.
    Broken { maybe_sent: bool },
}

/// The messages that a host got, in their order.
#[derive(Clone, Default)]
pub(crate) struct Asked(Arc<Mutex<Vec<String>>>);

impl Asked {
    pub(crate) fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    /// The last part of each action's URI: `Get`, `Pull`, `CreateSnapshot`.
    pub(crate) fn actions(&self) -> Vec<String> {
        let action = |text: &String| {
            let uri = between(text, "<a:Action s:mustUnderstand=\"true\">", "</a:Action>");
            uri.rsplit('/').next().unwrap_or("").to_owned()
        };
        self.all().iter().map(action).collect()
    }
}

pub(crate) fn between<'a>(text: &'a str, start: &str, end: &str) -> &'a str {
    let rest = text.split_once(start).map_or("", |(_, rest)| rest);
    rest.split_once(end).map_or("", |(inner, _)| inner)
}

struct Host<F> {
    asked: Asked,
    answer: F,
}

impl<F: FnMut(&str) -> Answer + Send> Transport for Host<F> {
    fn endpoint(&self) -> &str {
        "http://hv01:5985/wsman"
    }

    fn exchange(&mut self, message: &[u8], _: Duration) -> Result<Vec<u8>, TransportError> {
        let text = String::from_utf8(message.to_vec()).unwrap();
        self.asked.0.lock().unwrap().push(text.clone());
        let id = between(&text, "<a:MessageID>", "</a:MessageID>");
        match (self.answer)(&text) {
            Answer::Body(body) => Ok(envelope(id, &body).into_bytes()),
            Answer::Raw(text) => Ok(text.into_bytes()),
            Answer::Broken { maybe_sent } => Err(TransportError {
                endpoint: self.endpoint().to_owned(),
                problem: TransportProblem::Broken("test".to_owned()),
                maybe_sent,
            }),
        }
    }
}

fn envelope(id: &str, body: &str) -> String {
    format!(
        "<s:Envelope xmlns:s=\"http://www.w3.org/2003/05/soap-envelope\" \
         xmlns:a=\"http://schemas.xmlsoap.org/ws/2004/08/addressing\" \
         xmlns:n=\"http://schemas.xmlsoap.org/ws/2004/09/enumeration\" \
         xmlns:w=\"http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd\" \
         xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\">\
         <s:Header><a:RelatesTo>{id}</a:RelatesTo></s:Header><s:Body>{body}</s:Body></s:Envelope>"
    )
}

/// A session with a host that answers by a function.
pub(crate) fn host(answer: impl FnMut(&str) -> Answer + Send + 'static) -> (WsmanSession, Asked) {
    let asked = Asked::default();
    let transport = Host {
        asked: asked.clone(),
        answer,
    };
    let mut number = 0_u128;
    let ids = move || {
        number += 1;
        Uuid::from_u128(number)
    };
    (WsmanSession::new(Box::new(transport), Box::new(ids)), asked)
}

/// A session with a host that gives these answers, one after the other.
pub(crate) fn script(answers: impl IntoIterator<Item = Answer>) -> (WsmanSession, Asked) {
    let mut answers: VecDeque<_> = answers.into_iter().collect();
    host(move |asked| {
        answers
            .pop_front()
            .unwrap_or_else(|| panic!("not expected: {asked}"))
    })
}

/// The body with an object of a class; `inner` may use the prefix `p`.
pub(crate) fn object(class: &str, inner: &str) -> Answer {
    Answer::Body(element(class, inner))
}

pub(crate) fn element(class: &str, inner: &str) -> String {
    format!("<p:{class} xmlns:p=\"{WMI}/{class}\">{inner}</p:{class}>")
}

/// The body with what a method returns.
pub(crate) fn returned(method: &str, inner: &str) -> Answer {
    Answer::Body(element(&format!("{method}_OUTPUT"), inner))
}

/// The body with a fault of a code.
pub(crate) fn fault(code: u32) -> Answer {
    Answer::Body(format!(
        "<s:Fault><s:Code><s:Value>s:Receiver</s:Value></s:Code><s:Reason><s:Text>Nein</s:Text>\
         </s:Reason><s:Detail><f:WSManFault \
         xmlns:f=\"http://schemas.microsoft.com/wbem/wsman/1/wsmanfault\" Code=\"{code}\"/>\
         </s:Detail></s:Fault>"
    ))
}

/// The body with a page; no context means the end.
pub(crate) fn page(first: bool, items: &str, context: Option<&str>) -> Answer {
    let (name, prefix) = if first {
        ("EnumerateResponse", "w")
    } else {
        ("PullResponse", "n")
    };
    let context = match context {
        Some(context) => format!("<n:EnumerationContext>{context}</n:EnumerationContext>"),
        None => String::new(),
    };
    let end = if context.is_empty() {
        format!("<{prefix}:EndOfSequence/>")
    } else {
        String::new()
    };
    Answer::Body(format!(
        "<n:{name}>{context}<{prefix}:Items>{items}</{prefix}:Items>{end}</n:{name}>"
    ))
}
