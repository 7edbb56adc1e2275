//! What the rows of splice and tee have in common.

use crate::row::{Outcome, Scene, ensure};
use crate::world;
use ec_channel::{Request, Source};
use std::io::Write;
use std::sync::Arc;

/// The one or the other: from, to, and how much.
pub type Make = fn(Source, Source, usize) -> Request;

/// Into a pipe.
pub fn from(make: Make, source: Source) -> Scene {
    let (reader, writer) = world::piped();
    Scene::new(make(source, writer.into(), 100)).keeping(reader)
}

/// From a pipe that has four bytes.
pub fn to(make: Make, source: Source) -> Scene {
    let (reader, writer) = world::piped();
    (&*writer).write_all(b"here").unwrap();
    Scene::new(make(reader.into(), source, 100)).keeping(writer)
}

pub fn filled(make: Make, len: usize) -> Scene {
    let (reader, writer) = world::piped();
    (&*writer).write_all(b"here").unwrap();
    let (next, last) = world::piped();
    Scene::new(make(reader.into(), last.into(), len)).keeping((writer, next))
}

pub fn itself(make: Make) -> Scene {
    let (reader, writer) = world::piped();
    Scene::new(make(reader.into(), writer.into(), 100))
}

/// Each byte is where it is said to be.
pub fn waits(make: Make, stays: bool) -> Scene {
    let (reader, writer) = world::piped();
    let (next, last) = world::piped();
    let writes = writer.clone();
    Scene::new(make(reader.clone().into(), last.into(), 100))
        .cause(move || (&*writes).write_all(b"here").unwrap())
        .check(move |_, outcome| {
            let _open = writer;
            let (first, second) = (world::in_pipe(&reader), world::in_pipe(&next));
            let is_done = outcome == Outcome::Done;
            let due = |is_there| if is_there { &b"here"[..] } else { b"" };
            ensure(first == due(stays || !is_done) && second == due(is_done), || {
                format!("{outcome}, and there are {first:?}, {second:?}")
            })
        })
}

pub fn nobody_reads(make: Make) -> Scene {
    let (reader, writer) = world::piped();
    (&*writer).write_all(b"here").unwrap();
    let (_, last) = world::piped();
    Scene::new(make(reader.into(), last.into(), 100)).keeping(writer)
}

/// The second pipe has no room until somebody reads from it.
pub fn full(make: Make) -> Scene {
    let (reader, writer) = world::piped();
    (&*writer).write_all(b"here").unwrap();
    let (next, last) = world::piped();
    world::fill_pipe(&last, b'f');
    let reads = Arc::clone(&next);
    Scene::new(make(reader.into(), last.into(), 100))
        .cause(move || drop(world::in_pipe(&reads)))
        .keeping((writer, next))
}
