//! What the screen looks like, on a terminal in memory.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use engine::guest::GuestPath;
use engine::guest::browse::{Place, StateLine};
use engine::guest::list::{FileLine, VolumeLine};
use engine::source::Owner;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::KeyCode;
use uuid::Uuid;

use super::app::{Answer, App, Ask, Folder, Level, Mode};
use super::draw::draw;

/// Names in a folder, the first of which is a folder.
struct Names(Vec<String>);

impl Folder for Names {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn path(&self, at: usize) -> Option<GuestPath> {
        let folder = GuestPath::parse("d0p2/Users").unwrap();
        Some(folder.join(self.0.get(at)?.as_str().into()))
    }

    fn is_folder(&self, at: usize) -> Option<bool> {
        Some(at == 0)
    }

    fn lines(&self, range: Range<usize>) -> Vec<FileLine> {
        let line = |at: usize| FileLine {
            path: self.path(at).unwrap().to_string(),
            kind: if at == 0 { "folder" } else { "file" },
            bytes: 1536,
            modified: Some((1_600_000_000, 0)),
            mode: None,
            owner: None,
            attributes: None,
            names: 1,
            target: None,
            not_read: (at == 2).then(|| "it is encrypted".to_owned()),
        };
        range.map(line).collect()
    }
}

fn app() -> App {
    let state = |owner, name: Option<&str>| StateLine {
        owner,
        name: name.map(str::to_owned),
        time: Some(1_600_000_000),
    };
    let states = vec![
        state(Owner::Vm, None),
        state(Owner::Checkpoint(Uuid::nil()), Some("be\x1b[2Jfore")),
    ];
    App::new("web".to_owned(), states, "to ".to_owned())
}

fn volume(name: &str, not_read: Option<&str>) -> VolumeLine {
    VolumeLine {
        volume: name.to_owned(),
        slot: "SCSI 0:0".to_owned(),
        disk: "web.vhdx".to_owned(),
        bytes: 1 << 30,
        what: "ntfs".to_owned(),
        encrypted: None,
        label: "System".to_owned(),
        partition: String::new(),
        state: not_read.is_none().then_some("not-replayed"),
        not_read: not_read.map(str::to_owned),
        notes: vec!["its journal is dirty".to_owned()],
    }
}

/// An app in a folder with these names.
fn in_folder(names: &[&str]) -> App {
    let mut app = app();
    app.key(KeyCode::Enter);
    let place = load(&mut app);
    let volumes = vec![
        volume("d0p1", Some("it is encrypted by BitLocker")),
        volume("d0p2", None),
    ];
    app.answer(Answer::Loaded(place, Level::Volumes(volumes), Vec::new()));
    app.key(KeyCode::Down);
    app.key(KeyCode::Enter);
    let place = load(&mut app);
    let names = names.iter().map(ToString::to_string).collect();
    let level = Level::Folder(Arc::new(Names(names)), HashMap::new());
    app.answer(Answer::Loaded(place, level, Vec::new()));
    app
}

/// The place that is to be loaded.
fn load(app: &mut App) -> Place {
    match app.ask() {
        Some(Ask::Load(place, ..)) => place,
        _ => panic!("nothing is to be loaded"),
    }
}

/// The screen as text, drawn until nothing but a preview is asked for.
fn screen(app: &mut App, width: u16, height: u16) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    loop {
        terminal.draw(|frame| draw(frame, app)).unwrap();
        match app.ask() {
            Some(Ask::Lines(folder, range)) => {
                let lines = folder.lines(range.clone());
                app.answer(Answer::Lines(folder, range.start, lines));
            }
            Some(Ask::Details(owner, path)) => {
                let none = Err("a damaged record".to_owned());
                app.answer(Answer::Details(owner, path, none));
            }
            _ => break,
        }
    }
    let buffer = terminal.backend().buffer().clone();
    let row = |y: u16| {
        (0..width)
            .map(|x| buffer[(x, y)].symbol().to_owned())
            .collect::<String>()
    };
    (0..height).map(row).collect()
}

fn trimmed(lines: &[String]) -> Vec<&str> {
    lines.iter().map(|line| line.trim_end()).collect()
}

#[test]
fn states_come_first_and_no_name_steers_the_terminal() {
    let mut app = app();
    let lines = screen(&mut app, 60, 6);
    assert_eq!(
        trimmed(&lines),
        [
            "web",
            "  as it was backed up                    2020-09-13 12:26:40",
            "  be\\u{1b}[2Jfore                        2020-09-13 12:26:40",
            "",
            "1 of 2",
            " ↑↓ line  → open  ← up  space mark  m marks  e estimate  r …",
        ]
    );
}

#[test]
fn volumes_tell_their_state_and_why_they_are_not_read() {
    let mut app = app();
    app.key(KeyCode::Enter);
    assert!(
        trimmed(&screen_of_loading(&mut app))
            .concat()
            .contains("reading… 0 names")
    );
    app.waiting = true;
    let place = app.at.clone().unwrap();
    let volumes = vec![
        volume("d0p1", Some("it is encrypted by BitLocker")),
        volume("d0p2", None),
    ];
    app.answer(Answer::Loaded(place, Level::Volumes(volumes), Vec::new()));
    let lines = screen(&mut app, 100, 10);
    let all = lines.join("\n");
    assert!(lines[0].starts_with("web › as it was backed up"), "{all}");
    assert!(
        lines[1].contains("d0p1 System") && lines[1].contains("ntfs not read 1.0 GiB"),
        "{all}"
    );
    assert!(lines[2].contains("ntfs not-replayed 1.0 GiB"), "{all}");
    assert!(
        all.contains("it is encrypted by BitLocker") && all.contains("its journal is dirty"),
        "{all}"
    );
    // It is not gone into, and that is said.
    app.key(KeyCode::Enter);
    assert!(app.message.contains("BitLocker") && app.at.as_ref().unwrap().path.is_none());
    app.key(KeyCode::Esc);
    assert!(app.at.is_none());
}

fn screen_of_loading(app: &mut App) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(60, 6)).unwrap();
    terminal.draw(|frame| draw(frame, app)).unwrap();
    let buffer = terminal.backend().buffer().clone();
    let row = |y: u16| {
        (0..60)
            .map(|x| buffer[(x, y)].symbol().to_owned())
            .collect::<String>()
    };
    (0..6).map(row).collect()
}

#[test]
fn a_folder_shows_marks_kinds_sizes_and_hostile_names_escaped() {
    let mut app = in_folder(&["deep", "a\x1b]0;x\x07.txt", "gpj\u{202e}exe", "数据.txt"]);
    app.key(KeyCode::Char(' '));
    app.key(KeyCode::Char(' '));
    let lines = screen(&mut app, 70, 8);
    assert_eq!(
        trimmed(&lines),
        [
            "web › as it was backed up › d0p2",
            "* / deep                                    folder 2020-09-13 12:26:40",
            "*   a%1B]0;x%07.txt                        1.5 KiB 2020-09-13 12:26:40",
            "  ! gpj\\u{202e}exe                         1.5 KiB 2020-09-13 12:26:40",
            "    数 据 .txt                               1.5 KiB 2020-09-13 12:26:40",
            "",
            "3 of 4   2 marked",
            " ↑↓ line  → open  ← up  space mark  m marks  e estimate  r restore  ?…",
        ]
    );
    // The preview, where there is room for one.
    assert!(
        screen(&mut app, 100, 8)
            .join("\n")
            .contains("a damaged record")
    );
    // In a folder that is marked all is.
    app.key(KeyCode::Home);
    app.key(KeyCode::Enter);
    let place = load(&mut app);
    assert_eq!(place.to_string(), "/d0p2/Users/deep");
    app.key(KeyCode::Left);
    assert_eq!(load_back(&mut app), "/d0p2/Users");
}

/// The place that is loaded after an answer that nobody waits for any more.
fn load_back(app: &mut App) -> String {
    let gone = Place::volumes(Owner::Vm).to("/d0p2/Users/deep");
    app.answer(Answer::Loaded(
        gone,
        Level::Failed("late".to_owned()),
        Vec::new(),
    ));
    assert!(matches!(app.level, Level::Loading));
    load(app).to_string()
}

#[test]
fn a_large_folder_is_read_as_it_is_looked_at() {
    let names: Vec<String> = (0..90_000).map(|number| format!("f{number:05}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut app = in_folder(&names);
    let read = |app: &App| match &app.level {
        Level::Folder(_, lines) => lines.len(),
        _ => 0,
    };
    screen(&mut app, 60, 20);
    assert_eq!(read(&app), 17);
    app.key(KeyCode::End);
    let lines = screen(&mut app, 60, 20);
    assert!(
        lines[17].contains("f89999") && lines[18].contains("90000 of 90000"),
        "{lines:?}"
    );
    assert_eq!(read(&app), 34);
    for _ in 0..200 {
        app.key(KeyCode::PageUp);
        screen(&mut app, 60, 20);
    }
    assert!(read(&app) < 2100, "what was looked at is not kept for ever");
}

#[test]
fn help_marks_questions_work_and_reports_lie_over_it() {
    let mut app = in_folder(&["deep", "a", "b"]);
    app.key(KeyCode::Char('?'));
    assert!(
        screen(&mut app, 80, 22)
            .join("\n")
            .contains("what is marked; the space bar takes marks away")
    );
    app.key(KeyCode::Esc);
    app.key(KeyCode::Char('r'));
    assert!(app.message.contains("nothing is marked"));
    app.key(KeyCode::Down);
    app.key(KeyCode::Char(' '));
    app.key(KeyCode::Char('m'));
    assert!(
        screen(&mut app, 80, 10)
            .join("\n")
            .contains("/d0p2/Users/a  (as it was backed up)")
    );
    app.key(KeyCode::Esc);
    app.key(KeyCode::Char('r'));
    for char in "out".chars() {
        app.key(KeyCode::Char(char));
    }
    let lines = screen(&mut app, 80, 10).join("\n");
    assert!(lines.contains("> to out_"), "{lines}");
    app.key(KeyCode::Enter);
    assert!(
        screen_of_loading(&mut app)
            .join("\n")
            .contains("0 things, 0 B")
    );
    let Some(Ask::Restore(marks, to, cancel, _)) = app.ask() else {
        panic!("nothing is restored");
    };
    assert_eq!((marks.len(), to.as_str()), (1, "to out"));
    app.key(KeyCode::Esc);
    assert!(cancel.is_cancelled() && matches!(app.mode, Mode::Working(..)));
    app.answer(Answer::Report(vec!["cancelled: 0 files".to_owned()]));
    assert!(
        screen(&mut app, 60, 8)
            .join("\n")
            .contains("cancelled: 0 files")
    );
    app.key(KeyCode::Esc);
    app.key(KeyCode::Char('q'));
    assert!(app.ended);
}

#[test]
fn any_size_of_terminal_will_do() {
    let mut app = in_folder(&["deep", "数据数据数据", "b"]);
    app.key(KeyCode::Char(' '));
    for (width, height) in [(1, 1), (2, 3), (9, 4), (20, 5), (72, 3), (300, 90)] {
        for mode in [
            Mode::Browse,
            Mode::Help,
            Mode::Marks(0),
            Mode::Ask("to x".to_owned()),
        ] {
            app.mode = mode;
            assert_eq!(screen(&mut app, width, height).len(), usize::from(height));
        }
    }
}
