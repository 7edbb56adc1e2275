//! A file's content brought to the disk.

use crate::row::{Cell, Input, Outcome, Row, Scene};
use crate::world;
use ec_channel::{EventKind, Request, Source};

pub static ROW: Row = row(
    EventKind::Fsync,
    [|| Scene::new(Request::fsync(clean())), || Scene::new(Request::fsync(world::not_open()))],
    &[
        Input { words: "a directory", make: || of(world::directory()), gives: Ok(0) },
        Input { words: "something written", make: || of(world::ten()), gives: Ok(0) },
        Input { words: "/dev/null", make: || of(world::null()), gives: Err(libc::EINVAL) },
        Input { words: "a pipe", make: || of(world::pipe()), gives: Err(libc::EINVAL) },
        Input { words: "a socket", make: || of(world::unconnected()), gives: Err(libc::EINVAL) },
        Input { words: "O_PATH", make: || of(world::path_only()), gives: Err(libc::EBADF) },
    ],
);

/// Of a kind that is done, or fails for want of a descriptor, and waits for nobody: a cancel comes before it has begun, or too late.
pub const fn row(kind: EventKind, [done, fails]: [fn() -> Scene; 2], inputs: &'static [Input]) -> Row {
    Row {
        kind,
        on_descriptor: true,
        completes: Cell::Can { make: done, allowed: &[Outcome::Done] },
        fails: Cell::Can { make: fails, allowed: &[Outcome::Failed(libc::EBADF)] },
        cancelled: Cell::Can { make: done, allowed: &[Outcome::Done, Outcome::Cancelled] },
        races: Cell::Can { make: done, allowed: &[Outcome::Done, Outcome::Cancelled] },
        shut_down: Cell::Can { make: done, allowed: &[Outcome::Done, Outcome::Cancelled] },
        inputs,
    }
}

fn of(file: Source) -> Scene {
    Scene::new(Request::fsync(file))
}

/// A file of which nothing is to be brought anywhere. (And open for reading only.)
pub fn clean() -> Source {
    std::fs::File::open("/proc/self/exe").unwrap().into()
}
