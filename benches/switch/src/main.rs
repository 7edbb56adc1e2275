//! What a switch costs. Plain loops; the rivals take turns, so that whatever else the machine does hits all alike; a
//! figure is the median of many turns, and the ratio to the first of its group.
//!
//! `cargo run --release --manifest-path benches/Cargo.toml -p bench-switch -- [--turns N] [--only WORD]`: 31 turns, all
//! groups if not told; a word chooses the groups whose title contains it.

mod bare;
mod pool;

use std::time::Duration;

/// One rival: a name and a turn, which gives the time that so many operations took.
pub(crate) struct Rival {
    name: String,
    operations: u32,
    turn: Box<dyn FnMut(u32) -> Duration>,
}

impl Rival {
    /// `turn` is asked for `operations` at a time.
    fn new(name: impl Into<String>, operations: u32, turn: impl FnMut(u32) -> Duration + 'static) -> Rival {
        Rival { name: name.into(), operations, turn: Box::new(turn) }
    }
}

/// What is compared.
pub(crate) struct Group {
    title: &'static str,
    rivals: Vec<Rival>,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    use lexopt::prelude::*;
    let (mut turns, mut only) = (31usize, String::new());
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("turns") => turns = parser.value()?.parse::<usize>()?.max(1),
            Long("only") => only = parser.value()?.string()?,
            other => return Err(other.unexpected().into()),
        }
    }
    if !event_channel::task::migrates() {
        println!("tasks of `task::spawn` do not migrate with thread-locals of their own here");
    }
    let groups: [fn() -> Group; 6] = [
        bare::switch_hot,
        bare::switch_cold,
        bare::spawn_and_end,
        pool::yields,
        pool::ping_pong,
        pool::spawn_and_join,
    ];
    for make in groups {
        let mut group = make();
        if group.title.contains(&only) {
            compare(&mut group, turns);
        }
    }
    Ok(())
}

fn compare(group: &mut Group, turns: usize) {
    println!("\n{}", group.title);
    let mut samples = vec![Vec::with_capacity(turns); group.rivals.len()];
    // The first turn warms up.
    for turn in 0..=turns {
        for (rival, samples) in group.rivals.iter_mut().zip(&mut samples) {
            let time = (rival.turn)(rival.operations);
            if turn > 0 {
                samples.push(time.as_nanos() as f64 / f64::from(rival.operations));
            }
        }
    }
    let mut first = None;
    for (rival, mut samples) in group.rivals.iter().zip(samples) {
        samples.sort_by(f64::total_cmp);
        let (median, least) = (samples[samples.len() / 2], samples[0]);
        let first = *first.get_or_insert(median);
        println!("  {:<34} {median:>9.1} ns  (least {least:>8.1})  x {:.2}", rival.name, median / first);
    }
}
