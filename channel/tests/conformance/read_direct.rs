//! Bytes read into pages, past the page cache.

use crate::common::{each_driver, new_file};
use crate::row::{Cell, Input, Outcome, Row, Scene, ensure};
use crate::world;
use ec_channel::{EventKind, Pages, Request, Source};
use ec_test_support::{limit, skipped};
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;

pub static ROW: Row = Row {
    kind: EventKind::ReadDirect,
    on_descriptor: true,
    completes: Cell::Can { make: all, allowed: &[Outcome::Done] },
    fails: Cell::Can { make: || of(write_only(), 0), allowed: &[Outcome::Failed(libc::EBADF)] },
    // It waits for nobody: a cancel comes before it has begun, or too late.
    cancelled: Cell::Can { make: all, allowed: &[Outcome::Done, Outcome::Cancelled] },
    races: Cell::Can { make: all, allowed: &[Outcome::Done, Outcome::Cancelled] },
    shut_down: Cell::Can { make: all, allowed: &[Outcome::Done, Outcome::Cancelled] },
    inputs: &[
        Input { words: "a pipe", make: || of(world::pipe(), 0), gives: Err(libc::ESPIPE) },
        Input { words: "no descriptor", make: || of(world::not_open(), 0), gives: Err(libc::EBADF) },
        Input { words: "no room", make: no_room, gives: Ok(0) },
        Input { words: "behind the end", make: || of(some(), 1 << 40), gives: Ok(0) },
        Input { words: "the cursor's offset", make: || of(some(), u64::MAX), gives: Err(libc::EINVAL) },
    ],
};

fn of(file: Source, offset: u64) -> Scene {
    Scene::new(Request::read_direct(file, Pages::with_capacity(1), offset))
}

fn some() -> Source {
    world::file(b"some").into()
}

fn write_only() -> Source {
    std::fs::OpenOptions::new().write(true).open("/dev/null").unwrap().into()
}

fn no_room() -> Scene {
    Scene::new(Request::read_direct(some(), Pages::default(), 0))
}

fn all() -> Scene {
    of(some(), 0).check(|got, outcome| {
        let due = if outcome == Outcome::Done { &b"some"[..] } else { b"" };
        let pages = got.event.as_mut().and_then(|event| event.take_pages()).ok_or("no pages")?;
        ensure(*pages == *due, || format!("read {:?}", &*pages))
    })
}

#[test]
fn a_file_is_read_past_the_page_cache() {
    limit(30, || {
        let content: Vec<u8> = (0..3 * 4096 + 512).map(|at| (at / 512) as u8).collect();
        let (mut written, path) = new_file("read-direct", 0).unwrap();
        written.write_all(&content).unwrap();
        let file = File::options().read(true).custom_flags(libc::O_DIRECT).open(&path);
        std::fs::remove_file(&path).unwrap();
        let file = match file {
            Ok(file) => std::sync::Arc::new(file),
            Err(error) => return skipped(&format!("no O_DIRECT here: {error}")),
        };
        each_driver(|channel| {
            channel.post(Request::read_direct(file.clone(), Pages::with_capacity(8192), 4096)).unwrap();
            let event = channel.get_event().unwrap();
            assert!(*event.pages() == content[4096..3 * 4096], "{event:?}");
            channel.post(event.again().at_offset(8192)).unwrap();
            let event = channel.get_event().unwrap();
            assert!(*event.pages() == content[8192..], "{event:?}");
            channel.post(event.again().at_offset(100)).unwrap();
            assert_eq!(channel.get_event().unwrap().failure().unwrap().errno(), libc::EINVAL);
        })
    });
}
