//! What has ended leaks nothing: memory, descriptors and threads, over many runtimes that are shut down under load.
//! One test in a program of its own: the numbers are the whole process's.

use ec_test_support::{limit, skipped};
use ec_unkind as _;
use event_channel::channel::Driver;
use event_channel::net::{TcpListener, TcpStream};
use event_channel::time::Duration;
use event_channel::{Runtime, task};
use std::io::{Read, Write};

/// Bytes resident, open descriptors, threads.
fn held() -> (usize, usize, usize) {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = statm.split(' ').nth(1).unwrap().parse().unwrap();
    let count = |what: &str| std::fs::read_dir(format!("/proc/self/{what}")).unwrap().count();
    (pages * 4096, count("fd"), count("task"))
}

/// As [`held`], when two looks in a row agree on descriptors and threads.
fn settled() -> (usize, usize, usize) {
    loop {
        let before = held();
        std::thread::sleep(Duration::from_millis(20));
        let now = held();
        if (before.1, before.2) == (now.1, now.2) {
            return now;
        }
    }
}

/// A runtime with clients, servers and sleepers that is shut down in the middle of it all.
fn a_life(driver: Driver) -> std::io::Result<()> {
    let runtime = Runtime::builder().cores(2).driver(driver).build()?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    runtime.spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let serve = move || {
                let mut buffer = [0; 4096];
                while let Ok(n @ 1..) = stream.read(&mut buffer) {
                    if stream.write_all(&buffer[..n]).is_err() {
                        return;
                    }
                }
            };
            // refused once the shutdown has begun
            if task::Builder::new().spawn(serve).is_err() {
                return;
            }
        }
    });
    runtime.run(move || {
        let clients: Vec<_> = (0..50)
            .map(|_| {
                task::spawn(move || {
                    let Ok(mut stream) = TcpStream::connect(address) else { return };
                    // until the shutdown
                    while stream.write_all(b"ping").is_ok() && stream.read_exact(&mut [0; 4]).is_ok() {}
                })
            })
            .collect();
        task::sleep(Duration::from_millis(10));
        drop(clients);
    });
    runtime.shutdown(Duration::from_secs(20)).expect("every task ends when it is cancelled");
    Ok(())
}

#[test]
fn many_runtimes_come_and_go_without_a_trace() {
    limit(300, || {
        // The default runtime, which a logger may want, is there from the beginning.
        event_channel::run(|| ());
        for driver in Driver::ALL {
            if let Err(error) = a_life(driver) {
                skipped(&format!("{driver}: {error}"));
                continue;
            }
            (0..15).for_each(|_| a_life(driver).unwrap());
            let (memory, files, threads) = settled();
            let rounds = 40;
            (0..rounds).for_each(|_| a_life(driver).unwrap());
            // A thread that was joined is listed for a moment longer; those too many for good end the test here.
            while held().1 > files || held().2 > threads {
                std::thread::sleep(Duration::from_millis(1));
            }
            let after = held();
            let grown = after.0.saturating_sub(memory) / rounds;
            println!("{driver}: {grown} bytes a runtime, {} and {} descriptors", files, after.1);
            // A leaked stack, ring or event would be more; what the allocator keeps in its arenas varies.
            assert!(grown < 64 << 10, "{driver}: {grown} bytes of memory a runtime are not given back");
            assert!(after.1 <= files && after.2 <= threads, "descriptors and threads");
        }
    });
}
