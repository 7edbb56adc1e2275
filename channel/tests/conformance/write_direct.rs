//! Bytes written from pages, past the page cache where the file is opened so.

use crate::common::each_driver;
use crate::row::{Cell, Input, Outcome, Row, Scene, ensure};
use crate::world;
use crate::write_at::{appending, content, read_only};
use ec_channel::{EventKind, Pages, Request, Source};
use ec_test_support::{limit, skipped};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::sync::Arc;

const LEN: usize = 4096;

pub static ROW: Row = Row {
    kind: EventKind::WriteDirect,
    on_descriptor: true,
    completes: Cell::Can { make: second, allowed: &[Outcome::Done] },
    fails: Cell::Can { make: || of(read_only(), 0), allowed: &[Outcome::Failed(libc::EBADF)] },
    // It waits for nobody: a cancel comes before it has begun, or too late.
    cancelled: Cell::Can { make: second, allowed: &[Outcome::Done, Outcome::Cancelled] },
    races: Cell::Can { make: second, allowed: &[Outcome::Done, Outcome::Cancelled] },
    shut_down: Cell::Can { make: second, allowed: &[Outcome::Done, Outcome::Cancelled] },
    inputs: &[
        Input { words: "/dev/null", make: || of(world::null(), 0), gives: Ok(LEN) },
        Input { words: "a pipe", make: || of(world::pipe(), 0), gives: Err(libc::ESPIPE) },
        Input { words: "no descriptor", make: || of(world::not_open(), 0), gives: Err(libc::EBADF) },
        Input {
            words: "beyond the last offset",
            make: || of(world::ten(), 1 << 63),
            gives: Err(libc::EINVAL),
        },
        Input { words: "nothing", make: nothing, gives: Ok(0) },
        Input { words: "it appends", make: appends, gives: Ok(LEN) },
    ],
};

fn pages(byte: u8) -> Pages {
    let mut pages = Pages::with_capacity(LEN);
    pages.resize(LEN);
    pages.fill(byte);
    pages
}

fn of(file: Source, offset: u64) -> Scene {
    Scene::new(Request::write_direct(file, pages(2), offset))
}

/// The second of two pages is another one then, if it was done.
fn second() -> Scene {
    let file = Arc::new(world::file(&[1; 2 * LEN]));
    of(file.clone().into(), LEN as u64).check(move |got, outcome| {
        let due = if outcome == Outcome::Done { 2 } else { 1 };
        let is = content(&file);
        ensure(is == [[1; LEN], [due; LEN]].concat(), || format!("{got:?}"))?;
        let pages = got.event.as_mut().and_then(|event| event.take_pages());
        ensure(pages.is_none_or(|pages| *pages == [2; LEN]), || "its pages are others".to_owned())
    })
}

fn nothing() -> Scene {
    Scene::new(Request::write_direct(world::ten(), Pages::with_capacity(LEN), 0))
}

fn appends() -> Scene {
    let file = Arc::new(appending());
    file.write_all_at(b"0123456789", 0).unwrap();
    of(file.clone().into(), 3)
        .check(move |_, _| ensure(content(&file).len() == LEN + 10, || "it does not append".to_owned()))
}

#[test]
fn what_is_written_past_the_cache_is_read_past_it() {
    limit(30, || {
        let path = std::env::temp_dir().join(format!("ec-direct-{}", std::process::id()));
        let mut options = std::fs::OpenOptions::new();
        options.read(true).write(true).create(true).custom_flags(libc::O_DIRECT);
        let file = match options.open(&path) {
            Ok(file) => Arc::new(file),
            Err(error) => return skipped(&format!("no O_DIRECT here: {error}")),
        };
        std::fs::remove_file(path).unwrap();
        each_driver(|channel| {
            for byte in 1..4 {
                let at = u64::from(byte) * LEN as u64;
                channel.post(Request::write_direct(file.clone(), pages(byte), at)).unwrap();
                let mut event = channel.get_event().unwrap();
                assert_eq!((event.result().unwrap(), event.pages()), (LEN, &[byte; LEN][..]));
                let pages = event.take_pages().unwrap();
                assert!(event.pages().is_empty());
                channel.post(Request::read_direct(file.clone(), pages, at)).unwrap();
                assert_eq!(channel.get_event().unwrap().pages(), [byte; LEN]);
            }
            channel.post(Request::write_direct(file.clone(), pages(9), 7)).unwrap();
            assert_eq!(channel.get_event().unwrap().failure().unwrap().errno(), libc::EINVAL);
        })
    });
}
