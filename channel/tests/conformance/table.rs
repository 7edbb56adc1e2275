//! The table: each kind in each column, on each driver.
//!
//! In each try a scene is set, its request posted, and what the column says done to it, at a moment that differs from try to try. Then its
//! event must come, once, with an outcome that is allowed, and nothing may be lost. Where two outcomes are allowed both must have been seen
//! in the end.

use crate::common::Random;
pub use crate::common::all_drivers;
use crate::named;
use crate::observed::{Channel, Got};
use crate::row::{Cell, Column, Input, Outcome, Row, Scene};
use ec_channel::{Driver, EventChannel, EventKind, Request};
use ec_test_support::skipped;
use std::fmt;
use std::hint::spin_loop;
use std::time::Duration;

/// At most so many until each outcome of a race has been seen, and so many in any case.
const MOST_TRIES: u64 = 10_000;
const TRIES: u64 = 200;
/// To close an inotify descriptor takes the kernel some 10 ms; and a process is dear, too.
const DEAR_TRIES: u64 = 10;
/// Of what does not race.
const FEW_TRIES: u64 = 6;

/// A limit against hangs.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Why a channel fails the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// The outcome is none of those that are allowed.
    NotAllowed(Outcome),
    /// Its event came again, or one came that is nobody's.
    Twice,
    /// Its event did not come, not even when the channel was shut down.
    Never,
    /// Its event came only when the channel was shut down.
    Stuck,
    /// The outcome is not true, or something is lost.
    Lost(String),
    /// This outcome was not seen in so many tries.
    NotSeen(Outcome, u64),
    /// The input gave something else than it should.
    Gives(Result<usize, i32>),
    /// Some other promise is broken.
    Broken(&'static str),
}

/// How often each outcome was seen.
pub type Seen = Vec<(Outcome, u64)>;

/// A channel, and how long is waited for an event on it before it counts as missing.
pub struct Bench<'a> {
    pub make: &'a dyn Fn() -> Box<dyn Channel>,
    pub patience: Duration,
}

/// What is done to a request that was posted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Play {
    /// The cause comes first, then the post.
    Early,
    /// The port has it when the cause comes.
    Late,
    /// Cancelled before, or after, the port has it.
    CancelPosted,
    CancelBegun,
    /// Cancelled behind the cause, before or after the port has heard of that.
    CancelCaused,
    CancelDone,
    /// Cause and cancel at once: the one in another thread, or the other, or both while this one sleeps.
    CauseElsewhere,
    CancelElsewhere,
    BothElsewhere,
}

const RACES: [Play; 7] = [
    Play::CancelPosted,
    Play::CancelBegun,
    Play::CancelCaused,
    Play::CancelDone,
    Play::CauseElsewhere,
    Play::CancelElsewhere,
    Play::BothElsewhere,
];

impl Bench<'_> {
    /// A whole row of the table. An error says where it goes wrong first.
    pub fn row(&self, row: &Row) -> Result<(), (String, Wrong)> {
        for column in Column::ALL {
            let place = format!("{}, {column:?}", row.kind);
            match (row.cell(column), self.cell(row, column)) {
                (Cell::Cannot(why), _) => eprintln!("{place}: {why}"),
                (_, Ok(seen)) => {
                    let counts = seen.iter().map(|(outcome, count)| format!("{count} {outcome}"));
                    eprintln!("{place}: {}", counts.collect::<Vec<_>>().join(", "));
                }
                (_, Err(wrong)) => return Err((place, wrong)),
            }
        }
        for input in row.inputs {
            let place = || format!("{}, {} (to give {:?})", row.kind, input.words, input.gives);
            self.input(input).map_err(|wrong| (place(), wrong))?;
        }
        Ok(())
    }

    /// One cell of the table.
    pub fn cell(&self, row: &Row, column: Column) -> Result<Seen, Wrong> {
        let Cell::Can { make, allowed } = row.cell(column) else { return Ok(Vec::new()) };
        assert!(matches!(allowed.len(), 1 | 2), "two outcomes at most");
        let mut seen: Seen = allowed.iter().map(|outcome| (*outcome, 0)).collect();
        let channel = (self.make)();
        let mut random = Random(0x5eed + row.kind as u64);
        let least = match column {
            Column::Races if matches!(row.kind, EventKind::Watch | EventKind::ChildExit) => DEAR_TRIES,
            Column::Races => TRIES,
            _ => FEW_TRIES,
        };
        for at in 0.. {
            let missing = seen.iter().find(|(_, count)| *count == 0);
            match missing {
                None if at >= least => break,
                Some((outcome, _)) if at == MOST_TRIES => return Err(Wrong::NotSeen(*outcome, at)),
                _ => {}
            }
            let scene = make();
            assert_eq!(scene.request.kind(), row.kind);
            let outcome = match column {
                Column::ShutDown => self.shut_down(scene, allowed, at % 2 == 0)?,
                _ => {
                    let play = match column {
                        Column::Races => RACES[random.below(RACES.len() as u64) as usize],
                        Column::Cancelled if at % 2 == 0 => Play::CancelPosted,
                        Column::Cancelled => Play::CancelBegun,
                        _ if scene.early && at % 2 == 0 => Play::Early,
                        _ => Play::Late,
                    };
                    self.attempt(&*channel, scene, at, play, &mut random, |got| judged(got, allowed))?
                }
            };
            let place = seen.iter_mut().find(|(one, _)| *one == outcome).expect("it is allowed");
            place.1 += 1;
        }
        self.end(&*channel)?;
        Ok(seen)
    }

    /// What is odd or wrong about a request gives exactly this.
    fn input(&self, input: &Input) -> Result<(), Wrong> {
        let channel = (self.make)();
        let exactly = |got: &Got| match got.result == input.gives {
            true => Ok(Outcome::of(got)),
            false => Err(Wrong::Gives(got.result)),
        };
        for (at, play) in [Play::Late, Play::Early].into_iter().enumerate() {
            let scene = (input.make)();
            if scene.early || play == Play::Late {
                self.attempt(&*channel, scene, at as u64, play, &mut Random(1), exactly)?;
            }
        }
        self.end(&*channel)
    }

    fn attempt(
        &self,
        channel: &dyn Channel,
        scene: Scene,
        token: u64,
        play: Play,
        random: &mut Random,
        judge: impl FnOnce(&Got) -> Result<Outcome, Wrong>,
    ) -> Result<Outcome, Wrong> {
        let Scene { request, mut cause, check, .. } = scene;
        let kind = request.kind();
        // Once.
        let mut cause = || std::mem::replace(&mut cause, Box::new(|| ()))();
        if play == Play::Early {
            cause();
        }
        let id = channel.post(request.token(token)).map_err(|_| Wrong::Broken("a post is refused"))?;
        let mut came = Vec::new();
        if !matches!(play, Play::Early | Play::CancelPosted) {
            // (Begun by now, if not complete.)
            came.extend(channel.get(Duration::ZERO).ok().flatten());
        }
        let (soon, later) = (spins(random), spins(random));
        match play {
            Play::Early => {}
            Play::Late => cause(),
            Play::CancelPosted | Play::CancelBegun => drop(channel.cancel(id)),
            Play::CancelCaused => {
                cause();
                channel.cancel(id);
            }
            Play::CancelDone => {
                cause();
                came.extend(channel.get(Duration::ZERO).ok().flatten());
                channel.cancel(id);
            }
            Play::CauseElsewhere => std::thread::scope(|s| {
                s.spawn(|| (spin(soon), cause()));
                spin(later);
                channel.cancel(id);
                self.wait(channel, &mut came);
            }),
            Play::CancelElsewhere => std::thread::scope(|s| {
                s.spawn(|| (spin(soon), channel.cancel(id)));
                spin(later);
                cause();
                self.wait(channel, &mut came);
            }),
            Play::BothElsewhere => std::thread::scope(|s| {
                let (cancel_first, cause) = (random.below(2) == 0, &mut cause);
                s.spawn(move || {
                    spin(soon);
                    if cancel_first {
                        channel.cancel(id);
                    }
                    cause();
                    spin(later);
                    channel.cancel(id);
                });
                self.wait(channel, &mut came);
            }),
        }
        self.wait(channel, &mut came);
        if came.is_empty() {
            return Err(self.missing(channel));
        }
        // (The next try finds what comes again later.)
        came.extend(channel.get(Duration::ZERO).ok().flatten());
        cause();
        let [got] = &mut came[..] else { return Err(Wrong::Twice) };
        if (got.id, got.token) != (id, token) {
            return Err(Wrong::Twice);
        }
        if got.kind != kind {
            return Err(Wrong::Broken("an event is of another kind than its request"));
        }
        if channel.cancel(id) {
            return Err(Wrong::Broken("what has come back can be cancelled"));
        }
        let outcome = judge(got)?;
        check(got, outcome).map_err(Wrong::Lost)?;
        Ok(outcome)
    }

    /// Until something has come, if nothing has yet.
    fn wait(&self, channel: &dyn Channel, came: &mut Vec<Got>) {
        if came.is_empty() {
            came.extend(channel.get(self.patience).ok().flatten());
        }
    }

    /// What has not come: does it come when the channel is shut down?
    fn missing(&self, channel: &dyn Channel) -> Wrong {
        channel.shutdown();
        match channel.get(self.patience) {
            Ok(Some(_)) => Wrong::Stuck,
            _ => Wrong::Never,
        }
    }

    /// Nothing more comes, and that is said.
    fn end(&self, channel: &dyn Channel) -> Result<(), Wrong> {
        channel.shutdown();
        match channel.get(self.patience) {
            Ok(Some(_)) => Err(Wrong::Twice),
            Ok(None) => Err(Wrong::Broken("a channel that was shut down says nothing")),
            Err(_) => Ok(()),
        }
    }

    fn shut_down(&self, scene: Scene, allowed: &[Outcome], begun: bool) -> Result<Outcome, Wrong> {
        let channel = (self.make)();
        let kind = scene.request.kind();
        let id = channel.post(scene.request).map_err(|_| Wrong::Broken("a post is refused"))?;
        let mut came = Vec::new();
        if begun {
            came.extend(channel.get(Duration::ZERO).ok().flatten());
        }
        channel.shutdown();
        self.wait(&*channel, &mut came);
        if came.is_empty() {
            return Err(Wrong::Never);
        }
        self.end(&*channel)?;
        (scene.cause)();
        let mut got = came.remove(0);
        if got.id != id || !came.is_empty() {
            return Err(Wrong::Twice);
        }
        let outcome = judged(&got, allowed)?;
        (scene.check)(&mut got, outcome).map_err(Wrong::Lost)?;
        let refused =
            channel.post(Request::timer(Duration::ZERO)).map_err(|refused| refused.into_request().kind());
        if refused != Err(EventKind::Timer) {
            return Err(Wrong::Broken("after a shutdown something can be posted"));
        }
        assert_eq!(got.kind, kind);
        Ok(outcome)
    }
}

fn judged(got: &Got, allowed: &[Outcome]) -> Result<Outcome, Wrong> {
    let outcome = Outcome::of(got);
    if allowed.contains(&outcome) { Ok(outcome) } else { Err(Wrong::NotAllowed(outcome)) }
}

/// Few as often as many.
fn spins(random: &mut Random) -> u64 {
    let most = 1 << random.below(15);
    random.below(most)
}

fn spin(n: u64) {
    (0..n).for_each(|_| spin_loop());
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Wrong::NotAllowed(outcome) => write!(f, "it is not allowed to come to this: {outcome}"),
            Wrong::Twice => f.write_str("an event came that was not due: again, or nobody's"),
            Wrong::Never => f.write_str("its event never came"),
            Wrong::Stuck => f.write_str("its event came only when the channel was shut down"),
            Wrong::Lost(words) => f.write_str(words),
            Wrong::NotSeen(outcome, tries) => write!(f, "in {tries} tries it never came to this: {outcome}"),
            Wrong::Gives(result) => write!(f, "it gave {result:?}"),
            Wrong::Broken(words) => f.write_str(words),
        }
    }
}

pub fn channel_on(driver: Driver) -> EventChannel {
    EventChannel::builder().driver(driver).build().expect("it was there a moment ago")
}

/// The whole row, on each driver.
pub fn holds(row: &Row) {
    if let Some(why) = named::missing(row.kind) {
        return skipped(why);
    }
    for driver in all_drivers() {
        eprintln!("on {driver}");
        let make = || Box::new(channel_on(driver)) as Box<dyn Channel>;
        let bench = Bench { make: &make, patience: PATIENCE };
        if let Err((place, wrong)) = bench.row(row) {
            panic!("{place}, on {driver}: {wrong}");
        }
    }
}
