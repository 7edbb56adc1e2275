//! The picture: threads over time, the phases behind them, and how many tasks there were beneath.

use std::error::Error;
use std::path::Path;

use event_channel::runtime::Metrics;
use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::{Phase, Sample};

/// Told apart by those who see few colours, too: dark and thick, middle, light.
const TOTAL: RGBColor = RGBColor(20, 60, 120);
const STRAY: RGBColor = RGBColor(215, 95, 20);
const SPARE: RGBColor = RGBColor(60, 160, 140);
const TASKS: RGBColor = RGBColor(110, 110, 120);
const INK: RGBColor = RGBColor(45, 45, 50);
/// Behind every second phase.
const BAND: RGBColor = RGBColor(238, 241, 246);

const SIZE: (u32, u32) = (1120, 600);
/// The room for the numbers at the left, the same in both panels so that their times are one above the other.
const LEFT: i32 = 66;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Chart<'a> = ChartContext<'a, SVGBackend<'a>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;
type Outcome = Result<(), Box<dyn Error>>;

/// One line: its name, how it is drawn, and what it shows.
type Series = (&'static str, ShapeStyle, fn(&Metrics) -> usize);

/// Draws into `file`.
pub fn draw(file: &Path, phases: &[Phase], samples: &[Sample]) -> Outcome {
    let root = SVGBackend::new(file, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let root = root.margin(8, 8, 4, 18);
    let (upper, lower) = root.split_vertically(450);
    threads(&upper, phases, samples)?;
    tasks(&lower, phases, samples)?;
    root.present()?;
    Ok(())
}

fn threads(area: &Area<'_>, phases: &[Phase], samples: &[Sample]) -> Outcome {
    let series: [Series; 3] = [
        ("threads", TOTAL.stroke_width(3), |metrics| metrics.workers),
        ("strays: blocked, without a core", STRAY.stroke_width(2), |metrics| metrics.workers_stray),
        ("spares: wait for a core", SPARE.stroke_width(2), |metrics| metrics.workers_spare),
    ];
    let cores = samples.first().map_or(0, |sample| sample.metrics.cores);
    let most = samples.iter().map(|sample| sample.metrics.workers).max().unwrap_or(0);
    // The names of the phases have the room above the highest value.
    let top = (most.max(4) as f64 * 1.16).ceil();
    let mut chart = ChartBuilder::on(area)
        .caption("The pool's size follows what blocks", ("sans-serif", 21).into_font().color(&INK))
        .x_label_area_size(8)
        .y_label_area_size(LEFT)
        .build_cartesian_2d(0.0..end(samples), 0.0..top)?;
    bands(&mut chart, phases, top)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .x_labels(0)
        .y_desc("worker threads")
        .bold_line_style(INK.mix(0.14))
        .light_line_style(TRANSPARENT)
        .axis_style(INK.mix(0.5))
        .label_style(("sans-serif", 13).into_font().color(&INK))
        .axis_desc_style(("sans-serif", 14).into_font().color(&INK))
        .y_label_formatter(&|number| format!("{number:.0}"))
        .draw()?;
    names(&mut chart, area, phases, top)?;

    let under = samples.iter().map(|sample| (sample.at, sample.metrics.workers as f64));
    chart.draw_series(AreaSeries::new(under, 0.0, TOTAL.mix(0.07)))?;
    for (name, style, value) in series {
        let places = samples.iter().map(|sample| (sample.at, value(&sample.metrics) as f64));
        chart
            .draw_series(LineSeries::new(places, style))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 26, y)], style));
    }
    let line = INK.stroke_width(1);
    let level = [(0.0, cores as f64), (end(samples), cores as f64)];
    chart.draw_series(DashedLineSeries::new(level, 5, 4, line))?.label(format!("cores: {cores}")).legend(
        move |(x, y)| {
            EmptyElement::at((x, y))
                + PathElement::new([(0, 0), (7, 0)], line)
                + PathElement::new([(10, 0), (17, 0)], line)
                + PathElement::new([(20, 0), (26, 0)], line)
        },
    );
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::Coordinate(LEFT - 40, 60))
        .margin(10)
        .legend_area_size(34)
        .background_style(WHITE.mix(0.9))
        .border_style(INK.mix(0.25))
        .label_font(("sans-serif", 13).into_font().color(&INK))
        .draw()?;
    Ok(())
}

fn tasks(area: &Area<'_>, phases: &[Phase], samples: &[Sample]) -> Outcome {
    let live = || samples.iter().map(|sample| (sample.at, sample.metrics.tasks_live as f64));
    let top = live().fold(4.0f64, |top, (_, tasks)| top.max(tasks)) * 1.1;
    let mut chart = ChartBuilder::on(area)
        .margin_top(8)
        .x_label_area_size(42)
        .y_label_area_size(LEFT)
        .build_cartesian_2d(0.0..end(samples), 0.0..top)?;
    bands(&mut chart, phases, top)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .x_labels(13)
        .y_labels(4)
        .x_desc("seconds")
        .y_desc("tasks")
        .bold_line_style(INK.mix(0.14))
        .light_line_style(TRANSPARENT)
        .axis_style(INK.mix(0.5))
        .label_style(("sans-serif", 13).into_font().color(&INK))
        .axis_desc_style(("sans-serif", 14).into_font().color(&INK))
        .x_label_formatter(&|number| format!("{number}"))
        .y_label_formatter(&|number| format!("{number:.0}"))
        .draw()?;
    chart.draw_series(AreaSeries::new(live(), 0.0, TASKS.mix(0.25)).border_style(TASKS.stroke_width(2)))?;
    Ok(())
}

/// Every second phase has a background, so that one sees where they begin.
fn bands(chart: &mut Chart<'_>, phases: &[Phase], top: f64) -> Outcome {
    let shaded = phases.iter().skip(1).step_by(2);
    chart.draw_series(
        shaded.map(|phase| Rectangle::new([(phase.from, 0.0), (phase.to, top)], BAND.filled())),
    )?;
    Ok(())
}

/// What each phase is called, at its top, on as many lines as its width asks for.
fn names(chart: &mut Chart<'_>, area: &Area<'_>, phases: &[Phase], top: f64) -> Outcome {
    let style = ("sans-serif", 13).into_font().color(&INK.mix(0.85)).pos(Pos::new(HPos::Center, VPos::Top));
    for phase in phases {
        let (left, y) = chart.backend_coord(&(phase.from, top));
        let (right, _) = chart.backend_coord(&(phase.to, top));
        let (dx, dy) = area.get_pixel_range();
        for (number, line) in wrapped(phase.name, (right - left) as usize / 7).iter().enumerate() {
            let place = ((left + right) / 2 - dx.start, y - dy.start + 8 + 16 * number as i32);
            area.draw_text(line, &style, place)?;
        }
    }
    Ok(())
}

/// `text` in lines of about so many characters; no word is broken.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

fn end(samples: &[Sample]) -> f64 {
    samples.last().map_or(1.0, |sample| sample.at.ceil())
}
