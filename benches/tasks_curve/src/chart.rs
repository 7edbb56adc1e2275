//! The curve: bytes and nanoseconds a task over the number of tasks, on logarithmic axes.

use crate::Point;
use crate::child::{Figures, Kind};
use crate::report::grouped;
use plotters::coord::Shift;
use plotters::prelude::*;
use std::path::Path;

/// Told apart by those who see few colours too.
const OWN: RGBColor = RGBColor(0, 90, 181);
const LEAN: RGBColor = RGBColor(220, 90, 20);

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Outcome = Result<(), Box<dyn std::error::Error>>;

/// One line of a panel: its name, whether it is drawn hollow, and what it shows of a measurement.
type Series = (&'static str, bool, fn(&Figures) -> f64);

/// Draws `points` into `file`.
pub fn draw(file: &Path, points: &[Point]) -> Outcome {
    let root = SVGBackend::new(file, (1120, 500)).into_drawing_area();
    root.fill(&WHITE)?;
    let panels = root.split_evenly((1, 2));
    let bytes: [Series; 2] = [("resident", false, |f| f.resident), ("page tables", true, |f| f.page_tables)];
    let times: [Series; 2] =
        [("spawn until suspended", false, |f| f.spawn_ns), ("wake until ended", true, |f| f.finish_ns)];
    panel(&panels[0], "Memory of a suspended task", "bytes a task", &bytes, points)?;
    panel(&panels[1], "Time for a task", "ns a task", &times, points)?;
    root.present()?;
    Ok(())
}

fn panel(area: &Area<'_>, title: &str, unit: &str, series: &[Series], points: &[Point]) -> Outcome {
    let lines = series.iter().flat_map(|series| [Kind::Own, Kind::Lean].map(|kind| (series, kind)));
    let lines: Vec<_> = lines
        .map(|((name, hollow, value), kind)| {
            let of_kind = points.iter().filter(|point| point.kind == kind).map(|point| point.figures);
            // A logarithm has no zero: what cannot be seen is left out.
            let places =
                of_kind.map(|f| (f.tasks as f64, value(&f) / f.tasks as f64)).filter(|place| place.1 > 0.0);
            (format!("{kind}: {name}"), *hollow, kind, places.collect::<Vec<_>>())
        })
        .collect();
    let all = || lines.iter().flat_map(|line| &line.3);
    let (fewest, most) = span(all().map(|place| place.0));
    let (least, largest) = span(all().map(|place| place.1));
    // The legend has the room above the highest value.
    let (low, high) = (decade_below(least), decade_below(largest * 4.0) * 10.0);
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 20))
        .margin(14)
        .margin_right(36)
        .x_label_area_size(42)
        .y_label_area_size(78)
        .build_cartesian_2d((fewest / 1.5..most * 1.5).log_scale(), (low..high).log_scale())?;
    chart
        .configure_mesh()
        .x_desc("suspended tasks")
        .y_desc(unit)
        .bold_line_style(BLACK.mix(0.18))
        .light_line_style(BLACK.mix(0.06))
        .label_style(("sans-serif", 13))
        .axis_desc_style(("sans-serif", 14))
        .x_label_formatter(&|number| grouped(number.round() as usize))
        .y_label_formatter(&|number| grouped(number.round() as usize))
        .draw()?;
    for (name, hollow, kind, places) in &lines {
        let colour = if *kind == Kind::Own { OWN } else { LEAN };
        let width = if *hollow { 1 } else { 2 };
        let line = ShapeStyle::from(colour).stroke_width(width);
        let dot = if *hollow { ShapeStyle::from(colour) } else { colour.filled() };
        chart.draw_series(LineSeries::new(places.iter().copied(), line))?.label(name).legend(
            move |(x, y)| {
                EmptyElement::at((x, y))
                    + PathElement::new([(0, 0), (24, 0)], line)
                    + Circle::new((12, 0), 4, dot)
            },
        );
        chart.draw_series(places.iter().map(|place| Circle::new(*place, 4, dot)))?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .background_style(WHITE.mix(0.85))
        .border_style(BLACK.mix(0.3))
        .label_font(("sans-serif", 13))
        .draw()?;
    Ok(())
}

/// The smallest and the largest value.
fn span(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) = values.fold((f64::INFINITY, 0.0f64), |(low, high), v| (low.min(v), high.max(v)));
    if low.is_finite() { (low, high) } else { (1.0, 10.0) }
}

/// The largest power of ten below.
fn decade_below(value: f64) -> f64 {
    10f64.powf((value * 0.99).log10().floor())
}
