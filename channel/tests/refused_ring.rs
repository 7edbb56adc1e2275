//! The kernel refuses a ring, or a part of one: the channel takes the next driver for all its ports, says why, and leaves nothing behind.
//! Each case runs in a process of its own.

mod common;

use ec_channel::{DRIVER_VARIABLE, Driver, EXCLUDE_VARIABLE, EventChannel, EventKind, Request};
use ec_test_support::{descriptors_of, limit, refuse, refuse_with, skipped, this_test_again, went_well};
use std::io;
use std::time::Duration;

const SETUP: libc::c_long = libc::SYS_io_uring_setup;
const REGISTER: libc::c_long = libc::SYS_io_uring_register;
const REGISTER_PROBE: u32 = 8;
/// The offset at which a ring's submissions are mapped.
const SUBMISSIONS: u32 = 0x1000_0000;
const PORTS: usize = 3;

const LOCKED: &str = "locked memory is short (RLIMIT_MEMLOCK is ";

/// The descriptors of this process, and the mappings of rings.
fn held() -> (usize, usize) {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let of_rings = maps.lines().filter(|line| line.contains("io_uring")).count();
    (std::fs::read_dir("/proc/self/fd").unwrap().count(), of_rings)
}

fn builder() -> ec_channel::ChannelBuilder {
    EventChannel::builder().ports(PORTS)
}

/// In a child: `refuse` has the kernel refuse something (or says why that cannot be). Then io_uring is not taken, for this reason, and
/// `afterwards` may put things right again.
fn refused(
    test: &str,
    words: &str,
    kinds: &[io::ErrorKind],
    refuse: impl FnOnce() -> Result<(), String>,
    afterwards: impl FnOnce(),
) {
    if let Some(mut child) = this_test_again(test) {
        child.env_remove(DRIVER_VARIABLE).env_remove(EXCLUDE_VARIABLE);
        return went_well(Some(limit(60, move || child.output().unwrap())));
    }
    limit(30, || {
        ec_unkind::no_other_runtime();
        // (What is made once, and stays, is there before anything is counted.)
        if let Err(error) = builder().driver(Driver::IoUring).build() {
            return skipped(&format!("io_uring: {error}"));
        }
        drop(builder().driver(Driver::Epoll).build().unwrap());
        let before = held();
        if let Err(why) = refuse() {
            return skipped(&why);
        }
        let named = builder().driver(Driver::IoUring).build().map(drop);
        let chosen = builder().build();
        let with_chosen = held();
        afterwards();
        let chosen = chosen.unwrap();
        let error = named.unwrap_err();
        let driver = chosen.driver();
        assert_eq!(driver.kind(), Driver::Epoll);
        assert!(driver.reason().starts_with(&format!("io_uring: {words}")), "{driver}");
        let insisted =
            format!("the io_uring driver was asked for (chosen by the program) but fails: {words}");
        assert!(kinds.contains(&error.kind()) && error.to_string().starts_with(&insisted), "{error:?}");
        assert_eq!((chosen.ports(), with_chosen.1), (PORTS, 0));
        chosen.post(Request::timer(Duration::from_millis(1))).unwrap();
        assert_eq!(chosen.get_event().unwrap().kind(), EventKind::Timer);
        drop(chosen);
        assert_eq!(held(), before, "descriptors, and mappings of rings");
    });
}

fn by_filter(test: &str, words: &str, errno: i32, filter: impl FnOnce(i32) -> bool) {
    let filter =
        || filter(errno).then_some(()).ok_or("this machine does not allow seccomp filters".to_owned());
    let kind =
        if errno == 0 { io::ErrorKind::Unsupported } else { io::Error::from_raw_os_error(errno).kind() };
    refused(test, words, &[kind], filter, || ());
}

#[test]
fn where_memory_is_short() {
    by_filter("where_memory_is_short", LOCKED, libc::ENOMEM, |errno| refuse(&[SETUP], errno));
}

#[test]
fn where_it_is_disabled() {
    let words = "disabled by kernel.io_uring_disabled or a filter of system calls";
    by_filter("where_it_is_disabled", words, libc::EPERM, |errno| refuse(&[SETUP], errno));
}

#[test]
fn where_the_kernel_has_none() {
    let words = "the kernel has no io_uring, or a filter of system calls hides it";
    by_filter("where_the_kernel_has_none", words, libc::ENOSYS, |errno| refuse(&[SETUP], errno));
}

#[test]
fn where_a_ring_can_be_made_and_not_be_used() {
    let words = "a filter of system calls refuses io_uring_enter";
    by_filter("where_a_ring_can_be_made_and_not_be_used", words, libc::EACCES, |errno| {
        refuse(&[libc::SYS_io_uring_enter], errno)
    });
}

#[test]
fn where_nobody_tells_what_it_can_do() {
    let words = "the kernel, or a filter, does not tell what io_uring can do";
    by_filter("where_nobody_tells_what_it_can_do", words, libc::EPERM, |errno| refuse(&[REGISTER], errno));
}

/// The probe says that it was made, and has found nothing.
#[test]
fn where_an_operation_is_missing() {
    by_filter("where_an_operation_is_missing", "the kernel lacks IORING_OP_NOP", 0, |errno| {
        refuse_with(REGISTER, 1, REGISTER_PROBE, errno)
    });
}

#[test]
fn where_a_ring_cannot_be_mapped() {
    by_filter("where_a_ring_cannot_be_mapped", LOCKED, libc::EAGAIN, |errno| {
        refuse_with(libc::SYS_mmap, 5, SUBMISSIONS, errno)
    });
}

/// The number that the second of several rings has, made now.
fn second_ring() -> u32 {
    let _channel = builder().driver(Driver::IoUring).build().unwrap();
    *descriptors_of(&["[io_uring]"]).iter().nth(1).unwrap() as u32
}

#[test]
fn where_the_second_port_s_ring_cannot_be_mapped() {
    by_filter("where_the_second_port_s_ring_cannot_be_mapped", LOCKED, libc::ENOMEM, |errno| {
        refuse_with(libc::SYS_mmap, 4, second_ring(), errno)
    });
}

#[test]
fn where_the_second_port_s_ring_does_not_tell_what_it_can_do() {
    let words = "the kernel, or a filter, does not tell what io_uring can do";
    by_filter("where_the_second_port_s_ring_does_not_tell_what_it_can_do", words, libc::EPERM, |errno| {
        refuse_with(REGISTER, 0, second_ring(), errno)
    });
}

/// A thread that has just begun registers thread-locals, for which it may need memory; without, glibc ends the process.
fn until_all_others_sleep() {
    let mine = std::fs::read_link("/proc/thread-self").unwrap();
    let sleeps = |task: &std::path::Path| {
        let stat = std::fs::read_to_string(task.join("stat")).unwrap_or_default();
        // (What ends just now has no line any more.)
        stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('S'))
    };
    let all_sleep = || {
        let tasks = std::fs::read_dir("/proc/self/task").unwrap().map(|task| task.unwrap().path());
        tasks.filter(|task| task.file_name() != mine.file_name()).all(|task| sleeps(&task))
    };
    while !all_sleep() {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}

/// A kernel charges rings to the limit (it says ENOMEM), or mappings where all memory is to be locked (EAGAIN).
#[test]
fn where_locked_memory_is_really_short() {
    let little = || {
        until_all_others_sleep();
        let limit = libc::rlimit { rlim_cur: 16 << 10, rlim_max: 16 << 10 };
        // SAFETY: no pointer but to a live limit. (Root may lock as much as it likes: it becomes somebody else.)
        let short = unsafe {
            libc::setrlimit(libc::RLIMIT_MEMLOCK, &limit) == 0
                && (libc::geteuid() != 0 || libc::setuid(65534) == 0)
                && libc::prctl(libc::PR_SET_DUMPABLE, 1, 0, 0, 0) == 0 // (it is to read its own /proc all the same)
                && libc::mlockall(libc::MCL_FUTURE) == 0
        };
        short.then_some(()).ok_or_else(|| format!("memory cannot be locked: {}", io::Error::last_os_error()))
    };
    // SAFETY: no pointer is passed.
    let free = || assert_eq!(unsafe { libc::munlockall() }, 0);
    let kinds = [io::ErrorKind::OutOfMemory, io::ErrorKind::WouldBlock];
    refused("where_locked_memory_is_really_short", LOCKED, &kinds, little, free);
}
