//! A channel of one thread: its time limits, its streams' credit, what others post to it, and what a forked child may do with it.

mod common;

use common::{drivers, pair};
use ec_channel::{Driver, EventChannel, EventKind, Interest, LocalChannel, Request};
use ec_test_support::{alone, limit};
use ec_unkind as _;
use std::cell::{Cell, RefCell};
use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::{Duration, Instant};

const TICK: Duration = Duration::from_millis(1);

/// On each driver, and on the one that carries out one request at a time.
fn each(f: impl Fn(LocalChannel)) {
    for driver in drivers().into_iter().chain([Driver::Direct]) {
        eprintln!("on {driver}");
        f(EventChannel::builder().single_threaded().driver(driver).build().unwrap());
    }
}

fn always(channel: &LocalChannel, request: Request) {
    channel.post_with(request, |_, event| (!event.is_cancelled()).then(|| event.again())).unwrap();
}

/// What is always ready again, whoever looks.
fn always_ready() -> Vec<Request> {
    let (near, _) = pair();
    vec![
        Request::notification(),
        Request::timer_at(Instant::now()),
        Request::readiness(near.clone(), Interest::WRITABLE),
        Request::readiness_stream(near, Interest::WRITABLE),
    ]
}

#[test]
fn handlers_that_become_ready_time_and_again_do_not_keep_a_caller() {
    limit(60, || {
        for at in 0..always_ready().len() {
            each(|channel| {
                always(&channel, always_ready().swap_remove(at));
                let began = Instant::now();
                assert!(channel.get_event_timeout(5 * TICK).unwrap().is_none());
                assert!(began.elapsed() >= 5 * TICK);
                assert!(channel.try_get_event().unwrap().is_none());
            });
        }
    });
}

#[test]
fn a_handler_slower_than_its_interval_does_not_keep_a_caller() {
    limit(60, || {
        each(|channel| {
            let slow = |_: &LocalChannel, _| {
                std::thread::sleep(2 * TICK);
                None
            };
            channel.post_with(Request::interval(TICK), slow).unwrap();
            assert!(channel.get_event_timeout(20 * TICK).unwrap().is_none());
        });
    });
}

#[test]
fn what_is_ready_behind_handlers_is_found_in_no_time() {
    limit(30, || {
        each(|channel| {
            for _ in 0..100 {
                always(&channel, Request::notification());
            }
            channel.post(Request::notification().token(7)).unwrap();
            assert_eq!(channel.try_get_event().unwrap().unwrap().token(), 7);
        });
    });
}

/// Items that nobody has fetched are no more than the credit, also those that `run` keeps.
#[test]
fn a_stream_goes_no_further_than_its_credit() {
    limit(60, || {
        each(|channel| {
            let id = channel.post(Request::interval(TICK).credit(4)).unwrap();
            let ends = move |channel: &LocalChannel, _| {
                assert_eq!(channel.metrics().items, 4);
                channel.cancel(id);
                None
            };
            channel.post_with(Request::timer(50 * TICK), ends).unwrap();
            channel.run().unwrap();
            assert_eq!(channel.metrics().items, 4);
            for n in 0..5 {
                let event = channel.get_event().unwrap();
                assert_eq!((event.id(), event.is_last()), (id, n == 4));
            }
            // Fetched, they give their credit back.
            channel.post(Request::interval(TICK).credit(2)).unwrap();
            (0..20).for_each(|_| assert!(!channel.get_event().unwrap().is_last()));
        });
    });
}

/// Its handler gets one at a time, whatever its credit is, and waits inside meanwhile.
#[test]
fn items_do_not_pile_up_while_their_handler_runs() {
    limit(60, || {
        each(|channel| {
            let seen = Rc::new(RefCell::new(Vec::new()));
            let noted = seen.clone();
            let handler = move |channel: &LocalChannel, event: ec_channel::Event| {
                noted.borrow_mut().push(event.is_last());
                let items = noted.borrow().len() as u64;
                if items == 3 {
                    channel.cancel(event.id());
                }
                assert!(channel.get_event_timeout(5 * TICK).unwrap().is_none());
                assert!(channel.metrics().items <= items);
                None
            };
            channel.post_with(Request::interval(TICK / 4).credit(32), handler).unwrap();
            channel.run().unwrap();
            assert_eq!(*seen.borrow(), [false, false, false, true]);
        });
    });
}

#[test]
fn what_others_post_goes_to_a_handler_if_there_is_one() {
    limit(30, || {
        each(|channel| {
            let poster = channel.poster();
            poster.post(1).unwrap();
            assert_eq!(channel.get_event().unwrap().token(), 1);
            let seen = Rc::new(RefCell::new(Vec::new()));
            let (first, second) = (seen.clone(), seen.clone());
            let second = move |channel: &LocalChannel, mut event: ec_channel::Event| {
                second.borrow_mut().push(event.token() * 10);
                if event.take_context().is_some() {
                    channel.shutdown();
                }
            };
            let second = Cell::new(Some(second));
            channel.on_posts(move |channel, event| {
                first.borrow_mut().push(event.token());
                // It may be followed by another one.
                channel.on_posts(second.take().unwrap());
            });
            let posts = move || {
                poster.post(2)?;
                poster.post(3)?;
                poster.post_with(4, Box::new(()))
            };
            std::thread::spawn(posts).join().unwrap().unwrap();
            // Its own are not for that handler.
            channel.post(Request::notification().token(5)).unwrap();
            assert_eq!(channel.get_event().unwrap().token(), 5);
            assert!(channel.get_event().unwrap_err().to_string().contains("shut down"));
            assert!(channel.is_shut_down());
            assert_eq!(*seen.borrow(), [2, 30, 40]);
        });
    });
}

struct Panics(Rc<Cell<u32>>);

impl Drop for Panics {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
        panic!("on purpose");
    }
}

struct PanicsAnywhere;

impl Drop for PanicsAnywhere {
    fn drop(&mut self) {
        panic!("on purpose");
    }
}

#[test]
fn what_it_holds_may_panic_as_it_goes() {
    limit(30, || {
        each(|channel| {
            for _ in 0..2 {
                channel.post(Request::notification().context(Box::new(PanicsAnywhere))).unwrap();
            }
            channel.run().unwrap();
            let dropped = Rc::new(Cell::new(0));
            for _ in 0..2 {
                let held = Panics(dropped.clone());
                let handler = move |_: &LocalChannel, _| {
                    let _ = &held;
                    None
                };
                channel.post_with(Request::timer(1000 * TICK), handler).unwrap();
            }
            let held = Panics(dropped.clone());
            channel.on_posts(move |_, _| held.0.set(0));
            assert!(catch_unwind(AssertUnwindSafe(|| drop(channel))).is_ok());
            assert_eq!(dropped.get(), 3);
        });
    });
}

/// Its destructor ends the process, if it is not the one that made it.
struct Mine(i32);

impl Drop for Mine {
    fn drop(&mut self) {
        if std::process::id() as i32 != self.0 {
            // SAFETY: a plain system call.
            unsafe { libc::_exit(3) };
        }
    }
}

#[test]
fn a_forked_child_is_refused_and_drops_nothing_of_its_parents() {
    alone(30, || {
        each(|channel| {
            let mine = || Mine(std::process::id() as i32);
            channel.post(Request::notification().context(Box::new(mine()))).unwrap();
            channel.run().unwrap();
            let (held, held_too, ready) = (mine(), mine(), mine());
            channel.on_posts(move |_, _| assert!(held.0 > 0));
            let handler = move |_: &LocalChannel, _| {
                let _ = &held_too;
                None
            };
            channel.post_with(Request::timer(1000 * TICK), handler).unwrap();
            channel.post(Request::notification().context(Box::new(ready))).unwrap();
            // SAFETY: the child makes calls that are refused, and ends by _exit.
            let child = unsafe { libc::fork() };
            if child == 0 {
                let refusal = channel.get_event().map(drop).map_err(|error| error.kind());
                let refused = refusal == Err(ErrorKind::Unsupported)
                    && channel.run().is_err()
                    && channel.try_get_event().is_err();
                drop(channel);
                // SAFETY: as above.
                unsafe { libc::_exit(if refused { 0 } else { 1 }) };
            }
            let mut status = 0;
            // SAFETY: a live int.
            unsafe { libc::waitpid(child, &mut status, 0) };
            assert_eq!(status, 0, "256: not refused; 768: what is the parent's was dropped");
            assert_eq!(channel.get_event().unwrap().kind(), EventKind::Notification);
        })
    });
}
