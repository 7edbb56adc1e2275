//! What the project's tests share.

mod calls;
mod futures;

pub use calls::{Watch, answer_calls, each_system_call, system_calls};
pub use futures::block_on;

use std::collections::BTreeSet;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::Duration;

/// Says why the test that runs here does not test anything on this machine. Past the test harness, which keeps
/// the words of a test that passes.
pub fn skipped(why: &str) {
    let name = std::thread::current().name().unwrap_or("main").to_owned();
    let words = format!("\ntest {name} is skipped: {why}\n");
    // SAFETY: the pointer and length are those of a live string.
    unsafe { libc::write(2, words.as_ptr().cast(), words.len()) };
}

/// For models of protocols, which say the same on every machine and take long: is this a run of the tests in which they are left out
/// (`EC_WITHOUT_MODELS`), because another one has them?
pub fn without_models() -> bool {
    let without = std::env::var_os("EC_WITHOUT_MODELS").is_some();
    if without {
        skipped("a model says the same on every machine, and another run has it (EC_WITHOUT_MODELS)");
    }
    without
}

/// For shares that are measured over seconds: is this one of the runs in which they are left out (as models are, `EC_WITHOUT_MODELS`),
/// because another one has them?
pub fn without_shares() -> bool {
    let without = std::env::var_os("EC_WITHOUT_MODELS").is_some();
    if without {
        skipped("shares are measured in another run (EC_WITHOUT_MODELS)");
    }
    without
}

/// The driver poll is epoll with another selector: is this a run of the tests in which it is left out (`EC_WITHOUT_POLL`), because another
/// one has it?
pub fn without_poll() -> bool {
    let without = std::env::var_os("EC_WITHOUT_POLL").is_some();
    if without {
        skipped("the driver poll is left out, and another run has it (EC_WITHOUT_POLL)");
    }
    without
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

/// As [`limit`], one test of the program at a time: for those that fork, count descriptors, or watch what the process spends.
pub fn alone(seconds: u64, test: impl FnOnce()) {
    static ALONE: Mutex<()> = Mutex::new(());
    // (One that has failed keeps nobody from his turn.)
    let _turn = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    limit(seconds, test);
}

/// The CPU time of the whole process (`CLOCK_PROCESS_CPUTIME_ID`) or of this thread (`CLOCK_THREAD_CPUTIME_ID`).
pub fn cpu_time(clock: libc::clockid_t) -> Duration {
    let mut t = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: room for a time.
    assert_eq!(unsafe { libc::clock_gettime(clock, &mut t) }, 0);
    Duration::new(t.tv_sec as u64, t.tv_nsec as u32)
}

/// So many descriptors may the process have from now on: sets the soft limit, and gives what it was.
pub fn limit_descriptors(count: u64) -> u64 {
    let mut limits = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: room for the limits, which are live.
    unsafe {
        assert_eq!(libc::getrlimit(libc::RLIMIT_NOFILE, &mut limits), 0);
        let before = std::mem::replace(&mut limits.rlim_cur, count as libc::rlim_t);
        assert_eq!(libc::setrlimit(libc::RLIMIT_NOFILE, &limits), 0);
        before
    }
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

/// Runs `case` in a process of its own, for the test `name`, and gives how that ended. `None`: this is that process, and `case` has run.
pub fn in_child(name: &str, case: impl FnOnce()) -> Option<Output> {
    match this_test_again(name) {
        Some(mut child) => limit(90, || Some(child.stdin(Stdio::null()).output().unwrap())),
        None => {
            limit(60, case);
            None
        }
    }
}

/// Such a process has ended as it should. What it has skipped is told here.
pub fn went_well(output: Option<Output>) {
    let Some(output) = output else { return };
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}", output.status);
    said.lines().filter_map(|line| line.split_once(" is skipped: ")).for_each(|(_, why)| skipped(why));
}

/// Such a process has aborted itself with these words, if it could do what the case is about.
pub fn ended_itself(output: Option<Output>, words: &str) {
    let Some(output) = output else { return };
    let said = String::from_utf8_lossy(&output.stderr);
    if said.contains(" is skipped: ") {
        return went_well(Some(output));
    }
    let aborted = output.status.signal() == Some(libc::SIGABRT);
    assert!(aborted && said.contains(words), "{}: {said}", output.status);
}

/// The descriptors of this process whose files have one of these in their names (`[io_uring]`, say).
pub fn descriptors_of(names: &[&str]) -> BTreeSet<i32> {
    let entries = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
    let wanted = entries.filter(|entry| {
        let what = std::fs::read_link(entry.path()).unwrap_or_default();
        names.iter().any(|name| what.to_string_lossy().contains(name))
    });
    wanted.map(|entry| entry.file_name().to_string_lossy().parse().unwrap()).collect()
}

/// The pools' threads (not the test harness's, which come and go) and the open descriptors of this process.
pub fn threads_and_files() -> (usize, usize) {
    let entries = |what: &str| std::fs::read_dir(format!("/proc/self/{what}")).unwrap().flatten();
    let of_a_pool = |thread: &std::fs::DirEntry| {
        std::fs::read_to_string(thread.path().join("comm")).is_ok_and(|name| name.starts_with("ec-"))
    };
    (entries("task").filter(of_a_pool).count(), entries("fd").count())
}

/// From now on these system calls fail with `errno` in all threads of this process, for good. False: this machine does not
/// allow that.
pub fn refuse(calls: &[libc::c_long], errno: i32) -> bool {
    // The number of the call; is it one of those?
    let mut steps = vec![load(0)];
    for call in calls {
        steps.extend([go_on_if(*call as u32), fail(errno)]);
    }
    install(steps)
}

/// As [`refuse`], for one call, and only if its second argument is this.
pub fn refuse_with_second(call: libc::c_long, argument: u32, errno: i32) -> bool {
    refuse_with(call, 1, argument, errno)
}

/// As [`refuse`], for one call, and only if its argument of this place (0 to 5; its lower half) is this. (Errno 0: nothing is done, and the
/// call says that it was.)
pub fn refuse_with(call: libc::c_long, place: usize, argument: u32, errno: i32) -> bool {
    let low = if cfg!(target_endian = "big") { 4 } else { 0 };
    let at = std::mem::offset_of!(libc::seccomp_data, args) + 8 * place + low;
    // (Whatever the call: past the end of the list there is what allows it.)
    let mut steps = vec![load(0), go_on_if(call as u32)];
    steps[1].jf = 3;
    steps.extend([load(at as u32), go_on_if(argument), fail(errno)]);
    install(steps)
}

fn load(at: u32) -> libc::sock_filter {
    step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, at)
}

/// Else one step is left out.
fn go_on_if(value: u32) -> libc::sock_filter {
    step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 1, value)
}

fn fail(errno: i32) -> libc::sock_filter {
    end(libc::SECCOMP_RET_ERRNO | errno as u32)
}

/// What becomes of the call.
fn end(action: u32) -> libc::sock_filter {
    step(libc::BPF_RET | libc::BPF_K, 0, action)
}

fn step(code: u32, jf: u8, k: u32) -> libc::sock_filter {
    libc::sock_filter { code: code as u16, jt: 0, jf, k }
}

fn install(steps: Vec<libc::sock_filter>) -> bool {
    install_with(steps, libc::SECCOMP_RET_ALLOW, libc::SECCOMP_FILTER_FLAG_TSYNC).is_ok()
}

/// At the end of the steps there is `last`. Gives what seccomp(2) does.
fn install_with(mut steps: Vec<libc::sock_filter>, last: u32, flags: libc::c_ulong) -> io::Result<i32> {
    steps.push(end(last));
    let program = libc::sock_fprog { len: steps.len() as u16, filter: steps.as_mut_ptr() };
    // SAFETY: the filter lives as long as the call.
    let result = unsafe {
        match libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) {
            0 => libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program),
            failed => failed.into(),
        }
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result as i32) }
}
