//! The figures in words: a line for each measurement, a table, JSON.

use crate::Point;
use crate::child::{Figures, Kind};
use crate::machine::Machine;
use std::fmt::Write;
use std::io;
use std::path::Path;

/// `1000000` as `1,000,000`.
pub fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut words = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            words.push(',');
        }
        words.push(digit);
    }
    words
}

/// Bytes, in the unit that fits.
pub fn bytes(number: f64) -> String {
    let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
    let unit = units.iter().find(|(power, _)| number >= (1u64 << power) as f64);
    unit.map_or_else(
        || format!("{number:.0} bytes"),
        |(power, unit)| format!("{:.1} {unit}", number / (1u64 << power) as f64),
    )
}

/// What the tasks of this measurement were: own ones may have had to be threads.
pub fn name(kind: Kind, figures: &Figures) -> String {
    let threads = figures.threads * 2.0 > figures.tasks as f64;
    format!("{kind}{}", if threads { " (a thread each)" } else { "" })
}

/// One measurement.
pub fn line(kind: Kind, f: &Figures) -> String {
    let tasks = f.tasks as f64;
    format!(
        "{:>9} {:<5} spawned in {:>7.3} s, ended in {:>7.3} s; a task: {:>6.0} + {:>5.0} ns, {:>6.0} bytes \
         resident, {:>4.0} of page tables; {} mappings",
        grouped(f.tasks),
        name(kind, f),
        f.spawn_ns / 1e9,
        f.finish_ns / 1e9,
        f.spawn_ns / tasks,
        f.finish_ns / tasks,
        f.resident / tasks,
        f.page_tables / tasks,
        f.mappings
    )
}

/// All points, as Markdown.
pub fn table(points: &[Point]) -> String {
    let mut text = String::from(
        "| tasks | kind | spawned, all suspended (s) | woken, all ended (s) | ns a task, spawn | ns a task, wake and \
         end | bytes resident a task | bytes of page tables a task | mappings |\n\
         | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n",
    );
    for Point { kind, figures: f } in points {
        let tasks = f.tasks as f64;
        let _ = writeln!(
            text,
            "| {} | {} | {:.4} | {:.4} | {:.0} | {:.0} | {} | {:.0} | {} |",
            grouped(f.tasks),
            name(*kind, f),
            f.spawn_ns / 1e9,
            f.finish_ns / 1e9,
            f.spawn_ns / tasks,
            f.finish_ns / tasks,
            grouped((f.resident / tasks) as usize),
            f.page_tables / tasks,
            grouped(f.mappings as usize)
        );
    }
    text
}

/// The table with all that a reader needs to judge it.
pub fn save(file: &Path, points: &[Point], notes: &[String], machine: &Machine) -> io::Result<()> {
    let guards = if points.iter().any(|point| point.figures.protected) { "mprotect" } else { machine.guards };
    let mut text = format!(
        "# Suspended tasks: what they cost\n\nMade by `benches/tasks_curve`. *Own*: `task::spawn`; *lean*: \
         `Builder::spawn_lean`. Each line is a process of its own (up to 100,000 tasks the median of three, own and lean \
         in turn; before more, as much memory as they need was touched once), its baseline taken off. Page tables come on top of the resident bytes. The handles that the \
         program keeps are not counted.\n\n\
         Machine: {} x {}, {} of memory, Linux {}, {}; stacks guarded by {guards}.\n\n{}",
        machine.processors,
        machine.processor,
        bytes(machine.memory),
        machine.kernel,
        machine.libc,
        table(points)
    );
    for note in notes {
        let _ = write!(text, "\nNote: {note}.\n");
    }
    if let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(file, text)
}

/// The same for programs.
pub fn json(points: &[Point], notes: &[String], machine: &Machine) -> String {
    let quoted = |words: &str| format!("\"{}\"", words.replace('\\', "\\\\").replace('"', "\\\""));
    let notes: Vec<String> = notes.iter().map(|note| quoted(note)).collect();
    let points: Vec<String> = points
        .iter()
        .map(|Point { kind, figures: f }| {
            format!(
                "    {{\"kind\": \"{kind}\", \"tasks\": {}, \"spawn_ns\": {}, \"finish_ns\": {}, \"resident_bytes\": {}, \
                 \"page_table_bytes\": {}, \"mappings\": {}, \"threads\": {}, \"protected_guards\": {}}}",
                f.tasks,
                f.spawn_ns,
                f.finish_ns,
                f.resident,
                f.page_tables,
                f.mappings,
                f.threads,
                f.protected
            )
        })
        .collect();
    format!(
        "{{\n  \"machine\": {},\n  \"notes\": [{}],\n  \"points\": [\n{}\n  ]\n}}\n",
        quoted(&machine.to_string()),
        notes.join(", "),
        points.join(",\n")
    )
}
