//! The kernel told how a file will be used.

use crate::fsync::row;
use crate::row::{Input, Row, Scene};
use crate::world;
use ec_channel::{Advice, EventKind, Request, Source};

pub static ROW: Row = row(
    EventKind::Advise,
    [|| of(world::ten(), 10, Advice::WillNeed), || of(world::not_open(), 10, Advice::WillNeed)],
    &[
        Input { words: "a mark", make: || of(world::ten(), 0, Advice::Random), gives: Ok(0) },
        Input { words: "no mark", make: || of(world::ten(), 0, Advice::Normal), gives: Ok(0) },
        Input { words: "in order", make: || of(world::ten(), 0, Advice::Sequential), gives: Ok(0) },
        Input { words: "to be forgotten", make: || of(world::ten(), 4096, Advice::DontNeed), gives: Ok(0) },
        Input { words: "once", make: || of(world::ten(), 4096, Advice::NoReuse), gives: Ok(0) },
        Input {
            words: "more than the ring takes",
            make: || of(world::ten(), 1 << 40, Advice::WillNeed),
            gives: Ok(0),
        },
        Input {
            words: "too much",
            make: || of(world::ten(), 1 << 63, Advice::DontNeed),
            gives: Err(libc::EINVAL),
        },
        Input { words: "a pipe", make: || of(world::pipe(), 10, Advice::WillNeed), gives: Err(libc::ESPIPE) },
        Input {
            words: "O_PATH",
            make: || of(world::path_only(), 10, Advice::WillNeed),
            gives: Err(libc::EBADF),
        },
    ],
);

fn of(file: Source, len: u64, advice: Advice) -> Scene {
    Scene::new(Request::advise(file, 0, len, advice))
}
