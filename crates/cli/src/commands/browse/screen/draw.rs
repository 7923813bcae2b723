//! Draws the screen. All that comes from a guest goes through [`text::line`]: nothing in it steers a terminal.

use std::sync::atomic::Ordering;

use engine::guest::browse::Details;
use engine::guest::list::{FileLine, VolumeLine};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Paragraph, Wrap};
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::app::{App, Level, Mode};
use crate::text;

/// Columns from which on there is room for a preview.
const WIDE: u16 = 72;

/// What the keys are.
const HELP: &str = "\
up, down, page up,
page down, home, end   go to a line
right, enter           go into it
left, backspace, esc   go to what is above
space                  mark it, or take its mark away
m                      what is marked; the space bar takes marks away
e                      how much is marked, and what would be read
r                      restore what is marked; asked is where to:
                       to FOLDER, tar FILE or zip FILE
esc                    stops what takes its time
q                      end

A folder is marked with all that is in it. The signs before names:
* marked, + in something marked, / a folder, @ a link, ! not to be had.
Parts of names that are no text are shown as %XX.";

/// Draws all of it.
pub(super) fn draw(frame: &mut Frame<'_>, app: &mut App) {
    let parts = [
        Constraint::Length(1),
        Constraint::Min(1),
        Constraint::Length(1),
        Constraint::Length(1),
    ];
    let [title, body, status, keys] = Layout::vertical(parts).areas(frame.area());
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let reversed = Style::new().add_modifier(Modifier::REVERSED);
    // Of a long path the end tells more.
    let head = tail(&text::line(&app.title()), title.width.into());
    frame.render_widget(Paragraph::new(Span::styled(head, bold)), title);
    let (rows, preview) = match body.width >= WIDE {
        true => {
            let halves = [Constraint::Percentage(60), Constraint::Percentage(40)];
            let [rows, preview] = Layout::horizontal(halves).areas(body);
            (rows, Some(preview))
        }
        false => (body, None),
    };
    list(frame, app, rows);
    if let Some(area) = preview {
        let block = Block::new().borders(ratatui::widgets::Borders::LEFT);
        let lines: Vec<Line<'_>> = preview_lines(app).into_iter().map(Line::from).collect();
        let shown = Paragraph::new(lines)
            .wrap(Wrap { trim: false })
            .block(block);
        frame.render_widget(shown, area);
    }
    let told = fit(&status_line(app), status.width.into());
    frame.render_widget(Paragraph::new(told), status);
    let line = fit(keys_line(app), keys.width.into());
    frame.render_widget(Paragraph::new(Span::styled(line, reversed)), keys);
    over(frame, app, body);
}

fn keys_line(app: &App) -> &'static str {
    match app.mode {
        Mode::Browse => {
            " ↑↓ line  → open  ← up  space mark  m marks  e estimate  r restore  ? help  q quit"
        }
        Mode::Help => " any key: back",
        Mode::Marks(_) => " ↑↓ line  space unmark  esc back",
        Mode::Ask(_) => " enter restore  esc back",
        Mode::Working(..) => " esc stop",
        Mode::Report(..) => " ↑↓ line  esc back",
    }
}

fn status_line(app: &App) -> String {
    if !app.message.is_empty() {
        return text::line(&app.message).into_owned();
    }
    let marked = match app.marks.len() {
        0 => String::new(),
        number => format!("   {number} marked"),
    };
    let rows = app.rows();
    match &app.level {
        Level::Loading => format!(
            "reading… {} names{marked}   esc stops",
            app.seen.load(Ordering::Relaxed)
        ),
        _ if rows == 0 => format!("nothing here{marked}"),
        _ => {
            let busy = if app.waiting { "   reading…" } else { "" };
            format!("{} of {rows}{marked}{busy}", app.cursor + 1)
        }
    }
}

fn list(frame: &mut Frame<'_>, app: &mut App, area: Rect) {
    app.height = area.height.into();
    let height = app.height.max(1);
    if app.cursor < app.top {
        app.top = app.cursor;
    } else if app.cursor >= app.top + height {
        app.top = app.cursor + 1 - height;
    }
    if let Level::Failed(why) = &app.level {
        let told = Paragraph::new(text::line(why).into_owned()).wrap(Wrap { trim: false });
        return frame.render_widget(told, area);
    }
    let shown = app.top..(app.top + height).min(app.rows());
    let width = usize::from(area.width);
    let lines: Vec<Line<'_>> = shown
        .map(|row| {
            let style = match row == app.cursor {
                true => Style::new().add_modifier(Modifier::REVERSED),
                false => Style::new(),
            };
            Line::styled(fit(&row_text(app, row, width), width), style)
        })
        .collect();
    frame.render_widget(Paragraph::new(lines), area);
}

/// A line of the list.
fn row_text(app: &App, row: usize, width: usize) -> String {
    let path = app.path(row);
    let mark = match path.as_ref() {
        Some((owner, path)) if app.marks.contains(owner, path) => '*',
        Some((owner, path)) if app.marks.cover(owner, path) => '+',
        _ => ' ',
    };
    match &app.level {
        Level::States => match app.states.get(row) {
            None => String::new(),
            Some(state) => {
                let name = app.state_name(&state.owner);
                let time = state.time.map(text::time).unwrap_or_default();
                columns((' ', &name), &time, width)
            }
        },
        Level::Volumes(volumes) => match volumes.get(row) {
            None => String::new(),
            Some(volume) => {
                let label = match volume.label.is_empty() {
                    true => &volume.partition,
                    false => &volume.label,
                };
                let name = format!("{} {label}", volume.volume);
                let state = volume.state.unwrap_or("not read");
                let right = format!("{} {state} {}", volume.what, text::size(volume.bytes));
                columns((mark, &name), &right, width)
            }
        },
        Level::Folder(_, lines) => {
            let name = path.map(|(_, path)| path);
            let name = name.and_then(|path| path.names.last().map(engine::guest::path::text));
            let name = name.unwrap_or_default();
            match lines.get(&row) {
                None => columns((mark, &format!("  {name}")), "…", width),
                Some(line) => file_text(mark, line, &name, width),
            }
        }
        Level::Loading | Level::Failed(_) => String::new(),
    }
}

fn file_text(mark: char, line: &FileLine, name: &str, width: usize) -> String {
    let sign = match line.kind {
        _ if line.not_read.is_some() => '!',
        "folder" => '/',
        "link" | "junction" => '@',
        _ => ' ',
    };
    let size = match line.kind {
        "file" => text::size(line.bytes),
        kind => kind.to_owned(),
    };
    let written = line
        .modified
        .map(|(seconds, _)| moment(seconds))
        .unwrap_or_default();
    let right = format!("{size:>10} {written:>19}");
    columns((mark, &format!("{sign} {name}")), &right, width)
}

/// A name that gives way to what stands on the right.
fn columns((mark, name): (char, &str), right: &str, width: usize) -> String {
    let right = text::line(right);
    let left = width.saturating_sub(right.width() + 3);
    match left < 8 {
        true => fit(&format!("{mark} {}", text::line(name)), width),
        false => format!("{mark} {} {right}", fit(&text::line(name), left)),
    }
}

fn moment(seconds: i64) -> String {
    match u64::try_from(seconds) {
        Ok(seconds) => text::time(seconds),
        Err(_) => "before 1970".to_owned(),
    }
}

/// What is told of the thing that one is at.
fn preview_lines(app: &App) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    if let Level::Volumes(volumes) = &app.level
        && let Some(volume) = volumes.get(app.cursor)
    {
        out.extend(volume_lines(volume));
    }
    let here = app.path(app.cursor);
    let told = app.preview.as_ref();
    let told = told.filter(|(owner, path, _)| {
        here.as_ref()
            .is_some_and(|(of, at)| of == owner && at == path)
    });
    match told {
        Some((_, _, Ok(details))) => out.extend(details_lines(details)),
        Some((_, _, Err(why))) => out.push(why.clone()),
        None => {}
    }
    out.iter()
        .map(|line| text::line(line).into_owned())
        .collect()
}

fn volume_lines(volume: &VolumeLine) -> Vec<String> {
    let mut out = vec![
        format!("volume {}", volume.volume),
        format!("{} on {} {}", volume.what, volume.slot, volume.disk),
        format!("state {}", volume.state.unwrap_or("not read")),
    ];
    out.extend(volume.not_read.clone());
    out.extend(volume.notes.iter().cloned());
    out.push(String::new());
    out
}

fn details_lines(details: &Details) -> Vec<String> {
    let line = &details.line;
    let mut out = vec![format!(
        "{}, {} ({} bytes)",
        line.kind,
        text::size(line.bytes),
        line.bytes
    )];
    out.extend(line.not_read.clone());
    out.extend(
        line.target
            .as_ref()
            .map(|target| format!("leads to {target}")),
    );
    for (what, time) in details.times() {
        out.push(format!("{what:8} {} UTC", moment(time.seconds)));
    }
    if let (Some(mode), Some((uid, gid))) = (line.mode, line.owner) {
        out.push(format!("mode {mode:04o}, owner {uid}, group {gid}"));
    }
    if let Some(attributes) = line.attributes {
        out.push(format!("attributes {attributes:#x}"));
    }
    if line.names > 1 {
        out.push(format!("{} names", line.names));
    }
    out.extend(
        details
            .short_name
            .as_ref()
            .map(|name| format!("short name {name}")),
    );
    out.extend(details.reparse.map(|tag| format!("reparse point {tag:#x}")));
    out.extend(
        details
            .security
            .map(|len| format!("security descriptor, {len} bytes")),
    );
    for (name, len) in &details.streams {
        out.push(format!("stream {name}, {}", text::size(*len)));
    }
    for (name, len) in &details.xattrs {
        out.push(format!("attribute {name}, {}", text::size(*len as u64)));
    }
    let (format, state) = details.volume;
    out.push(format!("on {format}, state {state}"));
    out.extend(details.notes.iter().cloned());
    out
}

/// What lies over the list.
fn over(frame: &mut Frame<'_>, app: &App, area: Rect) {
    let (title, lines, cursor): (&str, Vec<String>, Option<usize>) = match &app.mode {
        Mode::Browse => return,
        Mode::Help => ("help", HELP.lines().map(str::to_owned).collect(), None),
        Mode::Marks(at) => {
            let marks = app.marks.iter();
            let lines = marks.map(|(owner, path)| format!("/{path}  ({})", app.state_name(owner)));
            ("marked", lines.collect(), Some(*at))
        }
        Mode::Ask(typed) => {
            let question = "where to?  to FOLDER, tar FILE or zip FILE".to_owned();
            ("restore", vec![question, format!("> {typed}_")], None)
        }
        Mode::Working(what, progress) => {
            let far = format!(
                "{} things, {}",
                progress.things(),
                text::size(progress.bytes())
            );
            (what, vec![far], None)
        }
        Mode::Report(lines, top) => (
            "what came of it",
            lines.iter().skip(*top).cloned().collect(),
            None,
        ),
    };
    let block = Block::bordered().title(format!(" {title} "));
    let inner = block.inner(area);
    let height = usize::from(inner.height.max(1));
    let top = cursor.map_or(0, |at| (at + 1).saturating_sub(height));
    let lines = lines.iter().enumerate().skip(top).map(|(at, line)| {
        let style = match cursor == Some(at) {
            true => Style::new().add_modifier(Modifier::REVERSED),
            false => Style::new(),
        };
        Line::styled(text::line(line).into_owned(), style)
    });
    let shown = Paragraph::new(lines.collect::<Vec<_>>()).wrap(Wrap { trim: false });
    frame.render_widget(Clear, area);
    frame.render_widget(shown.block(block), area);
}

/// A text in so many columns: cut, or with spaces behind it.
fn fit(text: &str, width: usize) -> String {
    let mut out = String::new();
    let mut used = 0;
    let whole = text.width() <= width;
    let room = if whole {
        width
    } else {
        width.saturating_sub(1)
    };
    for char in text.chars() {
        let wide = char.width().unwrap_or(0);
        if used + wide > room {
            break;
        }
        out.push(char);
        used += wide;
    }
    if !whole && width > 0 {
        out.push('…');
        used += 1;
    }
    out.extend(std::iter::repeat_n(' ', width.saturating_sub(used)));
    out
}

/// The end of a text, in so many columns.
fn tail(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut used = 1;
    let end: Vec<char> = text
        .chars()
        .rev()
        .take_while(|char| {
            used += char.width().unwrap_or(0);
            used <= width
        })
        .collect();
    let end: String = end.into_iter().rev().collect();
    format!("…{end}")
}
