//! A guest on a screen. What is shown and what keys do is in [`app`], how it looks in [`draw`]; what takes its time
//! is done by one thread beside, so that keys are always heard.

mod app;
mod draw;
#[cfg(test)]
mod tests;
mod work;

use std::io;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::time::Duration;

use engine::Cancel;
use engine::guest::browse::Browser;
use engine::source::Owner;
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};

use self::app::{Answer, App, Ask};
use self::work::Restore;
use crate::failure::{Failure, Result};

/// How long to wait for a key before the screen is looked at again: while something is to come, and else.
const SOON: Duration = Duration::from_millis(40);
const LATER: Duration = Duration::from_millis(500);

/// Shows it until somebody has seen enough.
pub(super) fn run(
    browser: &Browser<'_>,
    (owner, usual): (&Owner, String),
    restore: Restore<'_>,
    stopped: &Cancel,
) -> Result<()> {
    let mut app = App::new(browser.vm_name().to_owned(), browser.states(), usual);
    if *owner != Owner::Vm || app.states.len() == 1 {
        app.enter(owner);
    }
    let failed = |error: io::Error| {
        let error = anyhow::Error::new(error).context("showing it on the terminal");
        Failure::from(error)
            .hint("give commands instead: --script FILE; `browse --help` tells of them")
    };
    let mut terminal = ratatui::try_init().map_err(failed)?;
    let shown = std::thread::scope(|scope| {
        let (asks, asked) = channel();
        let (answered, answers) = channel();
        scope.spawn(move || work::work(browser, restore, &asked, &answered));
        let shown = show(&mut terminal, &mut app, (&asks, &answers), stopped);
        // The thread ends when what it is at has.
        app.stop();
        drop(asks);
        shown
    });
    ratatui::restore();
    shown.map_err(failed)
}

fn show(
    terminal: &mut DefaultTerminal,
    app: &mut App,
    (asks, answers): (&Sender<Ask>, &Receiver<Answer>),
    stopped: &Cancel,
) -> io::Result<()> {
    while !app.ended && !stopped.is_cancelled() {
        terminal.draw(|frame| draw::draw(frame, app))?;
        if let Some(ask) = app.ask()
            && asks.send(ask).is_err()
        {
            return Err(io::Error::other("the thread that reads has ended"));
        }
        let wait = if app.waiting { SOON } else { LATER };
        if event::poll(wait)?
            && let Event::Key(key) = event::read()?
            && key.kind != KeyEventKind::Release
        {
            match (key.code, key.modifiers.contains(KeyModifiers::CONTROL)) {
                (KeyCode::Char('c'), true) => app.ended = true,
                (_, true) => {}
                (code, false) => app.key(code),
            }
        }
        match answers.try_recv() {
            Ok(answer) => app.answer(answer),
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Disconnected) => {
                return Err(io::Error::other("the thread that reads has ended"));
            }
        }
    }
    Ok(())
}
