//! What the channel itself costs: an [echo server](echo), [wake-ups](wakeups), [timers that are cancelled](cancels), [reads of files](files), and `events posters=P getters=G batch=B driver=io_uring|epoll n=N [floor=1]`.
//!
//! P threads post N notifications in all, G threads get them. A notification is complete as it is posted: no system
//! call, no timer, so what is measured is the way through the channel (the request's allocation, `post`, the queue,
//! waking whoever waits, `get_event`, the event's end), in wall time from the first post to the last get, per event.
//! With batch=1 each is posted by `post` and got by `get_event`, else by `post_all` with B, and `get_events` with up to B at a time.
//!
//! Not more than `WINDOW` events are on their way: posters that are ahead give their CPU away, so that no figure is
//! one of a queue that grows. The floor is the same with numbers over crossbeam's unbounded channel.

mod cancels;
mod echo;
mod files;
mod floor;
mod pace;
mod product;
mod wakeups;

use common::{args, die_after, na, out};
use pace::Pace;
use std::sync::Barrier;
use std::time::Instant;

/// Something that carries events from posters to getters.
trait Carrier: Sync {
    fn post(&self, n: u64);
    /// Many at once.
    fn post_all(&self, numbers: std::ops::Range<u64>);
    /// After the last post: getters end when they have got all.
    fn close(&self);
    /// Calls `got` with how many have come, until there will be no more.
    fn get_all(&self, batch: usize, got: &mut dyn FnMut(usize));
}

fn main() {
    let a = args();
    match a.workload.as_str() {
        "events" => die_after(a.num("limit", 120)),
        "echo" => {
            die_after(a.num("limit", 620));
            common::raise_descriptors();
            echo::serve()
        }
        "cancels" => return cancels::run(),
        "files" => return files::run(),
        "wakeups" => return wakeups::run(),
        _ => na("no such workload"),
    }
    let (posters, getters) = (a.num("posters", 1), a.num("getters", 1));
    let (batch, n) = (a.num("batch", 1), a.num("n", 1_000_000) / posters * posters);
    let ns = if a.flag("floor") {
        run(&floor::Crossbeam::new(getters), posters, getters, batch, n)
    } else {
        run(&product::Channel::new(&a.str("driver", "")), posters, getters, batch, n)
    };
    out(&[("ns", ns / n as f64)]);
}

fn run(carrier: &dyn Carrier, posters: usize, getters: usize, batch: usize, n: usize) -> f64 {
    let pace = Pace::new(posters, getters);
    let ready = Barrier::new(posters + getters + 1);
    let (pace, ready) = (&pace, &ready);
    std::thread::scope(|s| {
        let all: Vec<_> = (0..getters)
            .map(|i| {
                s.spawn(move || {
                    ready.wait();
                    carrier.get_all(batch, &mut |k| pace.got(i, k));
                })
            })
            .collect();
        let some: Vec<_> = (0..posters)
            .map(|i| {
                s.spawn(move || {
                    ready.wait();
                    let mine = n / posters;
                    for k in (0..mine).step_by(batch) {
                        pace.before_post(i, k);
                        if batch == 1 {
                            carrier.post(k as u64);
                        } else {
                            carrier.post_all(k as u64..mine.min(k + batch) as u64);
                        }
                    }
                })
            })
            .collect();
        ready.wait();
        let t = Instant::now();
        some.into_iter().for_each(|thread| thread.join().unwrap());
        carrier.close();
        all.into_iter().for_each(|thread| thread.join().unwrap());
        let ns = t.elapsed().as_nanos() as f64;
        assert_eq!(pace.all_got(), n, "each event comes once");
        ns
    })
}
