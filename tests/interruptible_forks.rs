//! [`task::interruptible`] and forks: sections make no runtime of a process, and begin anew in a child.

mod fork_common;
mod interruptible_common;

use ec_test_support::{in_child, limit, went_well};
use ec_unkind as _;
use event_channel::time::timeout;
use event_channel::{Runtime, run, task};
use fork_common::{WELL, child, ends_after, in_each_place};
use interruptible_common::{SHORT, nothing_interrupts, pipe, result, was_ended};
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

/// A section's call is ended here, and nothing is after it.
fn works() {
    timeout(SHORT, || was_ended(pipe().call_in_section()));
    nothing_interrupts();
}

#[test]
fn a_child_of_a_process_that_had_sections_alone_may_do_everything() {
    let case = || {
        works();
        let all = || {
            works();
            run(|| {
                works();
                task::spawn(works).join().unwrap();
            });
            thread::spawn(works).join().unwrap();
        };
        assert_eq!(child(all), WELL);
        // Of a child that had them, too; and of one that has gone on in one.
        assert_eq!(child(|| assert_eq!(child(all), WELL)), WELL);
        assert_eq!(
            child(|| {
                works();
                assert_eq!(child(all), WELL);
            }),
            WELL
        );
        assert_eq!(task::interruptible(|| child(all)), WELL);
        // And the parent goes on.
        all();
    };
    went_well(in_child("a_child_of_a_process_that_had_sections_alone_may_do_everything", case));
}

#[test]
fn a_child_of_a_process_with_a_runtime_has_the_sections_of_a_thread() {
    // (Alone: the children start threads of std, for which no other test's is to begin or end meanwhile.)
    let case = || {
        let runtime = Arc::new(Runtime::builder().cores(2).build().unwrap());
        for round in 0..2 {
            in_each_place(&runtime, || {
                let does = || {
                    works();
                    thread::spawn(works).join().unwrap();
                    works();
                };
                assert_eq!(child(does), WELL);
            });
            // The next time the parent has had some.
            if round == 0 {
                thread::spawn(works).join().unwrap();
                runtime.run(works);
            }
        }
    };
    went_well(in_child("a_child_of_a_process_with_a_runtime_has_the_sections_of_a_thread", case));
}

/// Threads and tasks enter and leave, are interrupted and end, while others fork.
fn forks_in_the_middle(runtime: Option<&Runtime>) {
    const CHILDREN: usize = 60;
    let over = AtomicBool::new(false);
    let ended = AtomicUsize::new(0);
    let enters = || {
        while !over.load(Ordering::Relaxed) {
            timeout(SHORT / 50, || was_ended(pipe().call_in_section()));
            ended.fetch_add(1, Ordering::Relaxed);
        }
    };
    let starts = || {
        while !over.load(Ordering::Relaxed) {
            thread::spawn(|| timeout(SHORT / 50, || task::interruptible(nothing_or_ended))).join().unwrap();
        }
    };
    thread::scope(|scope| {
        scope.spawn(enters);
        scope.spawn(starts);
        if let Some(runtime) = runtime {
            scope.spawn(|| {
                runtime.run(|| task::scope(|tasks| (0..2).for_each(|_| drop(tasks.spawn(enters)))))
            });
        }
        for number in 0..CHILDREN {
            let before = ended.load(Ordering::Relaxed);
            let end = match number % 2 {
                0 => child(works),
                _ => task::interruptible(|| child(works)),
            };
            // (Whoever it was, the rest ends here.)
            over.store(end != WELL, Ordering::Relaxed);
            assert_eq!(end, WELL, "child {number}");
            while ended.load(Ordering::Relaxed) == before {
                thread::yield_now();
            }
        }
        over.store(true, Ordering::Relaxed);
    });
}

/// std takes a lock of its own when a thread begins and when it ends, and in a child that is forked in that moment it is held for ever. Those
/// of a program are not waited for by a fork, as those of a runtime are.
#[test]
fn a_child_has_sections_although_threads_of_std_begin_and_end_all_the_time() {
    let case = || {
        const CHILDREN: usize = 400;
        let over = AtomicBool::new(false);
        let come_and_go = || {
            while !over.load(Ordering::Relaxed) {
                thread::spawn(|| ()).join().unwrap();
            }
        };
        thread::scope(|scope| {
            (0..16).for_each(|_| drop(scope.spawn(come_and_go)));
            for number in 0..CHILDREN {
                let end = child(|| timeout(SHORT / 50, || was_ended(pipe().call_in_section())));
                over.store(end != WELL, Ordering::Relaxed);
                assert_eq!(end, WELL, "child {number}");
            }
            over.store(true, Ordering::Relaxed);
        });
    };
    went_well(in_child("a_child_has_sections_although_threads_of_std_begin_and_end_all_the_time", case));
}

/// (The call may not have begun before its first signal.)
fn nothing_or_ended() {
    // SAFETY: no descriptors.
    let waited = unsafe { libc::poll(ptr::null_mut(), 0, 1) };
    assert!(result(waited).is_ok_and(|count| count == 0) || errno_is_interrupted(), "an error");
}

fn errno_is_interrupted() -> bool {
    std::io::Error::last_os_error().raw_os_error() == Some(libc::EINTR)
}

#[test]
fn a_fork_in_the_middle_of_sections_leaves_the_child_free() {
    limit(120, || {
        let runtime = Runtime::builder().cores(2).build().unwrap();
        forks_in_the_middle(Some(&runtime));
    });
}

#[test]
fn so_it_does_without_a_runtime() {
    went_well(in_child("so_it_does_without_a_runtime", || forks_in_the_middle(None)));
}

/// Which real-time signals this thread keeps out; with `all`, after it has begun to keep out all of them.
fn mask(all: bool) -> Vec<bool> {
    let (mut every, mut now) = (MaybeUninit::uninit(), MaybeUninit::uninit());
    let realtime = || libc::SIGRTMIN()..=libc::SIGRTMAX();
    // SAFETY: room for two sets.
    unsafe {
        libc::sigemptyset(every.as_mut_ptr());
        if all {
            realtime().for_each(|signal| _ = libc::sigaddset(every.as_mut_ptr(), signal));
        }
        libc::pthread_sigmask(libc::SIG_BLOCK, every.as_ptr(), ptr::null_mut());
        libc::pthread_sigmask(libc::SIG_BLOCK, ptr::null(), now.as_mut_ptr());
        realtime().map(|signal| libc::sigismember(now.as_ptr(), signal) == 1).collect()
    }
}

/// Forks, in the section or on the thread that has it.
fn forks(on_thread: bool) -> i32 {
    // SAFETY: the child makes system calls, starts a thread, and ends; one that hangs is ended.
    let forks = || unsafe { libc::fork() };
    let pid = if on_thread { task::on_thread(forks) } else { forks() };
    if pid == 0 {
        // SAFETY: no pointer is passed.
        unsafe { libc::alarm(20) };
    }
    pid
}

#[test]
fn a_child_that_leaves_the_section_of_its_parent_keeps_out_what_it_did() {
    limit(120, || {
        let leaves = |on_thread: bool| {
            let before = mask(true);
            // The sender is at this thread all the time.
            let pid = timeout(SHORT, || {
                task::interruptible(|| {
                    assert_ne!(mask(false), before);
                    thread::sleep(2 * SHORT);
                    forks(on_thread)
                })
            });
            if pid == 0 {
                ends_after(|| {
                    assert_eq!(mask(false), before);
                    works();
                    assert_eq!(mask(false), before);
                });
            }
            let mut status = -1;
            // SAFETY: room for the status.
            assert_eq!(unsafe { libc::waitpid(pid, &mut status, 0) }, pid);
            assert_eq!(status, 0);
            assert_eq!(mask(false), before);
        };
        // (Of its own: its workers keep all signals out from then on.)
        let runtime = Arc::new(Runtime::builder().cores(2).build().unwrap());
        in_each_place(&runtime, move || [false, true].into_iter().for_each(leaves));
    });
}

#[test]
fn a_deadline_around_the_fork_ends_the_childs_calls() {
    limit(120, || {
        let runtime = Arc::new(Runtime::builder().cores(2).build().unwrap());
        in_each_place(&runtime, || {
            timeout(SHORT, || assert_eq!(child(|| was_ended(pipe().call_in_section())), WELL));
        });
    });
}
