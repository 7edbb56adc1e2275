//! Signals to the process. (What else is particular to them: `channel/tests/signals.rs`.)

use crate::row::{Cell, Input, Outcome, Row, Scene, ensure};
use ec_channel::{EventKind, Request};
use std::sync::{Condvar, Mutex};
use std::time::Duration;

pub static ROW: Row = Row {
    kind: EventKind::Signal,
    on_descriptor: true,
    completes: Cell::Can { make: raised, allowed: &[Outcome::Done] },
    fails: Cell::Cannot("what cannot be caught is refused as the request is made"),
    cancelled: Cell::Can { make: raised, allowed: &[Outcome::Cancelled] },
    races: Cell::Can { make: raised, allowed: &[Outcome::Done, Outcome::Cancelled] },
    shut_down: Cell::Can { make: raised, allowed: &[Outcome::Cancelled] },
    inputs: &[
        Input { words: "exclusive", make: exclusive, gives: Ok(0) },
        Input { words: "a limit", make: limited, gives: Err(libc::ETIME) },
    ],
};

/// A signal that no other scene has at the time. It is caught, whatever becomes of the scene's own request.
struct Number(i32, #[expect(dead_code)] Request);

static FREE: Mutex<Vec<i32>> = Mutex::new(Vec::new());
static FREED: Condvar = Condvar::new();

impl Number {
    fn new() -> Self {
        static FILL: std::sync::Once = std::sync::Once::new();
        FILL.call_once(|| FREE.lock().unwrap().extend(libc::SIGRTMIN() + 1..libc::SIGRTMIN() + 9));
        let mut free = FREED.wait_while(FREE.lock().unwrap(), |free| free.is_empty()).unwrap();
        let signal = free.pop().unwrap();
        drop(free);
        Number(signal, Request::signal(signal).unwrap())
    }
}

impl Drop for Number {
    fn drop(&mut self) {
        FREE.lock().unwrap().push(self.0);
        FREED.notify_one();
    }
}

fn of(number: &Number) -> Request {
    Request::signal(number.0).unwrap()
}

fn raise(signal: i32) {
    // SAFETY: no pointer is passed.
    assert_eq!(unsafe { libc::raise(signal) }, 0);
}

fn raised() -> Scene {
    let number = Number::new();
    let signal = number.0;
    Scene::new(of(&number))
        .cause(move || raise(signal))
        .check(move |got, outcome| {
            let told = got.event.as_ref().and_then(|event| event.signal());
            let is_due = match told {
                Some(told) => (told.number, told.occurrences) == (signal, 1) && outcome == Outcome::Done,
                None => outcome != Outcome::Done,
            };
            ensure(is_due, || format!("{got:?}: {told:?}"))
        })
        .keeping(number)
}

fn exclusive() -> Scene {
    let number = Number::new();
    let signal = number.0;
    Scene::new(of(&number).exclusive()).cause(move || raise(signal)).keeping(number)
}

fn limited() -> Scene {
    let number = Number::new();
    Scene::new(of(&number).within(Duration::from_micros(10))).late().keeping(number)
}
