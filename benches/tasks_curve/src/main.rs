//! The price of a suspended task, from a thousand of them to a million:
//! `cargo run --release --manifest-path benches/Cargo.toml -p bench-tasks-curve`.
//!
//! Own tasks (`task::spawn`) and lean ones (`Builder::spawn_lean`), each number of each kind in a process of
//! its own (`child`), one after the other in turn, medians of three up to 100,000. What a machine cannot hold is
//! left out and said (`machine`). The curve is drawn (`chart`) and tabled (`report`) into `benches/results`.
//!
//! `-- --max N` stops at N tasks, `--json FILE` writes the figures too, `--svg FILE` puts picture and table
//! elsewhere, `--protected-guards` guards stacks with mprotect as on an old kernel.

mod chart;
mod child;
mod machine;
mod report;

use child::{Answer, Figures, Kind};
use machine::Machine;
use std::collections::HashMap;
use std::path::PathBuf;

/// With so many tasks and fewer a measurement is repeated.
const REPEATED: usize = 100_000;
const ROUNDS: usize = 3;

/// What the command line asks for.
struct Options {
    max: usize,
    json: Option<PathBuf>,
    svg: PathBuf,
    protected: bool,
}

/// The median of one number of tasks of one kind.
#[derive(Clone, Copy)]
struct Point {
    kind: Kind,
    figures: Figures,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, flag, kind, tasks, guards] = arguments.as_slice()
        && flag == child::FLAG
    {
        return child::measure(kind.parse()?, tasks.parse()?, guards == child::PROTECTED);
    }
    if let [_, flag, bytes] = arguments.as_slice()
        && flag == child::TOUCH
    {
        child::touch_here(bytes.parse()?);
        return Ok(());
    }
    let options = options()?;
    let machine = Machine::look();
    println!("{machine}");
    let (points, notes) = measure_all(&options, &machine);
    if points.is_empty() {
        return Err("nothing could be measured".into());
    }
    println!("\n{}", report::table(&points));
    report::save(&options.svg.with_extension("md"), &points, &notes, &machine)?;
    chart::draw(&options.svg, &points)?;
    if let Some(file) = &options.json {
        std::fs::write(file, report::json(&points, &notes, &machine))?;
    }
    println!("drawn: {}", options.svg.display());
    Ok(())
}

fn options() -> Result<Options, Box<dyn std::error::Error>> {
    use lexopt::prelude::*;
    let results = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../results"));
    let svg = results.join("tasks_curve.svg");
    let mut options = Options { max: 1_000_000, json: None, svg, protected: false };
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("max") => options.max = parser.value()?.string()?.replace(['_', ','], "").parse()?,
            Long("json") => options.json = Some(parser.value()?.into()),
            Long("svg") => options.svg = parser.value()?.into(),
            Long("protected-guards") => options.protected = true,
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(options)
}

/// Powers of ten up to `max`, and `max` itself.
fn sizes(max: usize) -> Vec<usize> {
    let mut sizes: Vec<usize> = [1_000, 10_000, 100_000, 1_000_000, 10_000_000].into();
    sizes.retain(|&size| size < max);
    sizes.push(max);
    sizes
}

fn measure_all(options: &Options, machine: &Machine) -> (Vec<Point>, Vec<String>) {
    let (mut points, mut notes) = (Vec::new(), Vec::new());
    let mut last: HashMap<Kind, Figures> = HashMap::new();
    let mut going = vec![Kind::Own, Kind::Lean];
    for size in sizes(options.max) {
        let rounds = if size <= REPEATED { ROUNDS } else { 1 };
        // How many of each kind there is room for; fewer than asked for are this kind's last.
        let mut plan: Vec<(Kind, usize)> = Vec::new();
        for &kind in &going {
            let (fits, why) = last.get(&kind).map_or((size, None), |last| machine.room_for(size, last));
            notes.extend(why.map(|why| format!("{kind}: {why}")));
            // A few more than the last time would show nothing.
            if last.get(&kind).is_none_or(|last| fits >= last.tasks / 2 * 3) {
                plan.push((kind, fits));
            }
        }
        going = plan.iter().filter(|(_, fits)| *fits == size).map(|(kind, _)| *kind).collect();

        if rounds == 1 {
            // In a virtual machine whoever is the first to touch memory pays for it.
            let need = |(kind, tasks): &(Kind, usize)| {
                last.get(kind).map_or(0.0, |last| machine::need(*tasks, last))
            };
            child::touch(plan.iter().map(need).fold(0.0, f64::max));
        }
        let mut samples: HashMap<Kind, Vec<Figures>> = HashMap::new();
        for round in 0..rounds {
            let (first, second) = plan.split_at(plan.len().min(round % 2));
            for &(kind, tasks) in second.iter().chain(first) {
                match child::run(kind, tasks, options.protected) {
                    Answer::Measured(figures) => {
                        println!("{}", report::line(kind, &figures));
                        samples.entry(kind).or_default().push(figures);
                    }
                    Answer::Refused(why) => {
                        let note =
                            format!("{kind}: {} tasks do not work here: {why}", report::grouped(tasks));
                        println!("{note}");
                        if !notes.contains(&note) {
                            notes.push(note);
                        }
                        going.retain(|other| *other != kind);
                    }
                }
            }
        }
        for (kind, _) in plan {
            if let Some(figures) = samples.get(&kind).map(|samples| child::median(samples)) {
                last.insert(kind, figures);
                points.push(Point { kind, figures });
            }
        }
    }
    for note in &notes {
        println!("note: {note}");
    }
    (points, notes)
}
