//! examples/pool_size as its users meet it, in a few seconds instead of twelve.
//!
//! `cargo test` builds the example; the test finds it beside itself.

use std::path::PathBuf;
use std::process::{Command, Output};

use ec_test_support::limit;
use ec_unkind as _;

/// The example, in target/<profile>/examples; this test is in target/<profile>/deps.
fn pool_size(arguments: &[&str]) -> Output {
    let test = std::env::current_exe().unwrap();
    let example = test.parent().and_then(|deps| deps.parent()).unwrap().join("examples/pool_size");
    assert!(example.exists(), "there is no {}: cargo build --example pool_size makes it", example.display());
    Command::new(example).args(arguments).output().unwrap()
}

/// A file of this process's own, gone with the value.
struct Picture(PathBuf);

impl Picture {
    fn new() -> Picture {
        Picture(std::env::temp_dir().join(format!("pool_size-{}.svg", std::process::id())))
    }
}

impl Drop for Picture {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// The number that the summary has beside `what`.
fn number(summary: &str, what: &str) -> usize {
    let line = summary.lines().find(|line| line.starts_with(what));
    let rest = line.and_then(|line| line.strip_prefix(what)).unwrap_or_else(|| panic!("{what}: {summary}"));
    rest.trim().parse().unwrap()
}

#[test]
fn the_threads_come_and_leave_and_the_picture_shows_it() {
    limit(60, || {
        let picture = Picture::new();
        let end = pool_size(&["--seconds", "3", "--out", picture.0.to_str().unwrap()]);
        assert_eq!(end.status.code(), Some(0), "{end:?}");

        let summary = String::from_utf8(end.stdout).unwrap();
        let cores = number(&summary, "cores");
        assert_eq!(number(&summary, "threads at the end"), cores, "{summary}");
        assert_eq!(number(&summary, "grown"), number(&summary, "shrunk"), "{summary}");
        if event_channel::task::migrates() {
            assert!(number(&summary, "peak threads") > cores + 100, "{summary}");
        }

        let svg = std::fs::read_to_string(&picture.0).unwrap();
        assert!(svg.starts_with("<svg ") && svg.trim_end().ends_with("</svg>"), "{svg}");
        let opened = svg.matches("<text").count();
        assert!(opened > 10 && svg.matches("</text>").count() == opened, "{svg}");
        for name in ["worker threads", "strays: ", "spares: ", "cores: ", "seconds", "tasks", "burst"] {
            assert!(svg.contains(name), "{name}: {svg}");
        }
    });
}

#[test]
fn wrong_arguments_are_told_and_end_with_code_2() {
    limit(60, || {
        for arguments in [&["--out"][..], &["--seconds", "1"], &["--seconds", "soon"], &["--size"], &["x"]] {
            let end = pool_size(arguments);
            let error = String::from_utf8(end.stderr).unwrap();
            assert_eq!(end.status.code(), Some(2), "{arguments:?}: {error}");
            assert!(error.starts_with("pool_size: ") && error.contains("--help"), "{arguments:?}: {error}");
        }
        let help = pool_size(&["--help"]);
        assert!(help.status.success() && String::from_utf8(help.stdout).unwrap().contains("--out FILE"));
    });
}

#[test]
fn a_place_that_cannot_be_written_is_told_at_once() {
    limit(60, || {
        let end = pool_size(&["--out", "/nowhere/at all.svg"]);
        let error = String::from_utf8(end.stderr).unwrap();
        assert_eq!(end.status.code(), Some(1), "{error}");
        assert!(error.contains("/nowhere/at all.svg"), "{error}");
    });
}
