//! An epoch: a population of actors for a few seconds, and the checks at its end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use event_channel::net::TcpListener;
use event_channel::runtime::Builder;
use event_channel::task::{self, JoinHandle};
use event_channel::{Runtime, time};

use crate::actor::{Actor, End, joined};
use crate::post::Mailbox;
use crate::random::Random;
use crate::steps::net;
use crate::tally;
use crate::watch::{self, Held, check, fail, progress};
use crate::world::World;

pub const MAX_THREADS: usize = 64;
const KEEP_ALIVE: Duration = Duration::from_millis(300);
/// How long all may take to become as before; a generous limit for a machine with much else to do.
const SETTLED: Duration = Duration::from_secs(10);
/// So long after its end an epoch must be over.
const OVERDUE: Duration = Duration::from_secs(60);

/// A runtime that comes and goes before anything is measured. Says which driver it has.
pub fn first_life() -> String {
    let runtime = build(builder(1));
    runtime.run(|| task::spawn(|| thread::sleep(Duration::from_millis(5))).join()).ok();
    let driver = runtime.channel().driver().kind().to_string();
    end(Arc::new(runtime));
    driver
}

fn builder(cores: usize) -> Builder {
    Runtime::builder().cores(cores).max_threads(MAX_THREADS).keep_alive(KEEP_ALIVE)
}

fn build(builder: Builder) -> Runtime {
    builder.build().unwrap_or_else(|error| fail!("a runtime: {error}"))
}

pub fn runtime(random: &mut Random) -> Arc<Runtime> {
    let builder = builder(random.between(1, 4) as usize);
    let runtime = Arc::new(build(if random.one_in(4) { builder.force_migration() } else { builder }));
    watch::about(Some(runtime.clone()));
    runtime
}

/// What the process holds with `runtime` before anything has happened in it.
pub fn alive(runtime: &Runtime) -> Held {
    runtime.run(|| time::sleep(Duration::from_millis(1)));
    Held::settled()
}

pub fn end(runtime: Arc<Runtime>) {
    watch::about(None);
    if let Err(error) = runtime.shutdown(Duration::from_secs(30)) {
        fail!("{error}");
    }
    let metrics = runtime.metrics();
    check!(metrics.tasks_live == 0 && metrics.events_lost == 0, "after a shutdown: {metrics:?}");
    tally::add(&metrics);
}

/// Lets actors live for `length`.
pub fn run(runtime: &Arc<Runtime>, random: &mut Random, length: Duration) {
    let over = Arc::new(AtomicBool::new(false));
    let theirs = over.clone();
    thread::spawn(move || {
        let end = Instant::now() + length + OVERDUE;
        while !theirs.load(Ordering::Relaxed) {
            check!(Instant::now() < end, "an epoch does not end");
            thread::sleep(Duration::from_millis(20));
        }
    });
    runtime.run(|| population(runtime, random, length));
    over.store(true, Ordering::Relaxed);
}

fn population(runtime: &Arc<Runtime>, random: &mut Random, length: Duration) {
    let listener = TcpListener::bind(SocketAddr::from(net::ANY)).unwrap_or_else(|error| fail!("{error}"));
    let echo = listener.local_addr().unwrap_or_else(|error| fail!("{error}"));
    let server = task::spawn(move || net::serve(&listener));
    let (boxes, readers): (Vec<_>, Vec<_>) = (0..4).map(|number| Mailbox::open(number % 2 == 1)).unzip();
    let world = Arc::new(World::new(runtime.clone(), Instant::now() + length, echo, boxes));
    let clock = task::spawn({
        let world = world.clone();
        move || beat(&world)
    });

    let most = random.between(5, 100) as usize;
    let mut actors: Vec<Live> = Vec::new();
    while !world.is_over() {
        actors = actors.into_iter().filter_map(Live::if_alive).collect();
        while actors.len() < most {
            actors.push(Live::spawn(&world, random));
        }
        if random.one_in(4) {
            let at = random.between(0, most as u64 - 1) as usize;
            actors[at].cancel();
        }
        if random.one_in(200) {
            flood(random);
        }
        time::sleep(random.milliseconds(1, 10));
    }
    actors.into_iter().for_each(Live::join);
    while world.detached.load(Ordering::SeqCst) > 0 {
        time::sleep(Duration::from_millis(1));
    }
    // Nobody writes any more.
    world.boxes.iter().for_each(Mailbox::close);
    server.cancel();
    for task in readers.into_iter().chain([server, clock]) {
        task.join().unwrap_or_else(|_| fail!("a task has panicked"));
    }
    let (held, locked) = (world.lock.lock().map_or(0, |held| *held), world.locked.load(Ordering::SeqCst));
    check!(held == locked, "the lock was held {locked} times, and counts {held}");
    // Those of a thread of its own are dropped after it was joined.
    wait_for(|| match world.locals.load(Ordering::SeqCst) {
        0 => Ok(()),
        left => Err(format!("{left} values in thread-locals were not dropped")),
    });
}

/// How late timers come, whatever the others do to their threads.
fn beat(world: &World) {
    let span = Duration::from_millis(5);
    while !world.is_over() {
        let start = Instant::now();
        time::sleep(span);
        tally::LATEST.at_least((start.elapsed() - span).as_micros() as u64);
    }
}

/// More blocked tasks than there may be threads.
fn flood(random: &mut Random) {
    let count = random.between(20, 2 * MAX_THREADS as u64);
    tally::BLOCKS.add(count);
    let tasks: Vec<_> = (0..count)
        .map(|_| {
            let span = random.milliseconds(1, 20);
            task::spawn(move || thread::sleep(span))
        })
        .collect();
    tasks.into_iter().for_each(|task| task.join().unwrap_or_else(|_| fail!("a task has panicked")));
    progress();
}

/// A top-level actor.
struct Live {
    seed: u64,
    task: JoinHandle<End>,
    cancelled: bool,
}

impl Live {
    fn spawn(world: &Arc<World>, random: &mut Random) -> Live {
        let seed = random.number();
        let actor = Actor::new(world, seed, 0);
        Live { seed, task: task::spawn(move || actor.live()), cancelled: false }
    }

    fn cancel(&mut self) {
        self.task.cancel();
        self.cancelled = true;
    }

    fn if_alive(self) -> Option<Live> {
        if self.task.is_finished() {
            self.join();
            return None;
        }
        Some(self)
    }

    fn join(self) {
        joined(self.task, self.seed, self.cancelled);
    }
}

/// All tasks have been joined: the pool goes back to what it was, and nothing is left.
pub fn settle(runtime: &Runtime, alive: &Held) -> Held {
    wait_for(|| {
        let (metrics, held) = (runtime.metrics(), Held::now());
        let settled = metrics.tasks_live == 0
            && metrics.events_lost == 0
            && (metrics.workers, metrics.workers_stray, metrics.workers_spare) == (metrics.cores, 0, 0)
            && metrics.grown == metrics.shrunk
            && metrics.injected == 0
            && metrics.queued.iter().all(|&queued| queued == 0)
            && held.threads <= alive.threads
            && held.descriptors <= alive.descriptors;
        if settled { Ok(()) } else { Err(format!("{held:?} (at first {alive:?}), {metrics:?}")) }
    });
    progress();
    Held::now()
}

/// Until there is nothing more to say.
fn wait_for(look: impl Fn() -> Result<(), String>) {
    let end = Instant::now() + SETTLED;
    while let Err(what) = look() {
        check!(Instant::now() < end, "not as before after {SETTLED:?}: {what}");
        // The limit here says more than the watchdog does.
        progress();
        time::sleep(Duration::from_millis(5));
    }
}
