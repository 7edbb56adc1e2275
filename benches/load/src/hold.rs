//! `load hold`: opens connections, exchanges a message on each, says so, and holds them until its standard input ends.

use crate::connections::connect;
use common::{Args, out};

pub fn run(a: &Args) {
    let all = connect(a.num("port", 0) as u16, a.num("conns", 1));
    out(&[("ready", all.len() as f64)]);
    let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
}
