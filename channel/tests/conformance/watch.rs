//! What happens in a directory. (What else is particular to it: `channel/tests/watch.rs`.)

use crate::common::Scratch;
use crate::row::{Cell, Input, Outcome, Row, Scene, ensure};
use ec_channel::{EventKind, Request, WatchFor};

pub static ROW: Row = Row {
    kind: EventKind::Watch,
    on_descriptor: true,
    completes: Cell::Can { make: created, allowed: &[Outcome::Done] },
    fails: Cell::Cannot("what cannot be watched is refused as the request is made"),
    cancelled: Cell::Can { make: created, allowed: &[Outcome::Cancelled] },
    races: Cell::Can { make: created, allowed: &[Outcome::Done, Outcome::Cancelled] },
    shut_down: Cell::Can { make: created, allowed: &[Outcome::Cancelled] },
    inputs: &[
        Input { words: "a file that is deleted", make: deleted, gives: Ok(0) },
        Input { words: "nothing to be told of", make: gone, gives: Ok(0) },
        Input { words: "a limit", make: limited, gives: Err(libc::ETIME) },
    ],
};

fn of(place: &Scratch, what: WatchFor) -> Request {
    Request::watch(&**place, what).unwrap()
}

fn created() -> Scene {
    let place = Scratch::new();
    let path = place.join("new");
    Scene::new(of(&place, WatchFor::CREATED))
        .cause(move || std::fs::write(path, "").unwrap())
        .check(|got, outcome| {
            let change = got.event.as_ref().and_then(|event| event.change());
            let is_due = change.map(|change| (change.what(), change.name()))
                == (outcome == Outcome::Done).then_some((WatchFor::CREATED, Some("new".as_ref())));
            ensure(is_due, || format!("{got:?}: {change:?}"))
        })
        .keeping(place)
}

fn deleted() -> Scene {
    let place = Scratch::new();
    let path = place.join("file");
    std::fs::write(&path, "").unwrap();
    let request = Request::watch(&path, WatchFor::SELF_DELETED).unwrap();
    Scene::new(request).cause(move || std::fs::remove_file(path).unwrap()).keeping(place)
}

/// That it has gone is told all the same.
fn gone() -> Scene {
    let place = Scratch::new();
    let nothing = WatchFor::SELF_DELETED & WatchFor::CREATED;
    let request = of(&place, nothing);
    Scene::new(request).cause(move || drop(place))
}

fn limited() -> Scene {
    let place = Scratch::new();
    let request = of(&place, WatchFor::ALL).within(std::time::Duration::from_micros(10));
    Scene::new(request).late().keeping(place)
}
