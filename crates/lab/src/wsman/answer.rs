//! Answering a request, or failing to as a scenario wants it.

use super::mishap::{self, Cut, Held, Notice, What};
use super::request::{Operation, Request, Resource};
use super::service::{Caller, Result, Service};
use super::{Fault, instance, reference, write};
use crate::state::Accident;

/// A reply: HTTP's status and the envelope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// 200, or that of a fault.
    pub status: u16,
    /// The envelope.
    pub envelope: String,
    /// Where the connection breaks, within the whole reply.
    pub cut: Option<Cut>,
    /// What whoever listens is told before the reply is sent, if there is one.
    pub notice: Option<Notice>,
}

impl Service {
    /// Answers the bytes of an envelope.
    pub fn answer(&mut self, bytes: &[u8], caller: Caller) -> Answer {
        let request = match Request::read(bytes) {
            Ok(request) => request,
            Err(unreadable) => return self.refuse(&unreadable.fault, &unreadable.id),
        };
        // Strangers cause no accidents.
        let mishap = match caller {
            Caller::Account(_) => mishap::take(&mut self.mishaps, &request),
            Caller::Anonymous => None,
        };
        let Some(mishap) = mishap else {
            let done = self.act(&request, caller);
            return self.close(&request, done);
        };
        let mut done = self
            .suffer(&mishap.before)
            .and_then(|()| match &mishap.what {
                Some(What::Refuse(fault)) => Err(fault.clone()),
                Some(What::Return(code)) => self.return_only(&request, *code),
                Some(What::Lose | What::Hold(Held::Never | Held::Late)) => Ok(String::new()),
                Some(What::Fewer(most)) => {
                    self.most_items = Some(*most);
                    let done = self.act(&request, caller);
                    self.most_items = None;
                    done
                }
                Some(What::Cut(_) | What::Hold(Held::Done) | What::Tell) | None => {
                    self.act(&request, caller)
                }
            });
        if let Err(fault) = self.suffer(&mishap.after) {
            done = Err(fault);
        }
        let held = match mishap.what {
            Some(What::Hold(held)) => Some(Some(held)),
            Some(What::Tell) => Some(None),
            _ => None,
        };
        // A mistake of the scenario is told by the reply, which is not held back then.
        let held = held.filter(|_| !matches!(done, Err(Fault::Scenario(_))));
        let notice = held.map(|held| Notice {
            request: mishap::name(&request).to_owned(),
            held,
        });
        let mut answer = self.close(&request, done);
        answer.notice = notice;
        answer.cut = match mishap.what {
            Some(What::Cut(cut)) => Some(cut),
            Some(What::Lose) => Some(Cut::After(0)),
            _ => None,
        };
        answer
    }

    /// Does what a request asks for whose client is gone.
    pub fn do_late(&mut self, bytes: &[u8], caller: Caller) {
        if let Ok(request) = Request::read(bytes) {
            // There is nobody to tell how it ended.
            let _ = self.act(&request, caller);
        }
    }

    /// An accident that cannot happen, such as to a file that is not there, is a mistake of the
    /// scenario, which is not passed over.
    fn suffer(&mut self, accidents: &[Accident]) -> Result<()> {
        let host = &mut self.repository.host;
        let mut all = accidents.iter().map(|accident| host.suffer(accident));
        all.try_for_each(|done| done.map_err(|error| Fault::Scenario(error.to_string())))
    }

    fn close(&mut self, request: &Request, done: Result<String>) -> Answer {
        match done {
            Ok(envelope) => Answer {
                status: 200,
                envelope,
                cut: None,
                notice: None,
            },
            Err(fault) => self.refuse(&fault, &request.id),
        }
    }

    /// A reply in which a method returns a code and nothing else.
    fn return_only(&mut self, request: &Request, code: u32) -> Result<String> {
        let (Operation::Invoke { method, .. }, Resource::Class { namespace, class }) =
            (&request.operation, &request.resource)
        else {
            return Err(Fault::ActionUnknown(request.action.clone()));
        };
        let outputs = self.repository.refusal(namespace, class, method, code)?;
        let body = instance::outputs(&outputs, &reference::uri(namespace, class));
        Ok(self.reply(request, &body))
    }

    pub(super) fn reply(&mut self, request: &Request, body: &str) -> String {
        let id = self.message_id();
        let action = format!("{}Response", request.action);
        write::envelope(&action, &id, &request.id, body)
    }

    fn refuse(&mut self, fault: &Fault, relates_to: &str) -> Answer {
        let body = fault.write(&self.repository.host.name, self.style);
        let id = self.message_id();
        Answer {
            status: fault.status(),
            envelope: write::envelope(fault.action(), &id, relates_to, &body),
            cut: None,
            notice: None,
        }
    }
}
