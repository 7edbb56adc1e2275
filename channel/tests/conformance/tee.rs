//! Bytes that were doubled from a pipe to another.

use crate::piped::{self, Make};
use crate::row::{Cell, Input, Outcome, Row};
use crate::world;
use ec_channel::{EventKind, Request};

const TEE: Make = |from, to, len| Request::tee(from, to, len);

pub static ROW: Row = Row {
    kind: EventKind::Tee,
    on_descriptor: true,
    completes: Cell::Can { make: || piped::waits(TEE, true), allowed: &[Outcome::Done] },
    fails: Cell::Can { make: || piped::nobody_reads(TEE), allowed: &[Outcome::Failed(libc::EPIPE)] },
    cancelled: Cell::Can { make: || piped::waits(TEE, true), allowed: &[Outcome::Cancelled] },
    races: Cell::Can { make: || piped::waits(TEE, true), allowed: &[Outcome::Done, Outcome::Cancelled] },
    shut_down: Cell::Can { make: || piped::waits(TEE, true), allowed: &[Outcome::Cancelled] },
    inputs: &[
        Input { words: "waits for room", make: || piped::full(TEE), gives: Ok(4) },
        Input { words: "the end of the input", make: || piped::from(TEE, world::pipe()), gives: Ok(0) },
        Input {
            words: "no descriptor",
            make: || piped::from(TEE, world::not_open()),
            gives: Err(libc::EBADF),
        },
        Input {
            words: "to no descriptor",
            make: || piped::to(TEE, world::not_open()),
            gives: Err(libc::EBADF),
        },
        Input { words: "O_PATH", make: || piped::from(TEE, world::path_only()), gives: Err(libc::EBADF) },
        Input { words: "to O_PATH", make: || piped::to(TEE, world::path_only()), gives: Err(libc::EBADF) },
        Input {
            words: "from the wrong end",
            make: || piped::from(TEE, world::piped().1.into()),
            gives: Err(libc::EBADF),
        },
        Input {
            words: "to the wrong end",
            make: || piped::to(TEE, world::piped().0.into()),
            gives: Err(libc::EBADF),
        },
        Input { words: "to itself", make: || piped::itself(TEE), gives: Err(libc::EINVAL) },
        Input { words: "nothing", make: || piped::filled(TEE, 0), gives: Ok(0) },
        Input { words: "a part", make: || piped::filled(TEE, 3), gives: Ok(3) },
        Input { words: "very much", make: || piped::filled(TEE, usize::MAX), gives: Ok(4) },
        Input {
            words: "a file",
            make: || piped::from(TEE, world::file(b"0123456789").into()),
            gives: Err(libc::EINVAL),
        },
        Input {
            words: "a socket",
            make: || piped::from(TEE, world::connected().0.into()),
            gives: Err(libc::EINVAL),
        },
        Input {
            words: "to a file",
            make: || piped::to(TEE, world::scratch().into()),
            gives: Err(libc::EINVAL),
        },
    ],
};
