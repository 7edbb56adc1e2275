//! Talkers to try the server with: each says a line now and then, and listens all the while.

use std::io::{self, BufRead, BufReader, Write};
use std::time::{Duration, Instant};

use event_channel::net::{Shutdown, TcpListener, TcpStream};
use event_channel::{Runtime, task, time};

const ROOMS: usize = 4;
const TALKERS: usize = 40;
/// Between two lines of a talker.
const PAUSE: Duration = Duration::from_millis(20);

/// What a talker has said, how much of it it has heard, and what it has heard in all.
#[derive(Default)]
struct Tally {
    said: usize,
    own: usize,
    heard: usize,
}

/// A server and its talkers for so long. An error if anything said was lost.
pub fn run(span: Duration) -> io::Result<()> {
    let runtime = Runtime::builder().build()?;
    let all = runtime.run(|| {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let server = task::spawn(move || super::serve(&listener));
        let end = Instant::now() + span;
        let talkers: Vec<_> = (0..TALKERS)
            .map(|number| task::spawn(move || talker(TcpStream::connect(address)?, number, end)))
            .collect();
        let mut all = Tally::default();
        for talker in talkers {
            let one = talker.join().expect("a talker does not panic")?;
            all = Tally { said: all.said + one.said, own: all.own + one.own, heard: all.heard + one.heard };
        }
        server.cancel();
        // It was cancelled: that is its error.
        let _ = server.join().expect("the server does not panic");
        Ok::<Tally, io::Error>(all)
    })?;
    let threads = runtime.metrics().workers;
    println!(
        "{TALKERS} talkers in {ROOMS} rooms said {} lines and heard {}, by {threads} threads",
        all.said, all.heard
    );
    if all.own != all.said {
        return Err(io::Error::other(format!("{} of them heard their own line", all.own)));
    }
    Ok(())
}

fn talker(mut stream: TcpStream, number: usize, end: Instant) -> io::Result<Tally> {
    let name = format!("talker {number}");
    let lines = BufReader::new(stream.try_clone()?).lines();
    let own = format!("{name}: ");
    let listening = task::spawn(move || {
        let mut tally = Tally::default();
        for line in lines {
            let line = line?;
            tally.heard += 1;
            tally.own += usize::from(line.starts_with(&own));
        }
        Ok::<Tally, io::Error>(tally)
    });

    write!(stream, "room {}\n{name}\n", number % ROOMS)?;
    let mut said = 0;
    while Instant::now() < end {
        writeln!(stream, "line {said}")?;
        said += 1;
        time::sleep(PAUSE);
    }
    // Says goodbye, and hears what is still to come.
    stream.shutdown(Shutdown::Write)?;
    let tally = listening.join().expect("it does not panic")?;
    Ok(Tally { said, ..tally })
}
