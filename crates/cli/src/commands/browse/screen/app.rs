//! What the screen shows, and what keys do to it. There is no terminal here and nothing is read: what is needed is
//! asked for, one thing at a time, and the answers are put in.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use engine::guest::GuestPath;
use engine::guest::browse::{Details, Listing, Marks, Place, Progress, StateLine};
use engine::guest::list::{FileLine, VolumeLine};
use engine::guest::path::text as path_text;
use engine::source::Owner;
use engine::{Cancel, Finding};
use ratatui::crossterm::event::KeyCode;

/// Lines that are kept of a folder.
const KEPT: usize = 2000;
/// Characters that somebody may type.
const LONGEST: usize = 4096;

/// A folder, of which lines are read as they are looked at.
pub(super) trait Folder: Send + Sync {
    fn len(&self) -> usize;
    fn path(&self, at: usize) -> Option<GuestPath>;
    fn is_folder(&self, at: usize) -> Option<bool>;
    fn lines(&self, range: Range<usize>) -> Vec<FileLine>;
}

impl Folder for Listing {
    fn len(&self) -> usize {
        self.len()
    }

    fn path(&self, at: usize) -> Option<GuestPath> {
        self.path(at)
    }

    fn is_folder(&self, at: usize) -> Option<bool> {
        self.is_folder(at)
    }

    fn lines(&self, range: Range<usize>) -> Vec<FileLine> {
        self.lines(range)
    }
}

/// What the screen is at.
pub(super) enum Level {
    /// The VM as it was backed up, and its checkpoints.
    States,
    /// Something that is being read.
    Loading,
    /// Why there is nothing.
    Failed(String),
    /// The volumes of a state.
    Volumes(Vec<VolumeLine>),
    /// A folder.
    Folder(Arc<dyn Folder>, HashMap<usize, FileLine>),
}

/// What lies over it.
pub(super) enum Mode {
    Browse,
    Help,
    /// The list of what is marked, and the line that one is at.
    Marks(usize),
    /// Where files are to go, as far as it is typed.
    Ask(String),
    /// Something that takes its time, what it is and how far.
    Working(&'static str, Progress),
    /// What came of something, and the first line that is shown.
    Report(Vec<String>, usize),
}

/// What is to be done elsewhere.
pub(super) enum Ask {
    Load(Place, Cancel, Arc<AtomicU64>),
    Lines(Arc<dyn Folder>, Range<usize>),
    Details(Owner, GuestPath),
    Estimate(Marks, Cancel, Progress),
    Restore(Marks, String, Cancel, Progress),
}

/// What came of it.
pub(super) enum Answer {
    Loaded(Place, Level, Vec<Finding>),
    Lines(Arc<dyn Folder>, usize, Vec<FileLine>),
    Details(Owner, GuestPath, Result<Box<Details>, String>),
    Report(Vec<String>),
}

/// What is told of the thing that one is at.
pub(super) type Preview = (Owner, GuestPath, Result<Box<Details>, String>);

/// The screen.
pub(super) struct App {
    pub(super) vm: String,
    pub(super) states: Vec<StateLine>,
    /// Nothing where the states are.
    pub(super) at: Option<Place>,
    pub(super) level: Level,
    pub(super) cursor: usize,
    /// The first line that is shown, and how many are; the drawing sets them.
    pub(super) top: usize,
    pub(super) height: usize,
    pub(super) marks: Marks,
    pub(super) preview: Option<Preview>,
    pub(super) mode: Mode,
    pub(super) message: String,
    /// Names that were read of what is being loaded.
    pub(super) seen: Arc<AtomicU64>,
    /// Whether an answer is to come.
    pub(super) waiting: bool,
    pub(super) ended: bool,
    /// Stops what is under way.
    cancel: Cancel,
    job: Option<Ask>,
    /// Lines at which folders above were left.
    way: Vec<usize>,
    /// The line to go to once it is loaded.
    back: usize,
    /// What the question where files go begins with.
    usual: String,
}

impl App {
    pub(super) fn new(vm: String, states: Vec<StateLine>, usual: String) -> Self {
        Self {
            vm,
            states,
            at: None,
            level: Level::States,
            cursor: 0,
            top: 0,
            height: 1,
            marks: Marks::default(),
            preview: None,
            mode: Mode::Browse,
            message: String::new(),
            seen: Arc::default(),
            waiting: false,
            ended: false,
            cancel: Cancel::new(),
            job: None,
            way: Vec::new(),
            back: 0,
            usual,
        }
    }

    /// Goes into a state.
    pub(super) fn enter(&mut self, owner: &Owner) {
        self.cursor = self
            .states
            .iter()
            .position(|one| one.owner == *owner)
            .unwrap_or(0);
        self.open();
    }

    /// Lines that there are.
    pub(super) fn rows(&self) -> usize {
        match &self.level {
            Level::States => self.states.len(),
            Level::Loading | Level::Failed(_) => 0,
            Level::Volumes(volumes) => volumes.len(),
            Level::Folder(folder, _) => folder.len(),
        }
    }

    /// The file, folder or volume of a line.
    pub(super) fn path(&self, row: usize) -> Option<(Owner, GuestPath)> {
        let owner = self.at.as_ref()?.owner.clone();
        let path = match &self.level {
            Level::Volumes(volumes) => GuestPath::root(&volumes.get(row)?.volume),
            Level::Folder(folder, _) => folder.path(row)?,
            _ => return None,
        };
        Some((owner, path))
    }

    /// What is needed next, if anything is.
    pub(super) fn ask(&mut self) -> Option<Ask> {
        if self.waiting {
            return None;
        }
        let ask = self.job.take().or_else(|| self.need());
        self.waiting = ask.is_some();
        ask
    }

    fn need(&mut self) -> Option<Ask> {
        let place = self.at.clone()?;
        match &self.level {
            Level::Loading => {
                self.cancel = Cancel::new();
                self.seen = Arc::default();
                return Some(Ask::Load(
                    place,
                    self.cancel.clone(),
                    Arc::clone(&self.seen),
                ));
            }
            Level::Folder(folder, lines) => {
                let shown = self.top..(self.top + self.height.max(1)).min(folder.len());
                if let Some(first) = shown.clone().find(|row| !lines.contains_key(row)) {
                    return Some(Ask::Lines(Arc::clone(folder), first..shown.end));
                }
            }
            Level::Volumes(volumes) => {
                // What is not read has nothing more to tell.
                volumes
                    .get(self.cursor)
                    .filter(|one| one.not_read.is_none())?;
            }
            _ => {}
        }
        let (owner, path) = self.path(self.cursor)?;
        let told = self.preview.as_ref();
        let told = told.is_some_and(|(of, about, _)| *of == owner && *about == path);
        (!told).then_some(Ask::Details(owner, path))
    }

    /// Puts an answer in. What is of another place than this by now is dropped.
    pub(super) fn answer(&mut self, answer: Answer) {
        self.waiting = false;
        match answer {
            Answer::Loaded(place, level, findings) => {
                if self.at.as_ref() == Some(&place) && matches!(self.level, Level::Loading) {
                    self.level = level;
                    self.cursor = self.back.min(self.rows().saturating_sub(1));
                    self.back = 0;
                    let told = findings.iter().map(ToString::to_string);
                    self.message = told.collect::<Vec<_>>().join("; ");
                }
            }
            Answer::Lines(of, first, read) => {
                if let Level::Folder(folder, lines) = &mut self.level
                    && Arc::ptr_eq(folder, &of)
                {
                    if lines.len() > KEPT {
                        lines.clear();
                    }
                    lines.extend((first..).zip(read));
                }
            }
            Answer::Details(owner, path, details) => self.preview = Some((owner, path, details)),
            Answer::Report(lines) => self.mode = Mode::Report(lines, 0),
        }
    }

    /// Stops what is under way.
    pub(super) fn stop(&mut self) {
        self.cancel.cancel();
    }

    /// Does what a key means.
    pub(super) fn key(&mut self, key: KeyCode) {
        match &mut self.mode {
            Mode::Browse => self.browse(key),
            Mode::Help => self.mode = Mode::Browse,
            Mode::Marks(at) => {
                let last = self.marks.len().saturating_sub(1);
                match key {
                    KeyCode::Up => *at = at.saturating_sub(1),
                    KeyCode::Down => *at = (*at + 1).min(last),
                    KeyCode::Char(' ') | KeyCode::Delete => {
                        let marked = self.marks.iter().nth(*at).cloned();
                        if let Some((owner, path)) = marked {
                            self.marks.remove(&owner, &path);
                            *at = (*at).min(self.marks.len().saturating_sub(1));
                        }
                    }
                    _ => self.mode = Mode::Browse,
                }
            }
            Mode::Ask(typed) => match key {
                KeyCode::Char(char) if typed.chars().count() < LONGEST => typed.push(char),
                KeyCode::Backspace => {
                    typed.pop();
                }
                KeyCode::Enter => {
                    let to = std::mem::take(typed);
                    self.usual.clone_from(&to);
                    self.begin("restoring", |marks, cancel, progress| {
                        Ask::Restore(marks, to, cancel, progress)
                    });
                }
                KeyCode::Esc => self.mode = Mode::Browse,
                _ => {}
            },
            Mode::Working(..) => {
                if key == KeyCode::Esc {
                    self.stop();
                }
            }
            Mode::Report(lines, top) => match key {
                KeyCode::Up => *top = top.saturating_sub(1),
                KeyCode::Down => *top = (*top + 1).min(lines.len().saturating_sub(1)),
                KeyCode::PageUp => *top = top.saturating_sub(10),
                KeyCode::PageDown => *top = (*top + 10).min(lines.len().saturating_sub(1)),
                _ => self.mode = Mode::Browse,
            },
        }
    }

    fn browse(&mut self, key: KeyCode) {
        self.message.clear();
        let last = self.rows().saturating_sub(1);
        let page = self.height.max(1);
        match key {
            KeyCode::Up => self.cursor = self.cursor.saturating_sub(1),
            KeyCode::Down => self.cursor = (self.cursor + 1).min(last),
            KeyCode::PageUp => self.cursor = self.cursor.saturating_sub(page),
            KeyCode::PageDown => self.cursor = (self.cursor + page).min(last),
            KeyCode::Home => self.cursor = 0,
            KeyCode::End => self.cursor = last,
            KeyCode::Right | KeyCode::Enter => self.open(),
            KeyCode::Left | KeyCode::Backspace | KeyCode::Esc => self.up(),
            KeyCode::Char(' ') => self.mark(),
            KeyCode::Char('m') => self.mode = Mode::Marks(0),
            KeyCode::Char('e') if self.some_marks() => {
                self.begin("counting what is marked", Ask::Estimate);
            }
            KeyCode::Char('r') if self.some_marks() => self.mode = Mode::Ask(self.usual.clone()),
            KeyCode::Char('?' | 'h') | KeyCode::F(1) => self.mode = Mode::Help,
            KeyCode::Char('q') => self.ended = true,
            _ => {}
        }
    }

    fn begin(&mut self, what: &'static str, ask: impl FnOnce(Marks, Cancel, Progress) -> Ask) {
        // What is under way is of little worth beside it.
        self.cancel.cancel();
        self.cancel = Cancel::new();
        let progress = Progress::new();
        self.job = Some(ask(
            self.marks.clone(),
            self.cancel.clone(),
            progress.clone(),
        ));
        self.mode = Mode::Working(what, progress);
    }

    fn some_marks(&mut self) -> bool {
        if self.marks.is_empty() {
            self.message = "nothing is marked: the space bar marks what the line is at".to_owned();
        }
        !self.marks.is_empty()
    }

    fn open(&mut self) {
        let place = match (&self.level, &self.at) {
            (Level::States, _) => {
                let state = self.states.get(self.cursor);
                state.map(|state| Place::volumes(state.owner.clone()))
            }
            (Level::Volumes(volumes), Some(_)) => match volumes.get(self.cursor) {
                Some(VolumeLine {
                    not_read: Some(why),
                    ..
                }) => {
                    self.message.clone_from(why);
                    None
                }
                _ => self.below(),
            },
            (Level::Folder(folder, lines), Some(_)) => {
                let told = lines.get(&self.cursor).map(|line| line.kind == "folder");
                match told.or_else(|| folder.is_folder(self.cursor)) {
                    Some(true) => self.below(),
                    _ => None,
                }
            }
            _ => None,
        };
        if let Some(place) = place {
            self.way.push(self.cursor);
            self.go(Some(place), 0);
        }
    }

    fn below(&self) -> Option<Place> {
        let (owner, path) = self.path(self.cursor)?;
        let path = Some(path);
        Some(Place { owner, path })
    }

    fn up(&mut self) {
        let Some(place) = &self.at else { return };
        let above = place.up();
        let back = self.way.pop().unwrap_or(0);
        self.go(above, back);
    }

    fn go(&mut self, to: Option<Place>, line: usize) {
        self.cancel.cancel();
        self.preview = None;
        self.top = 0;
        self.at = to;
        (self.cursor, self.back) = (0, line);
        self.level = Level::Loading;
        if self.at.is_none() {
            self.level = Level::States;
            self.cursor = line;
        }
    }

    fn mark(&mut self) {
        let Some((owner, path)) = self.path(self.cursor) else {
            return;
        };
        if !self.marks.remove(&owner, &path) {
            if self.marks.cover(&owner, &path) {
                let message = "it is in a folder that is marked, and comes with it";
                self.message = message.to_owned();
                return;
            }
            self.marks.insert(owner, path);
        }
        self.cursor = (self.cursor + 1).min(self.rows().saturating_sub(1));
    }

    /// Where one is, from the VM on.
    pub(super) fn title(&self) -> String {
        let mut parts = vec![self.vm.clone()];
        if let Some(place) = &self.at {
            parts.push(self.state_name(&place.owner));
            if let Some(path) = &place.path {
                parts.push(path.volume.clone());
                parts.extend(path.names.iter().map(path_text));
            }
        }
        parts.join(" › ")
    }

    /// What a state is called.
    pub(super) fn state_name(&self, owner: &Owner) -> String {
        let state = self.states.iter().find(|one| one.owner == *owner);
        match state.and_then(|state| state.name.clone()) {
            Some(name) => name,
            None => "as it was backed up".to_owned(),
        }
    }
}
