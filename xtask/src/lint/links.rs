//! Links between documents lead somewhere.

use super::Finding;
use super::tree::Tree;

/// Checks every relative link in every Markdown file: the file is there, and the heading too.
pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.files.iter().filter(|file| file.path.ends_with(".md")) {
        let Some(text) = &file.text else { continue };
        for (line, target) in links(text) {
            if let Some(what) = broken(tree, &file.path, &target) {
                findings.push(Finding::new(&file.path, line, what));
            }
        }
    }
    findings
}

/// What is wrong with a link to `target` in the file at `from`.
fn broken(tree: &Tree, from: &str, target: &str) -> Option<String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (path, heading) = target.split_once('#').unwrap_or((target, ""));
    let Some(path) = resolve(from, path) else {
        return Some(format!("{target} leads out of the tree"));
    };
    if !tree.has(&path) {
        return Some(format!("{target} leads nowhere"));
    }
    let text = tree.get(&path)?.text.as_deref()?;
    let known = heading.is_empty()
        || !path.ends_with(".md")
        || prose(text).any(|(_, line)| line.starts_with('#') && slug(line) == heading);
    (!known).then(|| format!("{target}: {path} has no such heading"))
}

/// The path from the root that `path`, written in the file `from`, means.
fn resolve(from: &str, path: &str) -> Option<String> {
    if path.is_empty() {
        return Some(from.to_owned());
    }
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in path.split('/') {
        match part {
            "" | "." => (),
            ".." => {
                parts.pop()?;
            }
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

/// The lines that are not in fenced code, counted from 1.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    text.lines().enumerate().filter_map(move |(number, line)| {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
            return None;
        }
        (!fenced).then_some((number + 1, line))
    })
}

/// The target of every inline link, with its line.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, line) in prose(text) {
        // Every second piece between backticks is code.
        for piece in line.split('`').step_by(2) {
            for (at, _) in piece.match_indices("](") {
                if let Some((target, _)) = piece[at + 2..].split_once(')') {
                    let target = target.split_whitespace().next().unwrap_or_default();
                    found.push((number, target.trim_matches(['<', '>']).to_owned()));
                }
            }
        }
        // A link may have code for its text: [`x`](y). Then its target starts a piece.
        for piece in line.split('`').skip(2).step_by(2) {
            if let Some((target, _)) = piece.strip_prefix("](").and_then(|t| t.split_once(')'))
                && !found.iter().any(|(n, t)| *n == number && t == target)
            {
                found.push((number, target.to_owned()));
            }
        }
    }
    found
}

/// The anchor that a heading gets: lower case, without punctuation, blanks as hyphens.
fn slug(heading: &str) -> String {
    heading
        .trim_start_matches('#')
        .trim()
        .to_lowercase()
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(text: &str) -> Vec<usize> {
        let tree = Tree::of(&[
            ("docs/a.md", text),
            ("docs/b.md", "# One, two\n```\n# Not a heading\n```\n"),
            ("README.md", ""),
        ]);
        check(&tree).iter().map(|f| f.line).collect()
    }

    #[test]
    fn good_links_pass() {
        let text = "[b](b.md) [up](../README.md) [d](../docs/) [h](b.md#one-two) [w](https://x.y)\n\
                    # Here\n[self](#here) and `[code](nowhere.md)` and [`x`](b.md)\n\
                    ```\n[fenced](nowhere.md)\n```\n";
        assert_eq!(findings(text), Vec::<usize>::new());
    }

    #[test]
    fn bad_links_are_found() {
        let text = "[x](nowhere.md)\n\n[x](b.md#three)\n[x](#nothing)\n[x](../../out.md)\n\
                    [x](b.md#not-a-heading)\n[`x`](gone.md)\n";
        assert_eq!(findings(text), [1, 3, 4, 5, 6, 7]);
    }
}
