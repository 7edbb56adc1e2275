//! What the project's tests share.

use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

/// Says why the test that runs here does not test anything on this machine. Past the test harness, which keeps
/// the words of a test that passes.
pub fn skipped(why: &str) {
    let name = std::thread::current().name().unwrap_or("main").to_owned();
    let words = format!("\ntest {name} is skipped: {why}\n");
    // SAFETY: the pointer and length are those of a live string.
    unsafe { libc::write(2, words.as_ptr().cast(), words.len()) };
}

/// Runs `f` and ends the whole test program with a message that names the test if it has
/// not finished within `seconds`. The limit is there to catch a hang, never to measure.
///
/// The environment variable `EC_TEST_SLOWDOWN` multiplies every limit (for valgrind and the like).
///
/// ```
/// assert_eq!(ec_test_support::limit(10, || 6 * 7), 42);
/// ```
pub fn limit<T>(seconds: u64, f: impl FnOnce() -> T) -> T {
    let name = std::thread::current().name().unwrap_or("main").to_owned();
    let factor = std::env::var("EC_TEST_SLOWDOWN").ok().and_then(|s| s.parse().ok()).unwrap_or(1);
    let (done, gone) = mpsc::channel::<()>();
    let watch = std::thread::spawn(move || {
        let span = Duration::from_secs(seconds * factor);
        if gone.recv_timeout(span) == Err(mpsc::RecvTimeoutError::Timeout) {
            // Past the test harness, which would keep the words of a process that dies.
            let words = format!("\ntest {name} did not finish within {span:?}: it hangs\n");
            // SAFETY: the pointer and length are those of a live string.
            unsafe { libc::write(2, words.as_ptr().cast(), words.len()) };
            std::process::abort();
        }
    });
    let result = f();
    drop(done);
    let _ = watch.join();
    result
}

/// The test program again, with the test `name` alone: for one that needs a process of its own. `None` in that process.
pub fn this_test_again(name: &str) -> Option<Command> {
    const NAME: &str = "EC_TEST_CASE";
    if std::env::var(NAME).as_deref() == Ok(name) {
        return None;
    }
    let mut again = Command::new(std::env::current_exe().unwrap());
    again.args([name, "--exact", "--nocapture", "--test-threads=1"]).env(NAME, name);
    Some(again)
}

/// The pools' threads (not the test harness's, which come and go) and the open descriptors of this process.
pub fn threads_and_files() -> (usize, usize) {
    let entries = |what: &str| std::fs::read_dir(format!("/proc/self/{what}")).unwrap().flatten();
    let of_a_pool = |thread: &std::fs::DirEntry| {
        std::fs::read_to_string(thread.path().join("comm")).is_ok_and(|name| name.starts_with("ec-"))
    };
    (entries("task").filter(of_a_pool).count(), entries("fd").count())
}
