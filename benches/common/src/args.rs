//! `PROGRAM WORKLOAD key=value ...`

use std::collections::HashMap;
use std::sync::OnceLock;

/// The command line.
pub struct Args {
    /// The first word.
    pub workload: String,
    values: HashMap<String, String>,
}

/// The process's own, read once.
pub fn args() -> &'static Args {
    static ARGS: OnceLock<Args> = OnceLock::new();
    ARGS.get_or_init(|| {
        let mut words = std::env::args().skip(1);
        let workload = words.next().expect("usage: PROGRAM WORKLOAD key=value ...");
        let pair = |word: String| word.split_once('=').map(|(k, v)| (k.to_string(), v.to_string()));
        Args { workload, values: words.filter_map(pair).collect() }
    })
}

impl Args {
    /// The number given for `key`.
    pub fn num(&self, key: &str, default: usize) -> usize {
        self.values.get(key).map_or(default, |v| v.parse().expect("a number"))
    }

    /// The same with a fraction, for times in seconds and rates.
    pub fn real(&self, key: &str, default: f64) -> f64 {
        self.values.get(key).map_or(default, |v| v.parse().expect("a number"))
    }

    /// Whether `key=1` is given.
    pub fn flag(&self, key: &str) -> bool {
        self.num(key, 0) == 1
    }

    /// The text given for `key`.
    pub fn str(&self, key: &str, default: &str) -> String {
        self.values.get(key).cloned().unwrap_or_else(|| default.to_string())
    }
}

/// How deep the tasks' stacks have to be: `depth` of workload `deep`.
pub fn depth() -> usize {
    if args().workload == "deep" { args().num("depth", 65_536) } else { 0 }
}
