//! A dump as a table for people. See [`Dump`](super::Dump) for what it looks like, and why.

use super::in_one_line;
use ec_tasks::{Kind, TaskInfo, TaskState};
use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::fmt::{self, Write as _};
use std::time::Duration;

/// A column is no wider. (What is longer, a name say, sticks out of its own.)
const WIDEST: usize = 64;

/// So many lines that differ in numbers only stand each by itself.
const MOST_ALIKE: usize = 8;

/// What the lines of one group have in common.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Words<'a> {
    state: TaskState,
    name: Cow<'a, str>,
    what: Cow<'a, str>,
}

/// Tasks that share a line.
struct Group<'a> {
    words: Words<'a>,
    count: usize,
    /// The one that has been at it the longest.
    first: &'a TaskInfo,
    shortest: Option<Duration>,
}

pub(super) fn write(tasks: &[TaskInfo], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut groups = of_alike(of_equal(tasks));
    groups.sort_by_key(|group| (rank(group.words.state), Reverse(group.first.since), group.first.id));
    let head = ["id", "", "name", "state", "since", "what"].map(String::from);
    let rows: Vec<[String; 6]> = std::iter::once(head).chain(groups.iter().map(row)).collect();
    let width =
        |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0).min(WIDEST);
    let widths = [width(0).max(6), width(1), width(2), width(3), width(4)];
    for [id, count, name, state, since, what] in &rows {
        let [w0, w1, w2, w3, w4] = widths;
        writeln!(f, "{id:>w0$}  {count:<w1$}  {name:<w2$}  {state:<w3$}  {since:<w4$}  {what}")?;
    }
    write_total(tasks, f)
}

/// The order of the states.
fn rank(state: TaskState) -> u8 {
    match state {
        TaskState::Running => 0,
        TaskState::Ready => 1,
        TaskState::Suspended => 2,
        _ => 3,
    }
}

/// Tasks with equal lines.
fn of_equal(tasks: &[TaskInfo]) -> Vec<Group<'_>> {
    let mut groups: HashMap<Words<'_>, Group<'_>> = HashMap::new();
    for task in tasks {
        let words = Words {
            state: task.state,
            name: Cow::Borrowed(task.name.as_deref().unwrap_or("-")),
            what: what(task),
        };
        let one = Group { words: words.clone(), count: 1, first: task, shortest: task.since };
        match groups.get_mut(&words) {
            Some(group) => group.add(one),
            None => drop(groups.insert(words, one)),
        }
    }
    groups.into_values().collect()
}

/// Where more than a few groups differ in numbers only, they become one.
fn of_alike(groups: Vec<Group<'_>>) -> Vec<Group<'_>> {
    let mut alike: HashMap<Words<'_>, Vec<Group<'_>>> = HashMap::new();
    for group in groups {
        let Words { state, name, what } = &group.words;
        let pattern = Words { state: *state, name: pattern(name).into(), what: pattern(what).into() };
        alike.entry(pattern).or_default().push(group);
    }
    let mut result = Vec::new();
    for (pattern, mut groups) in alike {
        if groups.len() <= MOST_ALIKE {
            result.append(&mut groups);
            continue;
        }
        let Some(mut all) = groups.pop() else { continue };
        // What they have all in common stays as it is.
        let is_common = |is_equal: fn(&Words<'_>, &Words<'_>) -> bool| {
            groups.iter().all(|other| is_equal(&other.words, &all.words))
        };
        let (name, what) = (is_common(|a, b| a.name == b.name), is_common(|a, b| a.what == b.what));
        if !name {
            all.words.name = pattern.name;
        }
        if !what {
            all.words.what = pattern.what;
        }
        groups.into_iter().for_each(|group| all.add(group));
        result.push(all);
    }
    result
}

impl<'a> Group<'a> {
    fn add(&mut self, other: Group<'a>) {
        self.count += other.count;
        self.shortest = self.shortest.min(other.shortest);
        // The longest, and of several the oldest.
        let rank = |task: &TaskInfo| (Reverse(task.since), task.id);
        if rank(other.first) < rank(self.first) {
            self.first = other.first;
        }
    }
}

/// What the task does or waits for.
fn what(task: &TaskInfo) -> Cow<'_, str> {
    let what = match (task.state, &task.thread, &task.waits_for) {
        (TaskState::Running, Some(thread), _) => Cow::Owned(thread.to_string()),
        (TaskState::Running, None, _) => Cow::Borrowed("runs"),
        (TaskState::Ready, ..) if task.stack.is_none() && task.kind != Kind::Dedicated => {
            Cow::Borrowed("has not begun: waits for a worker")
        }
        (TaskState::Ready, ..) => Cow::Borrowed("waits for a worker"),
        (_, _, Some(what)) => Cow::Borrowed(what.as_str()),
        _ => Cow::Borrowed("-"),
    };
    if task.cancelled { Cow::Owned(format!("{what} (cancelled)")) } else { what }
}

/// The text with a `#` for each number in it, decimal or hexadecimal.
fn pattern(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        let hexadecimal = rest.strip_prefix("0x").filter(|digits| digits.starts_with(is_hexadecimal));
        if let Some(digits) = hexadecimal {
            pattern.push('#');
            rest = digits.trim_start_matches(is_hexadecimal);
        } else if letter.is_ascii_digit() {
            pattern.push('#');
            rest = rest.trim_start_matches(|letter: char| letter.is_ascii_digit());
        } else {
            pattern.push(letter);
            rest = &rest[letter.len_utf8()..];
        }
    }
    pattern
}

fn is_hexadecimal(letter: char) -> bool {
    letter.is_ascii_hexdigit()
}

fn row(group: &Group<'_>) -> [String; 6] {
    let since = match (group.first.since, group.shortest) {
        (Some(longest), Some(shortest)) => {
            let (longest, shortest) = (span(longest), span(shortest));
            if longest == shortest { longest } else { format!("{longest} to {shortest}") }
        }
        (Some(longest), None) => span(longest),
        (None, _) => String::from("-"),
    };
    [
        group.first.id.to_string(),
        if group.count == 1 { String::new() } else { format!("× {}", thousands(group.count)) },
        in_one_line(&group.words.name).into_owned(),
        format!("{:?}", group.words.state).to_lowercase(),
        since,
        in_one_line(&group.words.what).into_owned(),
    ]
}

/// A time that was measured to some milliseconds, as people say it.
fn span(span: Duration) -> String {
    let seconds = span.as_secs_f64();
    match span.as_secs() {
        0 => format!("{} ms", span.as_millis()),
        1..=119 => format!("{seconds:.1} s"),
        120..=7199 => format!("{:.1} min", seconds / 60.0),
        7200..=172_799 => format!("{:.1} h", seconds / 3600.0),
        _ => format!("{:.1} days", seconds / 86_400.0),
    }
}

/// "1,234,567"
fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn write_total(tasks: &[TaskInfo], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut parts = String::new();
    let mut states: Vec<TaskState> =
        tasks.iter().map(|task| task.state).collect::<HashSet<_>>().into_iter().collect();
    states.sort_by_key(|&state| rank(state));
    for state in states {
        let count = tasks.iter().filter(|task| task.state == state).count();
        let comma = if parts.is_empty() { ":" } else { "," };
        write!(parts, "{comma} {} {}", thousands(count), format!("{state:?}").to_lowercase())?;
    }
    let s = if tasks.len() == 1 { "" } else { "s" };
    write!(f, "{} task{s}{parts}", thousands(tasks.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_left_out_whatever_their_base() {
        assert_eq!(pattern("conn 17 at 0x7f02ab, 0xyz, 3 of 40"), "conn # at #, #xyz, # of #");
        assert_eq!(pattern("ü 0x"), "ü #x");
    }

    #[test]
    fn a_name_stays_in_its_line() {
        assert_eq!(in_one_line("a\nb\u{1b}[2J ü"), "a\\nb\\u{1b}[2J ü");
        assert!(matches!(in_one_line("plain ü"), Cow::Borrowed(_)));
    }
}
