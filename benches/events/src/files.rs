//! Reads of 4 KiB at random places of a file: `events files path=.. depth=N seconds=S driver=.. [direct=1] [cold=READS]`.
//!
//! One thread posts and gets, through one port. `depth` reads are under way; all that have come are posted again by one `post_all`. Half a
//! second to warm up is left out. With `cold` nothing of the file is cached at first, and so many reads are made, of places that are all
//! different.

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
    /// Each once: so many blocks further each time.
    stride: Option<u64>,
}

impl Places {
    fn next(&mut self) -> u64 {
        if let Some(stride) = self.stride {
            self.state = (self.state + stride) % self.blocks;
            return self.state * BLOCK as u64;
        }
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
    let descriptor = std::os::fd::AsRawFd::as_raw_fd(&file);
    let source = Source::from(file);
    let cold = a.num("cold", 0);
    let mut places =
        Places { state: 0x9e37_79b9_7f4a_7c15, blocks, stride: (cold > 0).then(|| stride(blocks)) };
    let channel = product::channel(&a.str("driver", ""));
    let first = (0..depth).map(|_| match direct {
        true => Request::read_direct(source.clone(), Pages::with_capacity(BLOCK), places.next()),
        false => Request::read_at(source.clone(), Vec::with_capacity(BLOCK), places.next()),
    });
    let first = first.collect::<Vec<_>>();
    if cold == 0 {
        channel.post_all(first).expect("posted");
        read(&channel, &mut places, depth, WARMING_UP, usize::MAX);
        return report(|| read(&channel, &mut places, depth, seconds, usize::MAX));
    }
    // SAFETY: no pointer is passed.
    unsafe { libc::posix_fadvise(descriptor, 0, 0, libc::POSIX_FADV_DONTNEED) };
    report(|| {
        channel.post_all(first).expect("posted");
        read(&channel, &mut places, depth, Duration::from_secs(600), cold)
    });
}

/// So much of the file that neighbours are read long after each other (by the golden ratio); and all blocks before one comes again.
fn stride(blocks: u64) -> u64 {
    let shared = |mut a: u64, mut b: u64| {
        while b > 0 {
            (a, b) = (b, a % b);
        }
        a
    };
    (blocks * 618 / 1000..).find(|stride| shared(*stride, blocks) == 1).expect("there are primes")
}

fn report(f: impl FnOnce() -> usize) {
    let (begun, cpu) = (Instant::now(), cpu_secs());
    let reads = f();
    let (wall, cpu) = (begun.elapsed(), cpu_secs() - cpu);
    out(&[("reads_s", reads as f64 / wall.as_secs_f64()), ("cpu_us", cpu * 1e6 / reads as f64)]);
}

/// Goes on for so long, or until so many have come. Gives how many did.
fn read(channel: &EventChannel, places: &mut Places, depth: usize, time: Duration, most: usize) -> usize {
    let (end, mut reads) = (Instant::now() + time, 0);
    let mut got: Vec<Event> = Vec::with_capacity(depth);
    while reads < most && Instant::now() < end {
        reads += channel.get_events(&mut got, depth, None).expect("events");
        let again = got.drain(..).map(|event| {
            assert_eq!(event.result().expect("read"), BLOCK);
            event.again().at_offset(places.next())
        });
        channel.post_all(again).expect("posted");
    }
    reads
}
