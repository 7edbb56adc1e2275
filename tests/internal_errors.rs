//! Somebody closes a descriptor of the runtime's channel: tasks get errors and a hook is told, or the process ends. Nothing hangs or spins.
//! Each case runs in a process of its own.

mod net_common;

use ec_test_support::{cpu_time, descriptors_of, ended_itself, in_child, skipped, went_well};
use event_channel::channel::{Driver, InternalError};
use event_channel::runtime::Builder;
use event_channel::{Runtime, task, time};
use net_common::eventually;
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const EBADF: i32 = libc::EBADF;

/// What drivers sleep in.
const SLEPT_IN: &[&str] = &["io_uring", "eventpoll", "pipe"];

/// A runtime, and what its channel sleeps in.
fn fragile(builder: Builder, driver: Driver) -> Option<(Runtime, BTreeSet<i32>)> {
    let before = descriptors_of(SLEPT_IN);
    let runtime = match builder.cores(1).driver(driver).build() {
        Ok(runtime) => runtime,
        Err(error) => {
            skipped(&format!("{driver} is not to be had: {error}"));
            return None;
        }
    };
    if !runtime.run(task::migrates) {
        skipped("here each task is a thread of its own");
        return None;
    }
    let own = descriptors_of(SLEPT_IN).difference(&before).copied().collect();
    Some((runtime, own))
}

/// In a task, on the worker: nobody sleeps in them.
fn close(runtime: &Runtime, own: BTreeSet<i32>) {
    assert!(!own.is_empty());
    // SAFETY: not safe at all: that is what the case is about.
    runtime.run(move || own.iter().for_each(|fd| assert_eq!(unsafe { libc::close(*fd) }, 0)));
}

fn with_a_hook(driver: Driver) {
    let told = Arc::new(Mutex::new(Vec::<InternalError>::new()));
    let heard = told.clone();
    let builder =
        Runtime::builder().on_internal_error(move |error| heard.lock().unwrap().push(error.clone()));
    let Some((runtime, own)) = fragile(builder, driver) else { return };
    let ((mut near, mut far), (mut other, _peer)) = (net_common::pair(), net_common::pair());
    let reads = runtime.spawn(move || near.read(&mut [0]));
    eventually(|| runtime.metrics().workers_asleep == 1);
    close(&runtime, own);
    eventually(|| !told.lock().unwrap().is_empty());
    if driver == Driver::IoUring {
        // The kernel may write to its buffer: it has it until it gives it back.
        far.write_all(b"x").unwrap();
        assert_eq!(reads.join().unwrap().unwrap(), 1);
    } else {
        assert_eq!(reads.join().unwrap().unwrap_err().raw_os_error(), Some(EBADF));
    }
    // From now on whoever comes to wait for a descriptor is told so; timers and all else go on.
    let next = runtime.run(move || other.read(&mut [0]));
    assert_eq!(next.unwrap_err().raw_os_error(), Some(EBADF));
    let (begun, spent) = (Instant::now(), cpu_time(libc::CLOCK_PROCESS_CPUTIME_ID));
    runtime.run(|| time::sleep(Duration::from_millis(300)));
    let (took, spent) = (begun.elapsed(), cpu_time(libc::CLOCK_PROCESS_CPUTIME_ID) - spent);
    assert!(took >= Duration::from_millis(300) && spent < took / 3, "{spent:?} of {took:?}");
    assert_eq!(runtime.spawn(|| 23).join().unwrap(), 23);
    let told = told.lock().unwrap().clone();
    assert_eq!(told.len(), 1);
    assert_eq!((told[0].driver(), told[0].port(), told[0].raw_os_error()), (driver, 0, EBADF));
    runtime.shutdown(Duration::from_secs(5)).unwrap();
}

fn without_one(driver: Driver) {
    let Some((runtime, own)) = fragile(Runtime::builder(), driver) else { return };
    let (mut near, _far) = net_common::pair();
    let reads = runtime.spawn(move || near.read(&mut [0]));
    eventually(|| runtime.metrics().workers_asleep == 1);
    close(&runtime, own);
    let _ = reads.join();
    panic!("the task would wait for ever");
}

macro_rules! on_each {
    ($($driver:ident: $with:ident $without:ident;)*) => {$(
        #[test]
        fn $with() {
            went_well(in_child(stringify!($with), || with_a_hook(Driver::$driver)));
        }

        #[test]
        fn $without() {
            let ended = in_child(stringify!($without), || without_one(Driver::$driver));
            ended_itself(ended, "closed a descriptor of an event channel");
        }
    )*};
}

on_each! {
    IoUring: tasks_and_a_hook_hear_of_a_closed_ring a_closed_ring_ends_the_process;
    Epoll: tasks_and_a_hook_hear_of_a_closed_epoll a_closed_epoll_ends_the_process;
    Poll: tasks_and_a_hook_hear_of_a_closed_pipe a_closed_pipe_ends_the_process;
}
