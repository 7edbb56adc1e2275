//! A channel that belongs to one thread, with handlers that need not be `Send`.

mod common;

use common::{drivers, pair, room};
use ec_channel::{Driver, EventChannel, LocalChannel, Request};
use ec_test_support::limit;
use ec_unkind as _;
use std::cell::{Cell, RefCell};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(1000);
const TICK: Duration = Duration::from_millis(1);

/// On each driver, and on the one that carries out one request at a time.
fn each(f: impl Fn(LocalChannel)) {
    for driver in drivers().into_iter().chain([Driver::Direct]) {
        eprintln!("on {driver}");
        f(EventChannel::builder().single_threaded().driver(driver).build().unwrap());
    }
}

/// An echo server of handlers, which share what they like.
#[test]
fn handlers_answer_and_share_what_is_not_send() {
    limit(30, || {
        each(|channel| {
            let (near, mut far) = pair();
            let echoed = Rc::new(RefCell::new(Vec::new()));
            let (all, socket) = (echoed.clone(), near.clone());
            channel
                .post_with(Request::recv(near, room(4)), move |channel, event| {
                    if event.result().unwrap() == 0 {
                        return None;
                    }
                    all.borrow_mut().extend_from_slice(event.buffer());
                    let answer = Request::send(socket.clone(), event.buffer().to_vec());
                    channel
                        .post_with(answer, |_, event| (event.result().unwrap() > 100).then(|| event.again()))
                        .unwrap();
                    Some(event.again())
                })
                .unwrap();
            let client = thread::spawn(move || {
                let mut back = [0; 11];
                far.write_all(b"hello world").unwrap();
                far.read_exact(&mut back).unwrap();
                back
            });
            channel.run().unwrap();
            assert_eq!(
                (&client.join().unwrap(), &echoed.borrow()[..]),
                (b"hello world", &b"hello world"[..])
            );
        });
    });
}

#[test]
fn handlers_run_one_at_a_time_and_may_do_what_their_owner_may() {
    limit(30, || {
        each(|channel| {
            let (inside, order) = (Rc::new(Cell::new(false)), Rc::new(RefCell::new(Vec::new())));
            let victim = channel.post(Request::timer(LONG).token(9)).unwrap();
            for n in 0..3u64 {
                let (inside, order) = (inside.clone(), order.clone());
                let handler = move |channel: &LocalChannel, _| {
                    assert!(!inside.replace(true));
                    order.borrow_mut().push(n);
                    if n == 1 {
                        assert!(channel.cancel(victim));
                        channel.post(Request::notification().token(5)).unwrap();
                    }
                    inside.set(false);
                    None
                };
                channel.post_with(Request::timer(Duration::from_millis(5 * n)), handler).unwrap();
            }
            channel.run().unwrap();
            assert_eq!(*order.borrow(), [0, 1, 2]);
            // What had no handler was kept.
            let mut kept = [channel.get_event().unwrap(), channel.get_event().unwrap()];
            kept.sort_by_key(|event| event.token());
            assert_eq!((kept[0].token(), kept[1].token(), kept[1].is_cancelled()), (5, 9, true));
            assert!(channel.get_event_timeout(Duration::from_millis(1)).unwrap().is_none());
            // A handler that gets events itself.
            let got = Rc::new(Cell::new(0));
            let from_within = got.clone();
            channel
                .post_with(Request::notification(), move |channel, _| {
                    channel.post(Request::timer(Duration::from_millis(1)).token(3)).unwrap();
                    from_within.set(channel.get_event().unwrap().token());
                    None
                })
                .unwrap();
            channel.run().unwrap();
            assert_eq!(got.get(), 3);
        });
    });
}

#[test]
fn others_post_numbers_and_data() {
    limit(30, || {
        each(|channel| {
            let threads: Vec<_> = (0..4u64)
                .map(|n| {
                    let poster = channel.poster();
                    thread::spawn(move || {
                        thread::sleep(Duration::from_millis(n));
                        (0..100).for_each(|k| poster.post(n * 100 + k).unwrap());
                        poster.post_with(1000 + n, Box::new(vec![n; 3])).unwrap();
                    })
                })
                .collect();
            let (mut numbers, mut data) = (Vec::new(), 0);
            for _ in 0..404 {
                let mut event = channel.get_event().unwrap();
                match event.take_context() {
                    Some(context) => {
                        let n = event.token() - 1000;
                        assert_eq!(*context.downcast::<Vec<u64>>().unwrap(), vec![n; 3]);
                        data += 1;
                    }
                    None => numbers.push(event.token()),
                }
            }
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            numbers.sort_unstable();
            assert!(data == 4 && numbers.into_iter().eq(0..400));
            // They are not waited for; and an owner may post again what it got from others.
            channel.run().unwrap();
            channel.poster().post(1).unwrap();
            let event = channel.get_event().unwrap();
            channel.post_with(event, |_, event| (event.token() != 1).then(|| event.again())).unwrap();
            channel.run().unwrap();
        });
    });
}

struct Tells(Rc<RefCell<Vec<thread::ThreadId>>>);

impl Drop for Tells {
    fn drop(&mut self) {
        self.0.borrow_mut().push(thread::current().id());
    }
}

#[test]
fn what_it_holds_goes_with_it_on_its_thread() {
    limit(30, || {
        each(|channel| {
            let dropped = Rc::new(RefCell::new(Vec::new()));
            let (near, mut far) = UnixStream::pair().unwrap();
            for request in [Request::recv(near, room(1)), Request::timer(LONG), Request::notification()] {
                let held = Tells(dropped.clone());
                let handler = move |_: &LocalChannel, _| {
                    let _ = &held;
                    unreachable!("nobody gets events")
                };
                channel.post_with(request, handler).unwrap();
            }
            let poster = channel.poster();
            poster.post(1).unwrap();
            let began = Instant::now();
            drop(channel);
            assert!(began.elapsed() < Duration::from_secs(1), "all came back at once");
            assert_eq!(*dropped.borrow(), [thread::current().id(); 3]);
            // The socket is closed, though somebody has a poster.
            assert_eq!(far.read(&mut [0; 1]).unwrap(), 0);
            assert!(poster.post(2).unwrap_err().to_string().contains("shut down"));
        });
    });
}

#[test]
fn a_panic_of_a_handler_is_its_owners_and_costs_no_other() {
    limit(30, || {
        each(|channel| {
            channel.post_with(Request::notification(), |_, _| panic!("on purpose")).unwrap();
            let done = Rc::new(Cell::new(false));
            let tells = done.clone();
            let handler = move |_: &LocalChannel, _| {
                tells.set(true);
                None
            };
            channel.post_with(Request::timer(Duration::from_millis(1)), handler).unwrap();
            assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| channel.run())).is_err());
            channel.run().unwrap();
            assert!(done.get());
        });
    });
}

#[test]
fn a_handler_that_would_go_elsewhere_is_refused() {
    let channel = EventChannel::builder().single_threaded().build().unwrap();
    let error = channel.post(Request::notification().on_complete(|_, _| ())).unwrap_err();
    assert!(error.to_string().contains("post_with"), "{error}");
    assert_eq!(std::io::Error::from(error).kind(), ErrorKind::InvalidInput);
    channel.run().unwrap();
}

/// A channel of one thread: the handler stays with the stream, and is not called within itself.
#[test]
fn a_local_handler_gets_each_item_of_its_stream() {
    limit(30, || {
        let channel = EventChannel::builder().single_threaded().build().unwrap();
        let (depth, seen) = (Rc::new(Cell::new(0)), Rc::new(RefCell::new(Vec::new())));
        let (within, noted) = (depth.clone(), seen.clone());
        let id = channel
            .post_with(Request::interval(TICK), move |channel, event| {
                assert_eq!(within.replace(1), 0, "called within itself");
                noted.borrow_mut().push(event.is_last());
                // What comes meanwhile comes after.
                assert!(channel.get_event_timeout(3 * TICK).unwrap().is_none());
                if noted.borrow().len() == 5 {
                    channel.cancel(event.id());
                }
                within.set(0);
                (event.is_last() && event.is_cancelled()).then(|| Request::timer(TICK))
            })
            .unwrap();
        channel.run().unwrap();
        let seen = seen.borrow();
        // The last event, and then the timer that it was followed by.
        assert_eq!(seen.iter().rev().take_while(|last| **last).count(), 2, "{seen:?}");
        assert!(seen.len() >= 7 && !channel.cancel(id));
    });
}

#[test]
fn a_local_handler_that_panics_is_gone_and_its_stream_is_not() {
    limit(30, || {
        let channel = EventChannel::builder().single_threaded().build().unwrap();
        let id = channel
            .post_with(Request::interval(TICK), |channel, _| {
                assert!(channel.get_event_timeout(3 * TICK).unwrap().is_none());
                panic!("as the test wants")
            })
            .unwrap();
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| channel.get_event()));
        assert!(caught.is_err());
        assert_eq!(channel.get_event().unwrap().id(), id);
        channel.cancel(id);
        while !channel.get_event().unwrap().is_last() {}
    });
}
