//! How each driver carries out each kind: by the ring, by readiness and a call, or not at all, since the channel does it itself. It is
//! found out by the system calls of the one thread that posts and gets.
//!
//! The table is committed, `channel/native-where.md`, and compared with what is found here. [`WRITE`] writes it anew.

use crate::row::{Cell, Outcome, Row, Scene};
use crate::table::{all_drivers, channel_on};
use crate::{ROWS, named, timer, wall_clock};
use ec_channel::{Driver, EventChannel, EventKind};
use ec_test_support::{limit, skipped, system_calls};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const COMMITTED: &str = include_str!("../../native-where.md");
const WRITE: &str = "EC_WRITE_NATIVE_WHERE";
/// The columns.
const DRIVERS: [Driver; 4] = [Driver::IoUring, Driver::Epoll, Driver::Poll, Driver::Direct];
/// Where the table begins in the page.
const HEAD: &str = "| kind | when |";

/// The names of the calls, each once. What another machine calls by another name has the same one here.
type Calls = BTreeSet<String>;

/// In these a thread waits for events.
const SLEEPS: [&str; 4] = ["io_uring_enter", "epoll_pwait2", "epoll_wait", "poll"];

/// These look at a descriptor, or at the process, before the ring has the request.
const LOOKS: [&str; 6] = ["epoll_ctl", "fcntl", "fstat", "preadv", "pwritev", "rt_sigaction"];

fn name(number: libc::c_long) -> String {
    let known = [
        (libc::SYS_accept4, "accept4"),
        (libc::SYS_connect, "connect"),
        (libc::SYS_recvfrom, "recvfrom"),
        (libc::SYS_recvmsg, "recvmsg"),
        (libc::SYS_sendto, "sendto"),
        (libc::SYS_sendmsg, "sendmsg"),
        (libc::SYS_shutdown, "shutdown"),
        (libc::SYS_epoll_ctl, "epoll_ctl"),
        (libc::SYS_epoll_pwait2, "epoll_pwait2"),
        (libc::SYS_epoll_pwait, "epoll_wait"),
        #[cfg(target_arch = "x86_64")]
        (libc::SYS_epoll_wait, "epoll_wait"),
        (libc::SYS_ppoll, "poll"),
        #[cfg(target_arch = "x86_64")]
        (libc::SYS_poll, "poll"),
        (libc::SYS_io_uring_enter, "io_uring_enter"),
        (libc::SYS_getsockopt, "getsockopt"),
        (libc::SYS_fcntl, "fcntl"),
        (libc::SYS_ioctl, "ioctl"),
        (libc::SYS_fstat, "fstat"),
        (libc::SYS_newfstatat, "fstat"),
        (libc::SYS_statx, "fstat"),
        (libc::SYS_timer_create, "timer_create"),
        (libc::SYS_timer_settime, "timer_settime"),
        (libc::SYS_timer_delete, "timer_delete"),
        (libc::SYS_rt_sigprocmask, "rt_sigprocmask"),
        (libc::SYS_rt_sigaction, "rt_sigaction"),
        (libc::SYS_gettid, "gettid"),
        (libc::SYS_timerfd_create, "timerfd_create"),
        (libc::SYS_timerfd_settime, "timerfd_settime"),
        (libc::SYS_read, "read"),
        (libc::SYS_pidfd_open, "pidfd_open"),
        (libc::SYS_waitid, "waitid"),
        (libc::SYS_wait4, "wait4"),
        (libc::SYS_pread64, "pread64"),
        (libc::SYS_preadv2, "preadv2"),
        (libc::SYS_preadv, "preadv"),
        (libc::SYS_pwrite64, "pwrite64"),
        (libc::SYS_pwritev, "pwritev"),
        (libc::SYS_pwritev2, "pwritev2"),
        (libc::SYS_fsync, "fsync"),
        (libc::SYS_fdatasync, "fdatasync"),
        (libc::SYS_fallocate, "fallocate"),
        (libc::SYS_ftruncate, "ftruncate"),
        (libc::SYS_fadvise64, "fadvise64"),
        (libc::SYS_close, "close"),
        #[cfg(target_arch = "x86_64")]
        (libc::SYS_rename, "rename"),
        (libc::SYS_renameat, "rename"),
        #[cfg(target_arch = "x86_64")]
        (libc::SYS_link, "link"),
        (libc::SYS_linkat, "link"),
        #[cfg(target_arch = "x86_64")]
        (libc::SYS_symlink, "symlink"),
        (libc::SYS_symlinkat, "symlink"),
        #[cfg(target_arch = "x86_64")]
        (libc::SYS_unlink, "unlink"),
        (libc::SYS_unlinkat, "unlink"),
        #[cfg(target_arch = "x86_64")]
        (libc::SYS_mkdir, "mkdir"),
        (libc::SYS_mkdirat, "mkdir"),
        #[cfg(target_arch = "x86_64")]
        (libc::SYS_readlink, "readlink"),
        (libc::SYS_readlinkat, "readlink"),
        (libc::SYS_renameat2, "rename"),
        (libc::SYS_openat, "openat"),
        (libc::SYS_shutdown, "shutdown"),
        (libc::SYS_splice, "splice"),
        (libc::SYS_tee, "tee"),
        (libc::SYS_getxattr, "getxattr"),
        (libc::SYS_listxattr, "listxattr"),
        (libc::SYS_setxattr, "setxattr"),
        (libc::SYS_removexattr, "removexattr"),
    ];
    known
        .into_iter()
        .find(|(it, _)| *it == number)
        .map_or_else(|| format!("call {number}"), |(_, name)| name.to_owned())
}

/// Has the scene's request carried out. If it is to wait, its cause comes once this thread sleeps, which `sleeps` says. Post and get are
/// in `f`. True: it has slept.
fn play(
    channel: &EventChannel,
    scene: Scene,
    waits: bool,
    sleeps: impl Fn() -> bool + Sync,
    f: impl FnOnce(&mut dyn FnMut()),
) -> bool {
    // (With the check goes what it keeps open.)
    let Scene { request, cause, begun: has_begun, check: _open, .. } = scene;
    let (begun, over) = (AtomicBool::new(false), AtomicBool::new(false));
    // (The call in which a ring's thread sleeps is the one in which the kernel begins what it is asked for.)
    let asleep = || begun.load(Ordering::SeqCst) && channel.is_asleep(0) && sleeps() && has_begun();
    std::thread::scope(|s| {
        let helper = if waits {
            Some(s.spawn(|| {
                let mut slept = false;
                while !slept && !over.load(Ordering::SeqCst) {
                    std::thread::yield_now();
                    slept = asleep();
                }
                cause();
                slept
            }))
        } else {
            cause();
            None
        };
        let (mut request, mut got) = (Some(request), None);
        f(&mut || {
            channel.post(request.take().expect("called once")).unwrap();
            begun.store(true, Ordering::SeqCst);
            got = Some(channel.get_event().unwrap());
        });
        over.store(true, Ordering::SeqCst);
        let got = got.expect("called");
        assert!(got.result().is_ok());
        if !got.is_last() {
            channel.cancel(got.id());
            while !channel.get_event().unwrap().is_last() {}
        }
        helper.is_some_and(|helper| helper.join().unwrap())
    })
}

/// What the thread calls that posts such a request and gets its event. The first ones prepare what comes once in a process.
/// True: a helper thread has carried it out.
fn calls(
    driver: Driver,
    make: &(dyn Fn(u32) -> Scene + Sync),
    waits: bool,
) -> std::io::Result<(Calls, bool)> {
    for attempt in 0.. {
        let (slept, helped) = (AtomicBool::new(false), AtomicBool::new(false));
        let numbers = system_calls(|watch| {
            let channel = channel_on(driver);
            for _ in 0..2 {
                play(&channel, make(0), waits, || true, |post_and_get| post_and_get());
            }
            let sleeps = || match watch.last() {
                Some(call) => SLEEPS.contains(&&*name(call)),
                None => !watch.works(),
            };
            let done = play(&channel, make(attempt), waits, sleeps, |post_and_get| watch.note(post_and_get));
            slept.store(done, Ordering::SeqCst);
            helped.store(channel.metrics().helped > 0, Ordering::SeqCst);
        })?;
        // (A timer may be over before that.)
        if slept.into_inner() == waits {
            return Ok((numbers.into_iter().map(name).collect(), helped.into_inner()));
        }
    }
    unreachable!("each time it waits for longer")
}

fn words(row: &Row, waits: bool, (calls, helped): &(Calls, bool)) -> String {
    if *helped {
        return "helper".to_owned();
    }
    let made = || calls.iter().map(String::as_str).filter(|call| !LOOKS.contains(call));
    let list = calls.iter().map(|call| format!("`{call}`")).collect::<Vec<_>>().join(", ");
    match calls.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => "channel".to_owned(),
        _ if !row.on_descriptor => format!("channel; sleeps by {list}"),
        ["io_uring_enter"] => "ring".to_owned(),
        _ if made().eq(["io_uring_enter"]) => format!("ring: {list}"),
        _ if waits => format!("readiness: {list}"),
        _ => format!("call: {list}"),
    }
}

/// The lines that a kind has in the table: what they are called, and whether it waits there.
fn situations(row: &Row, make: fn() -> Scene) -> Vec<(&'static str, bool)> {
    let waits = matches!(row.cancelled, Cell::Can { allowed: [Outcome::Cancelled], .. });
    let lines = [("at once", false, make().early), ("waits", true, waits)];
    lines.into_iter().filter(|line| line.2).map(|(when, waits, _)| (when, waits)).collect()
}

/// The committed words.
fn committed(kind: &str, when: &str, driver: Driver) -> Option<&'static str> {
    let column = 2 + DRIVERS.iter().position(|it| *it == driver)?;
    let cells = |line: &'static str| line.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>();
    let rows = COMMITTED.lines().filter(|line| line.starts_with('|')).map(cells);
    rows.filter(|cells| cells.starts_with(&[kind, when])).find_map(|cells| cells.get(column).copied())
}

/// Before Linux 5.11, or where it is forbidden, epoll_wait stands in.
fn as_older(words: &str) -> String {
    words.replace("epoll_pwait2", "epoll_wait")
}

/// What is cached is had without waiting on some file systems, and on others a helper is asked.
fn is_up_to_the_file_system(kind: EventKind, said: &str, found: &str) -> bool {
    use EventKind as K;
    let reads = [K::ReadAt, K::ReadAtVectored, K::ReadDirect];
    let positioned =
        reads.contains(&kind) || [K::WriteAt, K::WriteAtVectored, K::WriteDirect].contains(&kind);
    let by_helper = |words: &str| words == "helper";
    let either =
        |words: &str| by_helper(words) || ["call: ", "ring"].iter().any(|how| words.starts_with(how));
    positioned && either(said) && either(found)
}

#[test]
fn native_where_it_says_so() {
    limit(60, || {
        let drivers = all_drivers();
        let mut table = format!("{HEAD} {} |\n", DRIVERS.map(Driver::name).join(" | "));
        table += &format!("|{}\n", " --- |".repeat(2 + DRIVERS.len()));
        let mut wrong = Vec::new();
        for row in ROWS {
            let Cell::Can { make, .. } = row.completes else { continue };
            if let Some(why) = named::missing(row.kind) {
                skipped(why);
                continue;
            }
            for (when, waits) in situations(row, make) {
                table += &format!("| {} | {when} |", row.kind);
                let make = |attempt| match row.kind {
                    EventKind::Timer => timer::after(Duration::from_millis(10u64 << attempt)),
                    EventKind::WallClock => wall_clock::after(Duration::from_millis(10u64 << attempt)),
                    _ => make(),
                };
                for driver in DRIVERS.into_iter().filter(|driver| drivers.contains(driver)) {
                    let calls = match calls(driver, &make, waits) {
                        Ok(calls) => calls,
                        Err(error) => {
                            return skipped(&format!("system calls cannot be watched here: {error}"));
                        }
                    };
                    let found = words(row, waits, &calls);
                    table += &format!(" {found} |");
                    let said = committed(row.kind.name(), when, driver).unwrap_or("nothing");
                    if as_older(said) != as_older(&found) && !is_up_to_the_file_system(row.kind, said, &found)
                    {
                        wrong.push(format!("{} ({when}) on {driver}: {found}; committed: {said}", row.kind));
                    }
                }
                table += "\n";
            }
        }
        if std::env::var_os(WRITE).is_some() {
            assert_eq!(drivers.len(), DRIVERS.len(), "the table is written where all drivers work");
            let (words, _) = COMMITTED.split_once(HEAD).expect("the table's head is in the page");
            let page = concat!(env!("CARGO_MANIFEST_DIR"), "/native-where.md");
            std::fs::write(page, format!("{words}{table}")).unwrap();
            return;
        }
        assert!(wrong.is_empty(), "{}\n({WRITE}=1 writes the table anew.)", wrong.join("\n"));
    });
}
