//! Blocking calls of foreign code in [`task::interruptible`]: what is to stop ends them, and nobody else notices.

mod interruptible_common;
mod net_common;

use ec_test_support::limit;
use ec_unkind as _;
use event_channel::time::{Duration, sleep, timeout};
use event_channel::{Runtime, task};
use interruptible_common::{
    CANCELLED, SHORT, TIMED_OUT, Wait, nothing_interrupts, pipe, point, result, was_ended,
};
use net_common::{each_runtime, each_runtime_of};
use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

const LONG: Duration = Duration::from_secs(1000);
const CORES: [usize; 3] = [1, 2, 8];

/// Runs `f` as a task of the runtime, and cancels it once it says so.
fn cancelled_when_told(
    runtime: &Runtime,
    builder: task::Builder,
    f: impl FnOnce(&AtomicBool) + Send + 'static,
) {
    static TOLD: [AtomicBool; 64] = [const { AtomicBool::new(false) }; 64];
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let told = &TOLD[NEXT.fetch_add(1, Ordering::Relaxed) % TOLD.len()];
    told.store(false, Ordering::Relaxed);
    let task = runtime.spawn_with(builder, || f(told)).unwrap();
    while !told.load(Ordering::Acquire) && !task.is_finished() {
        thread::yield_now();
    }
    task.cancel();
    task.join().unwrap();
}

#[test]
fn a_cancel_ends_each_kind_of_call() {
    limit(60, || {
        each_runtime_of(&CORES, |runtime| {
            for (number, wait) in Wait::each().into_iter().enumerate() {
                cancelled_when_told(runtime, task::Builder::new(), move |told| {
                    told.store(true, Ordering::Release);
                    if number % 2 == 0 {
                        // As often as not it is cancelled before.
                        thread::sleep(Duration::from_micros(300));
                    }
                    was_ended(wait.call_in_section());
                    nothing_interrupts();
                    assert_eq!(point(), CANCELLED);
                    assert_eq!(point(), Ok(()));
                });
            }
        });
    });
}

#[test]
fn a_deadline_ends_each_kind_of_call() {
    fn each() {
        for wait in Wait::each() {
            timeout(SHORT, || {
                was_ended(wait.call_in_section());
                nothing_interrupts();
                assert_eq!(point(), TIMED_OUT);
                assert_eq!(point(), Ok(()));
            });
        }
    }
    limit(60, || {
        thread::spawn(each).join().unwrap();
        each_runtime_of(&CORES, |runtime| {
            runtime.run(each);
            runtime.spawn_with(task::Builder::new().dedicated(), each).unwrap().join().unwrap();
        });
    });
}

#[test]
fn a_dedicated_task_that_is_cancelled_is_interrupted() {
    limit(60, || {
        each_runtime(|runtime| {
            cancelled_when_told(runtime, task::Builder::new().dedicated(), |told| {
                told.store(true, Ordering::Release);
                task::interruptible(|| {
                    // It sleeps on its own thread, which is not in the section meanwhile.
                    sleep(SHORT);
                    was_ended(result(pipe().call()));
                });
                assert_eq!(point(), CANCELLED);
            });
        });
    });
}

/// More tasks than cores: nobody is left who could notice the deadlines but the sender.
#[test]
fn all_cores_may_be_blocked() {
    limit(60, || {
        each_runtime_of(&[1, 2], |runtime| {
            let blocked: Vec<_> = (0..6u32)
                .map(|number| {
                    let body = move || timeout(number * SHORT, || was_ended(pipe().call_in_section()));
                    runtime.spawn(body)
                })
                .collect();
            blocked.into_iter().for_each(|task| task.join().unwrap());
        });
    });
}

/// In the section, too, what was delivered ends no further call.
#[test]
fn what_was_delivered_interrupts_no_more() {
    limit(60, || {
        each_runtime(|runtime| {
            cancelled_when_told(runtime, task::Builder::new(), |told| {
                told.store(true, Ordering::Release);
                task::interruptible(|| {
                    was_ended(result(pipe().call()));
                    assert_eq!(point(), CANCELLED);
                    nothing_interrupts();
                });
            });
            runtime.run(|| {
                timeout(SHORT, || {
                    task::interruptible(|| {
                        was_ended(result(pipe().call()));
                        assert_eq!(point(), TIMED_OUT);
                        nothing_interrupts();
                    });
                });
            });
        });
    });
}

#[test]
fn timeouts_and_sections_nest() {
    fn nested() {
        let pipe = pipe();
        // The deadline of a timeout that begins in the section, and ends there.
        task::interruptible(|| {
            nothing_interrupts();
            timeout(SHORT, || was_ended(result(pipe.call())));
            nothing_interrupts();
            // An inner section is the outer one: it does not end that.
            timeout(SHORT, || {
                task::interruptible(|| ());
                was_ended(result(pipe.call()));
            });
            timeout(LONG, nothing_interrupts);
        });
        // The earliest counts; one that was delivered counts no more, and the next one does.
        timeout(4 * SHORT, || {
            timeout(SHORT, || {
                timeout(LONG, || {
                    was_ended(pipe.call_in_section());
                    assert_eq!(point(), TIMED_OUT);
                    was_ended(pipe.call_in_section());
                    assert_eq!(point(), TIMED_OUT);
                    task::interruptible(nothing_interrupts);
                });
            });
        });
        nothing_interrupts();
    }
    limit(60, || {
        thread::spawn(nested).join().unwrap();
        each_runtime(|runtime| runtime.run(nested));
    });
}

#[test]
fn a_panic_ends_the_section() {
    fn panics() {
        let pipe = pipe();
        timeout(SHORT, || {
            let section = || {
                task::interruptible(|| {
                    was_ended(result(pipe.call()));
                    std::panic::resume_unwind(Box::new("on purpose"))
                })
            };
            let panic: Result<(), _> = catch_unwind(AssertUnwindSafe(section));
            assert!(panic.unwrap_err().is::<&str>());
            nothing_interrupts();
            was_ended(pipe.call_in_section());
        });
    }
    limit(60, || {
        thread::spawn(panics).join().unwrap();
        each_runtime(|runtime| runtime.run(panics));
    });
}

/// A task that is suspended in a section is on no thread: others on those are left alone. It may go on on another one.
#[test]
fn a_suspension_leaves_the_section_meanwhile() {
    limit(60, || {
        let runtime = Runtime::builder().cores(2).force_migration().build().unwrap();
        for _ in 0..20 {
            let suspended = runtime.spawn(|| {
                task::interruptible(|| {
                    task::park();
                    was_ended(result(pipe().call()));
                    task::yield_now();
                    was_ended(result(pipe().call()));
                    assert_eq!(point(), CANCELLED);
                    nothing_interrupts();
                });
            });
            suspended.cancel();
            let others: Vec<_> = (0..3).map(|_| runtime.spawn(nothing_interrupts)).collect();
            others.into_iter().for_each(|other| other.join().unwrap());
            suspended.task().unpark();
            suspended.join().unwrap();
        }
    });
}

/// The cancel of a shutdown is delivered again and again, and so it ends each call.
#[test]
fn a_shutdown_ends_calls_again_and_again() {
    limit(60, || {
        let runtime = Runtime::builder().cores(2).build().unwrap();
        let begun = &*Box::leak(Box::new(AtomicUsize::new(0)));
        let tasks: Vec<_> = [task::Builder::new(), task::Builder::new().dedicated()]
            .into_iter()
            .map(|builder| {
                let body = || {
                    task::interruptible(|| {
                        begun.fetch_add(1, Ordering::Release);
                        for _ in 0..3 {
                            was_ended(result(pipe().call()));
                            assert_eq!(point(), CANCELLED);
                        }
                    });
                    nothing_interrupts();
                };
                runtime.spawn_with(builder, body).unwrap()
            })
            .collect();
        while begun.load(Ordering::Acquire) < 2 {
            thread::yield_now();
        }
        runtime.shutdown(Duration::from_secs(60)).unwrap();
        tasks.into_iter().for_each(|task| task.join().unwrap());
    });
}

/// What a shield delays ends no call in it, and does so after it.
#[test]
fn a_shield_delays_interruptions() {
    limit(60, || {
        each_runtime(|runtime| {
            cancelled_when_told(runtime, task::Builder::new(), |told| {
                told.store(true, Ordering::Release);
                timeout(SHORT, || {
                    task::interruptible(|| {
                        task::shield(|| {
                            nothing_interrupts();
                            timeout(SHORT, || was_ended(result(pipe().call())));
                            task::yield_now();
                            nothing_interrupts();
                        });
                        was_ended(result(pipe().call()));
                    });
                    task::shield(|| task::interruptible(nothing_interrupts));
                });
                assert_eq!(point(), CANCELLED);
            });
        });
    });
}

/// The cancel of a group ends calls of those who are in it, in all places where it counts, and nowhere else.
#[test]
fn the_cancel_of_a_group_ends_calls() {
    limit(60, || {
        each_runtime(|runtime| {
            for early in [false, true] {
                let (token, other) = (task::CancelToken::new(), task::CancelToken::new());
                let (mine, theirs) = (token.clone(), other.clone());
                let member = runtime.spawn(move || {
                    theirs.enter(|| {
                        task::interruptible(|| {
                            mine.enter(|| {
                                was_ended(result(pipe().call()));
                                task::yield_now();
                                was_ended(result(pipe().call()));
                                task::shield(nothing_interrupts);
                                assert_eq!(point(), CANCELLED);
                                nothing_interrupts();
                            });
                            nothing_interrupts();
                        });
                    });
                    mine.enter(|| was_ended(pipe().call_in_section()));
                    nothing_interrupts();
                });
                if !early {
                    thread::sleep(Duration::from_millis(2));
                }
                token.cancel();
                member.join().unwrap();
                drop(other);
            }
        });
    });
}

/// The wrappers' own calls in a section do what they always do.
#[test]
fn the_wrappers_work_in_a_section() {
    use std::io::Write;
    limit(60, || {
        each_runtime(|runtime| {
            runtime.run(|| {
                let (mut here, mut there) = net_common::pair();
                task::interruptible(|| {
                    let echo = task::spawn(move || {
                        let mut text = [0; 3];
                        there.read_exact(&mut text)?;
                        there.write_all(&text)
                    });
                    for byte in b"abc" {
                        sleep(Duration::from_millis(1));
                        here.write_all(&[*byte]).unwrap();
                    }
                    let mut text = String::new();
                    here.read_to_string(&mut text).unwrap();
                    assert_eq!(text, "abc");
                    echo.join().unwrap().unwrap();
                    assert_eq!(timeout(SHORT, point), TIMED_OUT);
                });
            });
        });
    });
}
