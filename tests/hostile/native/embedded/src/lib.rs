//! A library that runs tasks inside a program which is not in Rust. Nothing of it takes the place of libc's functions
//! if the program loads it with `dlopen`: then its tasks must be threads, and work.

use event_channel::net::{TcpListener, TcpStream};
use event_channel::{run, task};
use std::cell::{Cell, RefCell};
use std::ffi::c_int;
use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

const TASKS: c_int = 50;

static DROPPED: AtomicI32 = AtomicI32::new(0);

struct CountsItsDrop;

impl Drop for CountsItsDrop {
    fn drop(&mut self) {
        DROPPED.fetch_add(1, Ordering::SeqCst);
    }
}

thread_local! {
    static NUMBER: Cell<c_int> = const { Cell::new(-1) };
    static HELD: RefCell<Vec<CountsItsDrop>> = const { RefCell::new(Vec::new()) };
}

/// Runs tasks that suspend, talk over sockets and keep thread-locals; returns how many were right; or, negative, how
/// many thread-locals were destroyed, if not one for each.
#[unsafe(no_mangle)]
pub extern "C" fn embedded_run() -> c_int {
    DROPPED.store(0, Ordering::SeqCst);
    let right = run(|| {
        let all: Vec<_> = (0..TASKS).map(|i| task::spawn(move || one(i).is_ok_and(|right| right))).collect();
        all.into_iter().filter_map(|task| task.join().ok()).filter(|right| *right).count() as c_int
    });
    // A dedicated task's thread may destroy them just after its end.
    for _ in 0..2000 {
        if DROPPED.load(Ordering::SeqCst) >= TASKS {
            break;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    match DROPPED.load(Ordering::SeqCst) {
        TASKS => right,
        other => -other,
    }
}

fn one(i: c_int) -> io::Result<bool> {
    let fresh = NUMBER.get() == -1 && HELD.with_borrow(Vec::is_empty);
    NUMBER.set(i);
    HELD.with_borrow_mut(|held| held.push(CountsItsDrop));
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let client = task::spawn(move || TcpStream::connect(address)?.write_all(b"hello"));
    let mut said = String::new();
    listener.accept()?.0.read_to_string(&mut said)?;
    client.join().map_err(|_| io::Error::other("a panic"))??;
    task::sleep(Duration::from_millis(2));
    task::yield_now();
    Ok(fresh && said == "hello" && NUMBER.get() == i && HELD.with_borrow(Vec::len) == 1)
}

/// How many `embedded_run` returns if all is right.
#[unsafe(no_mangle)]
pub extern "C" fn embedded_expected() -> c_int {
    TASKS
}

/// 1 if tasks migrate here, 0 if they are threads; then the reason is printed.
#[unsafe(no_mangle)]
pub extern "C" fn embedded_migrates() -> c_int {
    match ec_tasks::own_thread_locals() {
        Ok(()) => 1,
        Err(why) => {
            println!("its tasks are threads: {why}");
            0
        }
    }
}
