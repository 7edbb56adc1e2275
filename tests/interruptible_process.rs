//! [`task::interruptible`] and what belongs to the process: signals, masks, forks; and other people's coroutines.

mod interruptible_common;

use ec_test_support::limit;
use ec_unkind as _;
use event_channel::time::timeout;
use event_channel::{Runtime, task};
use interruptible_common::{SHORT, nothing_interrupts, pipe, result, was_ended};
use std::io::ErrorKind;
use std::mem::MaybeUninit;
use std::panic::catch_unwind;
use std::ptr;
use std::thread;

/// The mask of the calling thread; with a signal, after that was blocked.
fn mask(block: Option<i32>) -> libc::sigset_t {
    let (mut set, mut before) = (MaybeUninit::uninit(), MaybeUninit::uninit());
    // SAFETY: room for two sets.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        block.into_iter().for_each(|signal| _ = libc::sigaddset(set.as_mut_ptr(), signal));
        assert_eq!(libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), before.as_mut_ptr()), 0);
        libc::pthread_sigmask(libc::SIG_BLOCK, ptr::null(), before.as_mut_ptr());
        before.assume_init()
    }
}

fn keeps_out(signal: i32) -> bool {
    // SAFETY: a set that is filled.
    unsafe { libc::sigismember(&mask(None), signal) == 1 }
}

#[test]
fn a_thread_that_keeps_the_signal_out_lets_it_through_in_the_section() {
    limit(60, || {
        let signal = libc::SIGRTMIN() + 3;
        let runtime = Runtime::builder().cores(1).interrupt_signal(signal).build().unwrap();
        runtime
            .spawn_with(task::Builder::new().dedicated(), move || {
                mask(Some(signal));
                timeout(SHORT, || {
                    was_ended(pipe().call_in_section());
                    assert!(keeps_out(signal));
                    nothing_interrupts();
                });
                // What code in the section keeps out is kept out afterwards, and what was sent is gone. It is one, however long it takes.
                timeout(SHORT, || {
                    task::interruptible(|| {
                        assert!(!keeps_out(signal));
                        mask(Some(signal));
                        thread::sleep(6 * SHORT);
                        assert_eq!((takes(signal), takes(signal)), (true, false));
                    });
                });
                timeout(SHORT, || {
                    task::interruptible(|| {
                        mask(Some(signal));
                        thread::sleep(3 * SHORT);
                    });
                    assert!(keeps_out(signal) && !takes(signal));
                });
            })
            .unwrap()
            .join()
            .unwrap();
    });
}

/// Takes one that is queued, of those that the thread keeps out.
fn takes(signal: i32) -> bool {
    let now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    let mut set = MaybeUninit::uninit();
    // SAFETY: a set of one, and a time.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), signal);
        libc::sigtimedwait(set.as_ptr(), ptr::null_mut(), &now) == signal
    }
}

extern "C" fn theirs(_: i32) {}

#[test]
fn the_signal_is_the_builders_choice() {
    limit(60, || {
        let (mine, other, used) = (libc::SIGRTMIN() + 4, libc::SIGRTMIN() + 5, libc::SIGRTMIN() + 6);
        // SAFETY: a handler that does nothing.
        let handle = |signal, handler| assert_ne!(unsafe { libc::signal(signal, handler) }, libc::SIG_ERR);
        handle(used, theirs as *const () as usize);
        handle(other, libc::SIG_IGN);
        let refused = |signal| {
            let error = Runtime::builder().cores(1).interrupt_signal(signal).build().unwrap_err();
            assert!(error.to_string().contains(&format!("signal {signal} ")), "{error}");
            error.kind()
        };
        assert_eq!([used, other].map(refused), [ErrorKind::ResourceBusy; 2]);
        assert_eq!([libc::SIGUSR1, 0, -1, libc::SIGRTMAX() + 1].map(refused), [ErrorKind::InvalidInput; 4]);
        // Two runtimes may have the same.
        for _ in 0..2 {
            let runtime = Runtime::builder().cores(1).interrupt_signal(mine).build().unwrap();
            runtime.run(|| {
                timeout(SHORT, || {
                    task::interruptible(|| {
                        mask(Some(mine));
                        thread::sleep(3 * SHORT);
                        assert!(takes(mine));
                    });
                });
            });
            std::mem::forget(runtime);
        }
        // One that the program has taken meanwhile is never sent.
        let runtime = Runtime::builder().cores(1).interrupt_signal(mine).build().unwrap();
        extern "C" fn ends(_: i32) {
            std::process::abort();
        }
        handle(mine, ends as *const () as usize);
        runtime.run(|| timeout(SHORT, || was_ended(pipe().call_in_section())));
    });
}

/// Keeps all real-time signals out of the calling thread but for this one.
fn keep_out_all_but(signal: i32) {
    let mut set = MaybeUninit::uninit();
    // SAFETY: room for a set.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        for other in (libc::SIGRTMIN()..=libc::SIGRTMAX()).filter(|other| *other != signal) {
            libc::sigaddset(set.as_mut_ptr(), other);
        }
        assert_eq!(libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), ptr::null_mut()), 0);
    }
}

/// Whether any signal waits for the thread to let it through.
fn something_waits() -> bool {
    let mut set = MaybeUninit::uninit();
    // SAFETY: room for a set.
    unsafe {
        assert_eq!(libc::sigpending(set.as_mut_ptr()), 0);
        (libc::SIGRTMIN()..=libc::SIGRTMAX()).any(|signal| libc::sigismember(set.as_ptr(), signal) == 1)
    }
}

#[test]
fn a_signal_that_is_lost_in_the_section_is_replaced_by_one_that_the_thread_lets_through() {
    limit(60, || {
        let (first, second, open) = (libc::SIGRTMIN() + 7, libc::SIGRTMIN() + 8, libc::SIGRTMIN() + 9);
        let runtime = |signal| Runtime::builder().cores(1).interrupt_signal(signal).build().unwrap();
        let take = |signal| {
            // SAFETY: a handler that does nothing.
            assert_ne!(unsafe { libc::signal(signal, theirs as *const () as usize) }, libc::SIG_ERR);
        };
        let dedicated = || task::Builder::new().dedicated();
        // (Who sends is there, and lets other signals through than that thread.)
        timeout(SHORT, || was_ended(pipe().call_in_section()));
        let loses_it = move || {
            keep_out_all_but(open);
            timeout(SHORT, || {
                task::interruptible(|| {
                    take(first);
                    was_ended(result(pipe().call()));
                });
            });
            assert!(!something_waits() && keeps_out(first) && !keeps_out(open));
            nothing_interrupts();
        };
        runtime(first).spawn_with(dedicated(), loses_it).unwrap().join().unwrap();
        // The program gets it with one that waits, which the thread has kept out meanwhile.
        let gets_it = move || {
            keep_out_all_but(open);
            timeout(SHORT, || {
                task::interruptible(|| {
                    mask(Some(second));
                    while !something_waits() {
                        thread::yield_now();
                    }
                    take(second);
                    was_ended(result(pipe().call()));
                });
            });
            assert!(keeps_out(second) && !keeps_out(open) && takes(second) && !something_waits());
            nothing_interrupts();
        };
        runtime(second).spawn_with(dedicated(), gets_it).unwrap().join().unwrap();
    });
}

#[test]
fn a_child_that_is_forked_in_a_section_is_left_alone() {
    fn forks() {
        task::interruptible(|| {
            timeout(SHORT, || {
                // SAFETY: the child makes system calls, and ends.
                let child = unsafe { libc::fork() };
                if child == 0 {
                    let well = catch_unwind(|| {
                        nothing_interrupts();
                        // One of its own is another one, and what was around the parent's is around it.
                        was_ended(pipe().call_in_section());
                        nothing_interrupts();
                    });
                    // SAFETY: nothing of the parent's is run.
                    unsafe { libc::_exit(i32::from(well.is_err())) };
                }
                let mut status = -1;
                // (It is interrupted itself, again and again.)
                // SAFETY: room for the status.
                while unsafe { libc::waitpid(child, &mut status, 0) } != child {}
                assert_eq!(status, 0);
                was_ended(result(pipe().call()));
            });
        });
        nothing_interrupts();
    }
    limit(60, || {
        let runtime = Runtime::builder().cores(2).build().unwrap();
        runtime.run(forks);
        thread::spawn(forks).join().unwrap();
    });
}

/// A section whose frame is left on another thread than it was entered on: neither of both is interrupted after that.
#[test]
fn a_coroutine_may_leave_a_section_elsewhere() {
    use corosensei::{Coroutine, Yielder};
    struct Sent(Coroutine<(), (), ()>);
    // SAFETY: what lies on its stack may go to another thread.
    unsafe impl Send for Sent {}

    fn begins() -> Sent {
        let mut coroutine = Coroutine::new(|y: &Yielder<(), ()>, ()| {
            timeout(SHORT, || task::interruptible(|| y.suspend(())));
        });
        coroutine.resume(());
        Sent(coroutine)
    }
    fn ends(coroutine: Sent) {
        let mut whole = coroutine;
        assert!(whole.0.resume(()).as_return().is_some());
        nothing_interrupts();
    }
    limit(60, || {
        let coroutine = begins();
        thread::spawn(|| ends(coroutine)).join().unwrap();
        nothing_interrupts();
        let runtime = Runtime::builder().cores(2).build().unwrap();
        runtime.run(|| {
            let coroutine = begins();
            task::spawn(|| ends(coroutine)).join().unwrap();
            nothing_interrupts();
            // One that is forgotten ends with the task.
            task::spawn(|| std::mem::forget(begins())).join().unwrap();
            thread::sleep(3 * SHORT);
            nothing_interrupts();
        });
    });
}
