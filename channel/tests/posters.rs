//! Threads that post and then do nothing for the channel any more: what they have posted is carried out by whoever gets.

mod common;

use common::{each_driver, pair, room};
use ec_channel::Request;
use ec_test_support::{alone, limit};
use ec_unkind as _;
use std::ffi::CString;
use std::io::Write;
use std::mem::MaybeUninit;
use std::time::Duration;

/// As vfork(2) has it until the child calls exec: no signal, and no work of the kernel's, reaches the thread.
#[test]
fn a_poster_in_uninterruptible_sleep_holds_up_nobody() {
    alone(60, || {
        let name = format!("ec-posters-{}", std::process::id());
        let fifo =
            CString::new(std::env::temp_dir().join(name).into_os_string().into_encoded_bytes()).unwrap();
        // SAFETY: a live name.
        assert_eq!(unsafe { libc::mkfifo(fifo.as_ptr(), 0o600) }, 0);
        each_driver(|channel| {
            let (near, mut far) = pair();
            std::thread::scope(|s| {
                let (channel, fifo, near) = (&channel, &fifo, near.clone());
                let poster = s.spawn(move || {
                    channel.post(Request::recv(near.clone(), room(8)).token(1)).unwrap();
                    channel.post(Request::work(|| ()).token(2)).unwrap();
                    channel.post(Request::timer(Duration::from_millis(1)).token(3)).unwrap();
                    spawn_that_waits_for(fifo)
                });
                let state = format!("/proc/self/task/{}/stat", poster_id());
                while !std::fs::read_to_string(&state).unwrap().contains(") D ") {
                    std::thread::yield_now();
                }
                far.write_all(b"received").unwrap();
                let mut tokens: Vec<_> = (0..3).map(|_| channel.get_event().unwrap().token()).collect();
                tokens.sort();
                assert_eq!(tokens, [1, 2, 3]);
                assert!(!poster.is_finished());
                // The child goes on.
                std::fs::File::options().write(true).open(fifo.to_str().unwrap()).unwrap();
                let child = poster.join().unwrap();
                // SAFETY: no status is wanted.
                unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
            });
        });
        // SAFETY: a live name.
        unsafe { libc::unlink(fifo.as_ptr()) };
    });
}

static POSTER: std::sync::atomic::AtomicI32 = std::sync::atomic::AtomicI32::new(0);

/// The thread that spawns, once it is about to.
fn poster_id() -> i32 {
    loop {
        match POSTER.swap(0, std::sync::atomic::Ordering::SeqCst) {
            0 => std::thread::yield_now(),
            id => return id,
        }
    }
}

/// Starts a program that first opens `fifo`: the calling thread sleeps until that has another end.
fn spawn_that_waits_for(fifo: &CString) -> libc::pid_t {
    // SAFETY: no pointer is passed.
    POSTER.store(unsafe { libc::syscall(libc::SYS_gettid) } as i32, std::sync::atomic::Ordering::SeqCst);
    let (program, mut child) = (c"/bin/true", 0);
    let arguments = [program.as_ptr().cast_mut(), std::ptr::null_mut()];
    // SAFETY: all that is pointed to is live, and initialised by the first call.
    unsafe {
        let mut actions = MaybeUninit::uninit();
        libc::posix_spawn_file_actions_init(actions.as_mut_ptr());
        libc::posix_spawn_file_actions_addopen(actions.as_mut_ptr(), 0, fifo.as_ptr(), libc::O_RDONLY, 0);
        let spawned = libc::posix_spawn(
            &mut child,
            program.as_ptr(),
            actions.as_ptr(),
            std::ptr::null(),
            arguments.as_ptr(),
            std::ptr::null(),
        );
        assert_eq!(spawned, 0);
        libc::posix_spawn_file_actions_destroy(actions.as_mut_ptr());
    }
    child
}

#[test]
fn what_threads_post_that_exit_at_once_comes_back() {
    limit(60, || {
        each_driver(|channel| {
            const THREADS: u64 = 200;
            for token in 0..THREADS {
                let channel = &channel;
                std::thread::scope(|s| {
                    s.spawn(move || {
                        let request = match token % 3 {
                            0 => Request::work(|| ()),
                            1 => Request::timer(Duration::from_micros(token)),
                            _ => Request::read_at(std::fs::File::open("/proc/self/exe").unwrap(), room(1), 0),
                        };
                        channel.post(request.token(token)).unwrap();
                    });
                });
            }
            let mut came: Vec<_> = (0..THREADS)
                .map(|_| {
                    let event = channel.get_event().unwrap();
                    assert_eq!(event.failure(), None);
                    event.token()
                })
                .collect();
            came.sort();
            assert!(came.into_iter().eq(0..THREADS));
        })
    });
}
