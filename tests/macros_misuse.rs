//! What `event_channel::main` and `event_channel::test` refuse: with words of ours, and at the place that is wrong.
//!
//! The compiler of this machine is asked, with the library that this test itself is linked with (of several the latest).
#![cfg(feature = "macros")]

use ec_test_support::{limit, skipped};
use ec_unkind as _;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

/// A folder for what a program that is right after all would leave. (Not /dev/null: as root, rustc would put a file in its place.)
struct Output(PathBuf);

impl Output {
    fn new() -> Output {
        static MADE: AtomicUsize = AtomicUsize::new(0);
        let name = format!("ec-misuse-{}-{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir(&folder).unwrap();
        Output(folder)
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Where the compiler finds the errors (`line:column: words`), or why it cannot be asked.
fn errors_of(program: &str, is_test: bool) -> Result<Vec<String>, String> {
    let here = std::env::current_exe().unwrap();
    let beside = here.parent().unwrap();
    let library = libraries(beside.read_dir().map_err(|error| error.to_string())?)?;
    let mut compiler = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    let output = Output::new();
    compiler
        .args(["-", "--edition=2024", "--error-format=short", "--emit=metadata", "--out-dir"])
        .arg(&output.0);
    compiler.args(["--crate-name", "misuse", if is_test { "--test" } else { "--crate-type=bin" }]);
    compiler.arg("-L").arg(beside).arg("--extern").arg(format!("event_channel={}", library.display()));
    compiler.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut compiler = compiler.spawn().map_err(|error| format!("there is no compiler: {error}"))?;
    compiler.stdin.take().unwrap().write_all(program.as_bytes()).unwrap();
    let ended = compiler.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    let errors: Vec<_> = said
        .lines()
        .filter_map(|line| line.strip_prefix("<anon>:"))
        .filter_map(|line| line.split_once(": error"))
        .map(|(place, words)| format!("{place}{words}"))
        .collect();
    assert_eq!(ended.status.success(), errors.is_empty(), "{program}: {said}");
    Ok(errors)
}

fn libraries(files: std::fs::ReadDir) -> Result<PathBuf, String> {
    let ours = files.flatten().map(|file| file.path()).filter(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("libevent_channel-") && name.ends_with(".rlib")
    });
    let age =
        |path: &PathBuf| path.metadata().and_then(|file| file.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
    ours.max_by_key(age).ok_or_else(|| "the library lies elsewhere".to_owned())
}

/// Each program, and its only error. Of the compiler's own words, which change, only the code is told.
fn check(is_test: bool, cases: &[(&str, &str)]) {
    limit(120, || {
        let mut wrong = Vec::new();
        for (program, expected) in cases {
            let errors = match errors_of(program, is_test) {
                Ok(errors) => errors,
                Err(why) => return skipped(&why),
            };
            let as_expected = |error: &String| {
                error == expected || (expected.ends_with(']') && error.starts_with(expected))
            };
            if errors.len() != 1 || !errors.iter().all(as_expected) {
                wrong.push(format!("{program}\n    gives    {errors:?}\n    and not  {expected:?}"));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    });
}

#[test]
fn what_is_right_is_taken() {
    let right = [
        (false, "#[event_channel::main] fn main() {}"),
        (false, "#[event_channel::main(cores = 1)] fn main() -> std::io::Result<()> { Ok(()) }"),
        (true, "#[event_channel::test] fn works() {}"),
        (
            true,
            "#[event_channel::test(driver = \"epoll\",)] #[should_panic(expected = \"so\")] fn works() { panic!(\"so\") }",
        ),
    ];
    limit(60, || {
        for (is_test, program) in right {
            match errors_of(&format!("#![deny(warnings)]\n{program}"), is_test) {
                Ok(errors) => assert_eq!(errors, [""; 0], "{program}"),
                Err(why) => return skipped(&why),
            }
        }
    });
}

#[test]
fn main_says_what_is_wrong_with_the_function() {
    check(
        false,
        &[
            (
                "#[event_channel::main]\nasync fn main() {}",
                "2:1: it runs as a task, and is no future: leave `async` and the `.await`s out, and what would wait suspends the task",
            ),
            ("#[event_channel::main]\nunsafe fn main() {}", "2:1: it has to be a plain `fn`"),
            ("#[event_channel::main]\npub extern \"C\" fn main() {}", "2:5: it has to be a plain `fn`"),
            (
                "#[event_channel::main]\nfn main(arguments: Vec<String>) {}",
                "2:9: with `#[event_channel::main]` a function takes no arguments",
            ),
            (
                "#[event_channel::main]\nfn main<T>() {}",
                "2:8: with `#[event_channel::main]` a function has no type parameters",
            ),
            (
                "#[event_channel::main]\nfn main() where u8: Copy {}",
                "2:11: with `#[event_channel::main]` a function has no `where`",
            ),
            ("#[event_channel::main]\nfn main();", "2:10: a function with a body is expected"),
            (
                "#[event_channel::main]\nfn other() {}\nfn main() {}",
                "2:4: `#[event_channel::main]` is for the function `main`: another one can call `event_channel::run`",
            ),
            (
                "#[event_channel::main]\npub struct Main;\nfn main() {}",
                "2:1: `#[event_channel::main]` is for a function",
            ),
        ],
    );
}

#[test]
fn main_says_what_is_wrong_with_an_option() {
    check(
        false,
        &[
            (
                "#[event_channel::main(flavor = \"current_thread\")]\nfn main() {}",
                "1:23: there is no option `flavor`: there are `cores`, `max_threads`, `stack_size`, `keep_alive`, `driver` and `crate`",
            ),
            ("#[event_channel::main(cores = 1, cores = 2)]\nfn main() {}", "1:34: `cores` is given twice"),
            ("#[event_channel::main(cores)]\nfn main() {}", "1:23: a value is expected: `cores = ..`"),
            ("#[event_channel::main(cores = )]\nfn main() {}", "1:23: a value is expected: `cores = ..`"),
            ("#[event_channel::main(cores(2))]\nfn main() {}", "1:23: a value is expected: `cores = ..`"),
            ("#[event_channel::main(2)]\nfn main() {}", "1:23: an option is expected, as in `cores = 2`"),
            (
                "#[event_channel::main(driver = \"kqueue\")]\nfn main() {}",
                "1:32: no such driver: there are \"io_uring\", \"epoll\", \"poll\"",
            ),
            (
                "#[event_channel::main(driver = epoll)]\nfn main() {}",
                "1:32: no such driver: there are \"io_uring\", \"epoll\", \"poll\"",
            ),
            (
                "#[event_channel::main(crate = \"other\")]\nfn main() {}",
                "1:31: a path, not a string: `crate = other_name`",
            ),
            // The compiler's own words, at the user's own code.
            ("#[event_channel::main(cores = \"2\")]\nfn main() {}", "1:31[E0308]"),
            ("#[event_channel::main]\nfn main() { let () = 5; }", "2:17[E0308]"),
            ("#[event_channel::main]\nfn main() -> u8 { 5 }", "2:14[E0277]"),
        ],
    );
}

#[test]
fn test_says_what_is_wrong() {
    check(
        true,
        &[
            (
                "#[event_channel::test]\npub async fn waits() {}",
                "2:5: it runs as a task, and is no future: leave `async` and the `.await`s out, and what would wait suspends the task",
            ),
            (
                "#[event_channel::test]\nfn takes(x: u8) {}",
                "2:10: with `#[event_channel::test]` a function takes no arguments",
            ),
            (
                "#[event_channel::test]\n#[test]\nfn twice() {}",
                "2:2: `#[event_channel::test]` makes it a test: it needs no other such attribute",
            ),
            (
                "#[event_channel::test]\n#[event_channel::test(cores = 1)]\nfn twice() {}",
                "2:2: `#[event_channel::test]` makes it a test: it needs no other such attribute",
            ),
            (
                "#[event_channel::test]\n#[should_panic]\nfn both() -> Result<(), String> { Ok(()) }",
                "2:2: a function that is to panic returns nothing",
            ),
            (
                "#[event_channel::test(core = 1)]\nfn misspelt() {}",
                "1:23: there is no option `core`: there are `cores`, `max_threads`, `stack_size`, `keep_alive`, `driver` and `crate`",
            ),
            ("#[event_channel::test]\nstruct Test;", "2:1: `#[event_channel::test]` is for a function"),
        ],
    );
}
