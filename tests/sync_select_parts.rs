//! `select!`: when its parts are evaluated and dropped, and what is said of those that cannot be.

use ec_test_support::limit;
use ec_unkind as _;
use event_channel::sync::channel::RecvError;
use event_channel::sync::{Arc, Mutex, channel, select};
use event_channel::time::{Duration, interval};
use event_channel::{run, task};
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};

const LONG: Duration = Duration::from_secs(3600);

#[test]
fn all_conditions_come_before_all_arguments() {
    let order = RefCell::new(Vec::new());
    let note = |number: u32| {
        order.borrow_mut().push(number);
        number
    };
    let end = channel::unbounded::<u32>().1;
    let came = select! {
        biased;
        recv({ note(11); &end }) -> _, if note(1) == 0 => 1,
        recv({ note(12); &end }) -> _ => 2,
        recv({ note(13); &end }) -> _, if note(3) == 3 => 3,
    };
    assert_eq!((came, order.into_inner()), (Ok(2), vec![1, 3, 12, 13]));

    // What one arm borrows another one's condition may look at.
    let (out, outs) = channel::bounded(1);
    let (sender, receiver) = channel::bounded(1);
    let mut pending = None;
    sender.send(7).unwrap();
    for _ in 0..2 {
        select! {
            send_from(&out, &mut pending) -> sent => sent.unwrap(),
            recv(&receiver) -> value, if pending.is_none() => pending = value.ok(),
        }
        .unwrap();
    }
    assert_eq!((pending, outs.recv()), (None, Ok(7)));
}

#[test]
fn what_arguments_make_lasts_as_long_as_it_waits() {
    limit(60, || {
        run(|| {
            let (sender, receiver) = channel::bounded(1);
            let held = Mutex::new(receiver);
            let child = task::spawn(move || {
                task::yield_now();
                sender.send(7).unwrap();
            });
            let value = select! {
                recv(&*held.lock().unwrap()) -> value => {
                    assert_eq!(held.try_lock().unwrap().recv(), Err(RecvError::Closed), "it is released");
                    value
                }
                sleep(LONG) => unreachable!(),
            };
            assert_eq!(value, Ok(Ok(7)));
            child.join().unwrap();
            let ticked = select! {
                tick(&mut interval(LONG)) -> _ => true,
                tick(&mut interval(LONG)) -> _ => true,
            };
            assert_eq!(ticked, Ok(true));
        });
    });
}

#[test]
fn what_has_nothing_to_send_is_said_to_wait_for_ever() {
    let (sender, receiver) = channel::bounded::<u32>(1);
    let mut slot = None;
    let stuck = catch_unwind(AssertUnwindSafe(|| {
        _ = select! {
            send_from(&sender, &mut slot) -> _ => (),
            recv(&receiver) -> _, if false => (),
        };
    }));
    let words = stuck.unwrap_err();
    let words = words.downcast_ref::<&str>().unwrap();
    assert!(words.contains("left out or has nothing to send: it would wait for ever"), "{words}");
    let nothing = select! { send_from(&sender, &mut slot) -> _ => true, default => false };
    assert_eq!(nothing, Ok(false));
}

/// The panic goes on. What another arm had received is dropped, and nothing else is taken.
#[test]
fn a_destructor_that_panics_ends_the_select() {
    struct Panics;

    impl Drop for Panics {
        fn drop(&mut self) {
            panic!("on purpose");
        }
    }

    let (nobody, _receives) = channel::bounded(0);
    let (sender, receiver) = channel::unbounded();
    let values = [Arc::new(1), Arc::new(2)];
    values.iter().for_each(|value| sender.send(value.clone()).unwrap());
    let result = catch_unwind(AssertUnwindSafe(|| {
        _ = select! {
            send(&nobody, Panics) -> _ => unreachable!(),
            recv(&receiver) -> value => unreachable!("{value:?}"),
        };
    }));
    assert_eq!(result.unwrap_err().downcast_ref(), Some(&"on purpose"));
    assert_eq!((receiver.len(), values.map(|value| Arc::strong_count(&value))), (1, [1, 2]));
}
