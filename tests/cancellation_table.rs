//! The table in the documentation of module `task` says of each public call of the crate what it is to a cancel and to a deadline. Here each
//! row is tried.
//!
//! A new call has its row in `src/task/cancellation.md`, and a line in `cancellation_table/`. Without either a test here fails, and says
//! which is missing.

#[path = "cancellation_table/mod.rs"]
mod all;
mod net_common;

use all::{Call, rows};
use ec_test_support::limit;
use ec_unkind as _;
use event_channel::sync::Notification;
use event_channel::task::{Builder, CancelToken, check, shield};
use event_channel::time::{Duration, timeout};
use event_channel::{Runtime, is_cancelled, is_deadline, task};
use net_common::each_runtime_of;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

#[derive(Clone, Copy, Debug, PartialEq)]
enum What {
    Point,
    NoPoint,
    NeverWaits,
    AsItsClosure,
}

/// The calls in the table, by the targets of their links. With what they are, and what the table says besides.
fn table() -> BTreeMap<String, (What, &'static str)> {
    let text = include_str!("../src/task/cancellation.md");
    let mut calls = BTreeMap::new();
    for row in text.lines().filter(|line| line.starts_with("| [`")) {
        let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [names, what, besides] = cells[..] else { panic!("three cells: {row}") };
        let what = match what {
            "point" => What::Point,
            "no point" => What::NoPoint,
            "never waits" => What::NeverWaits,
            "as its closure" => What::AsItsClosure,
            other => panic!("{other}"),
        };
        for target in names.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
            let name = target.trim_end_matches('(').trim_start_matches("crate::").to_owned();
            assert!(calls.insert(name, (what, besides)).is_none(), "twice: {target}");
        }
    }
    calls
}

/// Where the public modules that a source has in files of their own are: without the ending of the name.
fn public_modules(source: &Path) -> Vec<PathBuf> {
    let place = if source.ends_with("mod.rs") {
        source.parent().unwrap().to_owned()
    } else {
        source.with_extension("")
    };
    let text = fs::read_to_string(source).unwrap_or_default();
    let names = text.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    names.map(|name| place.join(name)).collect()
}

/// The public functions of the crate as its sources have them.
fn public() -> BTreeSet<String> {
    fn files(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() { files(&entry, found) } else { found.push(entry) }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut sources = Vec::new();
    files(&root, &mut sources);
    // (What is behind a feature says itself what it is.)
    sources.retain(|source| !source.ends_with("future/streams.rs"));
    // The modules of modules that are public have names of their own: `sync::channel`.
    let modules: BTreeSet<_> = sources.iter().flat_map(|source| public_modules(source)).collect();
    let mut public = BTreeSet::new();
    for source in sources.iter().filter(|source| source.extension().is_some_and(|end| end == "rs")) {
        // (What attributes and macros make is no call of the program's.)
        if ["macros", "runtime/entry.rs", "sync/select/hidden.rs"]
            .iter()
            .any(|it| source.starts_with(root.join(it)))
        {
            continue;
        }
        let path = source.strip_prefix(&root).unwrap().with_extension("");
        let is_module = |path: &&Path| path.iter().count() == 1 || modules.contains(&root.join(path));
        let module = path.ancestors().find(is_module).unwrap().to_str().unwrap().replace('/', "::");
        let (mut owner, mut in_macro, mut hidden, mut exported) = (String::new(), false, false, false);
        // What the types have that a macro makes; and the macro that is defined, or used, in this place.
        let mut of_macros = BTreeMap::<String, Vec<String>>::new();
        let (mut defined, mut used, mut all_used) = (None, None, BTreeSet::new());
        for line in fs::read_to_string(source).unwrap().lines() {
            if let Some(rest) = line.strip_prefix("macro_rules! ") {
                let name = rest.trim_end_matches(" {").to_owned();
                if std::mem::take(&mut exported) {
                    public.insert(format!("{name}!"));
                } else {
                    defined = Some(name);
                }
            } else if let Some(name) = line.strip_suffix("! {").filter(|name| !name.starts_with(' ')) {
                used = Some(name.to_owned());
            } else if line == "}" {
                (defined, used) = (None, None);
            }
            let made = line.strip_prefix("    ").and_then(|line| line.strip_suffix(" {"));
            let made = made.filter(|made| made.chars().all(char::is_alphanumeric));
            if let (Some((by, names)), Some(made)) =
                (used.as_ref().and_then(|by| of_macros.get_key_value(by)), made)
            {
                public.extend(names.iter().map(|name| format!("{module}::{made}::{name}")));
                all_used.insert(by.clone());
            }
            if line.starts_with("impl") && line.ends_with("{}") {
                // (It has nothing.)
            } else if let Some(rest) = line.strip_prefix("impl") {
                // (After its parameters. Traits have no public functions of their own.)
                let rest = if rest.starts_with('<') { rest.split_once("> ").unwrap().1 } else { rest.trim() };
                owner = rest.split(|c: char| !c.is_alphanumeric()).next().unwrap().to_owned() + "::";
            } else if line == "}" {
                owner.clear();
            }
            in_macro = line.trim() == "options! {" || (in_macro && line.trim() != "}");
            exported |= line == "#[macro_export]";
            hidden = line.trim() == "#[doc(hidden)]" || (hidden && !line.trim().is_empty());
            let line = line.trim().strip_prefix("pub ").or(if in_macro { Some(line.trim()) } else { None });
            let Some(line) = line else { continue };
            let is_function = |rest: &&str| rest.starts_with("fn ") && !rest.starts_with("fn $");
            let mut rest = ["", "const ", "unsafe ", "const unsafe "]
                .into_iter()
                .filter_map(|how| line.strip_prefix(how));
            let Some(rest) = rest.rfind(is_function) else { continue };
            if std::mem::take(&mut hidden) {
                continue;
            }
            let name = rest[3..].split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap();
            if let Some(by) = &defined {
                of_macros.entry(by.clone()).or_default().push(name.to_owned());
                continue;
            }
            public.insert(match (module.as_str(), owner.as_str()) {
                ("errors" | "runtime", "") => name.to_owned(),
                _ => format!("{module}::{owner}{name}"),
            });
        }
        assert!(of_macros.into_keys().eq(all_used), "{}: what has a macro made?", source.display());
    }
    public
}

#[test]
fn each_public_call_has_a_row_and_each_row_is_tried() {
    let (table, public) = (table(), public());
    let missing: Vec<_> = public.iter().filter(|call| !table.contains_key(*call)).collect();
    assert!(missing.is_empty(), "src/task/cancellation.md has no row for {missing:?}");
    assert!(public.len() > 100, "{public:?}");
    let unknown: Vec<_> = table
        .keys()
        .filter(|call| {
            !public.contains(*call) && !call.starts_with("std::") && !call.starts_with("channel::")
        })
        .collect();
    assert!(unknown.is_empty(), "src/task/cancellation.md has rows for what is not there: {unknown:?}");
    let tried: BTreeSet<_> = rows().flat_map(|(names, _)| *names).map(|name| (*name).to_owned()).collect();
    let told: BTreeSet<_> = table.into_keys().collect();
    let untried: Vec<_> = told.difference(&tried).collect();
    assert!(untried.is_empty(), "tests/cancellation_table does not try {untried:?}");
    let without: Vec<_> = tried.difference(&told).collect();
    assert!(without.is_empty(), "src/task/cancellation.md has no row for {without:?}");
}

#[test]
fn each_call_that_is_no_point_has_a_twin_or_its_row_says_that_it_has_none() {
    let table = table();
    let what = |name: &str| table.get(name).map(|row| row.0);
    let waits = table.iter().filter(|(_, row)| row.0 == What::NoPoint);
    let (without, with): (Vec<_>, Vec<_>) =
        waits.partition(|(_, (_, besides))| besides.starts_with("no twin: "));
    let twin_of = |name: &str| format!("{name}_cancellable");
    let missing: Vec<_> =
        with.iter().map(|(name, _)| twin_of(name)).filter(|twin| what(twin) != Some(What::Point)).collect();
    assert!(missing.is_empty(), "src/task/cancellation.md has no row for these points: {missing:?}");
    assert!(with.len() > 40, "{with:?}");
    let denied: Vec<_> = without.iter().filter(|(name, _)| what(&twin_of(name)).is_some()).collect();
    assert!(denied.is_empty(), "they have twins, whatever their rows say: {denied:?}");
    let of_nothing: Vec<_> = table
        .keys()
        .filter(|name| name.strip_suffix("_cancellable").is_some_and(|of| what(of) != Some(What::NoPoint)))
        .collect();
    assert!(of_nothing.is_empty(), "twins of what is not there, or is a point itself: {of_nothing:?}");
}

/// With a cancel of the task, or of its group, that waits to be delivered; or with a deadline that has come.
fn try_one(what: What, name: &str, make: fn() -> Call, is_due: fn(&std::io::Error) -> bool) {
    // What the call needs is no part of it.
    let mut call = shield(make);
    match what {
        What::Point => {
            let error = call().expect_err(name);
            assert!(is_due(&error), "{name}: {error}");
            call().unwrap_or_else(|error| panic!("{name}: {error}, once more"));
            check().unwrap_or_else(|error| panic!("{name}: {error}, once more"));
        }
        // (A closure's are empty.)
        What::NoPoint | What::NeverWaits | What::AsItsClosure => {
            call().unwrap_or_else(|error| panic!("{name}: {error}"));
            let error = check().expect_err(name);
            assert!(is_due(&error), "{name} has swallowed it: {error}");
        }
    }
    // What it holds may wait when it goes.
    shield(|| drop(call));
}

fn each(test: impl Fn(What, bool, &'static str, fn() -> Call)) {
    let table = table();
    for (names, make) in rows() {
        let told: Vec<_> = names.iter().filter_map(|name| table.get(*name)).collect();
        let Some(&&(what, besides)) = told.first() else { continue };
        assert!(told.iter().all(|row| row.0 == what), "{names:?} are tried together");
        assert!(what != What::Point || names.len() == 1, "a point is tried alone: {names:?}");
        test(what, besides == "in a task", names[0], *make);
    }
}

#[test]
fn each_call_is_to_a_cancel_what_its_row_says() {
    limit(120, || {
        each_runtime_of(&[2], |runtime: &Runtime| {
            each(|what, _, name, make| {
                for kind in [Builder::new(), Builder::new().dedicated()] {
                    let begins = Arc::new(Notification::new());
                    let theirs = begins.clone();
                    let task = runtime.spawn_with(kind, move || {
                        theirs.wait();
                        try_one(what, name, make, is_cancelled);
                        assert!(task::is_cancelled());
                    });
                    let task = task.unwrap();
                    task.cancel();
                    begins.post();
                    task.join().unwrap();
                }
            });
        });
    });
}

#[test]
fn each_call_is_to_a_token_what_its_row_says() {
    limit(120, || {
        let cancelled = |what, only_in_tasks: bool, name, make| {
            let token = CancelToken::new();
            token.cancel();
            if !only_in_tasks || ec_pool::wait::in_task() {
                token.enter(|| try_one(what, name, make, is_cancelled));
            }
        };
        thread::spawn(move || each(cancelled)).join().unwrap();
        each_runtime_of(&[2], |runtime| runtime.run(|| each(cancelled)));
    });
}

#[test]
fn each_call_is_to_a_deadline_what_its_row_says() {
    limit(120, || {
        let expired = |what, only_in_tasks: bool, name, make| {
            if !only_in_tasks || ec_pool::wait::in_task() {
                timeout(Duration::ZERO, || try_one(what, name, make, is_deadline));
            }
        };
        thread::spawn(move || each(expired)).join().unwrap();
        each_runtime_of(&[2], |runtime| runtime.run(|| each(expired)));
    });
}
