//! Reads of 4 KiB at random places of a file: `events files path=.. depth=N seconds=S driver=.. [direct=1]`.
//!
//! One thread posts and gets, through one port. `depth` reads are under way; all that have come are posted again by one `post_all`. Half a
//! second to warm up is left out.

use crate::product;
use common::{args, cpu_secs, na, out};
use event_channel::channel::{Event, EventChannel, Pages, Request, Source};
use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::time::{Duration, Instant};

const BLOCK: usize = 4096;
const WARMING_UP: Duration = Duration::from_millis(500);

/// A place at random (xorshift).
struct Places {
    state: u64,
    blocks: u64,
}

impl Places {
    fn next(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        (self.state >> 11) % self.blocks * BLOCK as u64
    }
}

pub fn run() {
    let a = args();
    let (path, depth, direct) = (a.str("path", ""), a.num("depth", 32), a.flag("direct"));
    let seconds = Duration::from_secs(a.num("seconds", 3) as u64);
    let flags = if direct { libc::O_DIRECT } else { 0 };
    let file = File::options().read(true).custom_flags(flags).open(&path);
    let file = file.unwrap_or_else(|_| na("the file cannot be opened so"));
    let blocks = file.metadata().expect("its size").len() / BLOCK as u64;
    let source = Source::from(file);
    let mut places = Places { state: 0x9e37_79b9_7f4a_7c15, blocks };
    let channel = product::channel(&a.str("driver", ""));
    let first = (0..depth).map(|_| match direct {
        true => Request::read_direct(source.clone(), Pages::with_capacity(BLOCK), places.next()),
        false => Request::read_at(source.clone(), Vec::with_capacity(BLOCK), places.next()),
    });
    channel.post_all(first.collect::<Vec<_>>()).expect("posted");
    read(&channel, &mut places, depth, WARMING_UP);
    let (begun, cpu) = (Instant::now(), cpu_secs());
    let reads = read(&channel, &mut places, depth, seconds);
    let (wall, cpu) = (begun.elapsed(), cpu_secs() - cpu);
    out(&[
        ("reads_s", reads as f64 / wall.as_secs_f64()),
        ("cpu_us", cpu * 1e6 / reads as f64),
    ]);
    channel.shutdown();
}

/// Goes on for so long. Gives how many have come.
fn read(channel: &EventChannel, places: &mut Places, depth: usize, time: Duration) -> usize {
    let (end, mut reads) = (Instant::now() + time, 0);
    let mut got: Vec<Event> = Vec::with_capacity(depth);
    while Instant::now() < end {
        reads += channel.get_events(&mut got, depth, None).expect("events");
        let again = got.drain(..).map(|event| {
            assert_eq!(event.result().expect("read"), BLOCK);
            event.again().at_offset(places.next())
        });
        channel.post_all(again).expect("posted");
    }
    reads
}
