//! What the arms of a wait for the first of several are for, in the two words by which a wait is announced.
//!
//! A dump reads those words alone (`names.rs`): the task may go on meanwhile, and what it waited for may be gone. So nothing is referred
//! to. The first byte is the number of the arms. Then there is for each, as long as there is room, what it is, and a number that
//! belongs to that, in as many bytes as it needs.

use super::names::{self, Name};
use std::time::Duration;

/// What one arm waits for.
#[derive(Clone, Copy)]
pub struct What {
    kind: Kind,
    number: u64,
}

/// See [`What`]. 0 is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    ChannelRecv = 1,
    ChannelSend,
    OneshotRecv,
    OneshotClosed,
    Notification,
    /// The end of the task of that number.
    Join,
    /// The end of one of so many.
    JoinNext,
    /// For so many microseconds. 0 is not shown.
    Sleep,
    SleepUntil,
    Tick,
    /// Of that descriptor.
    Readable,
    Writable,
}

impl Kind {
    const ALL: [Kind; 12] = [
        Kind::ChannelRecv,
        Kind::ChannelSend,
        Kind::OneshotRecv,
        Kind::OneshotClosed,
        Kind::Notification,
        Kind::Join,
        Kind::JoinNext,
        Kind::Sleep,
        Kind::SleepUntil,
        Kind::Tick,
        Kind::Readable,
        Kind::Writable,
    ];

    fn of(byte: u8) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| *kind as u8 == byte)
    }

    /// As the wait for it alone says, but in a list.
    fn words(self, number: u64) -> String {
        let named = |what: &str| match names::text_of(number) {
            Some(name) => format!("{what} '{name}'"),
            None => what.to_owned(),
        };
        match self {
            Kind::ChannelRecv => named("channel recv"),
            Kind::ChannelSend => named("channel send"),
            Kind::OneshotRecv => named("oneshot recv"),
            Kind::OneshotClosed => named("oneshot closed"),
            Kind::Notification => named("notification"),
            Kind::Join => format!("join of task {number}"),
            Kind::JoinNext => format!("join_next of {number} tasks"),
            Kind::Sleep if number == 0 => String::from("sleep"),
            Kind::Sleep => format!("sleep {:?}", Duration::from_micros(number)),
            Kind::SleepUntil => String::from("sleep_until"),
            Kind::Tick => String::from("tick"),
            Kind::Readable => format!("wait_readable of descriptor {number}"),
            Kind::Writable => format!("wait_writable of descriptor {number}"),
        }
    }
}

impl What {
    pub(crate) fn new(kind: Kind, number: u64) -> What {
        What { kind, number }
    }

    pub(crate) fn named(kind: Kind, name: &Name) -> What {
        What::new(kind, u64::from(name.number()))
    }

    pub(crate) fn sleep(asked: Duration) -> What {
        What::new(Kind::Sleep, asked.as_micros().try_into().unwrap_or(0))
    }
}

const ROOM: usize = 16;

/// What is announced by who waits for the first of these.
pub(crate) fn words_of(arms: impl Iterator<Item = What>) -> [u64; 2] {
    let mut bytes = [0; ROOM];
    let mut used = 1;
    let mut is_full = false;
    for What { kind, number } in arms {
        bytes[0] = u8::saturating_add(bytes[0], 1);
        is_full |= 1 + length_of(number) > ROOM - used;
        if is_full {
            continue;
        }
        bytes[used] = kind as u8;
        used += 1;
        let mut rest = number;
        for place in 0..length_of(number) {
            let is_last = place + 1 == length_of(number);
            bytes[used] = (rest & 0x7f) as u8 | if is_last { 0 } else { 0x80 };
            rest >>= 7;
            used += 1;
        }
    }
    let (token, detail) = bytes.split_at(ROOM / 2);
    [token, detail].map(|half| u64::from_le_bytes(half.try_into().expect("half of them")))
}

/// In bytes of seven bits each.
fn length_of(number: u64) -> usize {
    (u64::BITS - number.leading_zeros()).div_ceil(7).max(1) as usize
}

/// The words of a dump for what [`words_of`] gave.
pub(crate) fn describe(token: u64, detail: u64) -> String {
    let mut bytes = token.to_le_bytes().into_iter().chain(detail.to_le_bytes());
    let arms = usize::from(bytes.next().unwrap_or(0));
    let mut said: Vec<String> = Vec::new();
    while let Some(kind) = bytes.next().and_then(Kind::of) {
        let mut number = 0;
        for (place, byte) in bytes.by_ref().enumerate() {
            number |= u64::from(byte & 0x7f).checked_shl(7 * place as u32).unwrap_or(0);
            if byte & 0x80 == 0 {
                break;
            }
        }
        said.push(kind.words(number));
    }
    let more = arms.saturating_sub(said.len());
    if more > 0 {
        said.push(format!("and {more} more"));
    }
    said.join(", ")
}
