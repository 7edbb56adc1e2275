//! What the suite asks the runtime about itself: the one place that knows the hidden names.

/// The measured facts that `EVENT_CHANNEL_OWN_TLS=break:FACT` falsifies.
pub fn facts() -> Vec<String> {
    ec_tasks::breakable_facts().iter().map(|fact| fact.to_string()).collect()
}

/// Why tasks have no thread-locals of their own here; `None` if they have.
pub fn why_dedicated() -> Option<String> {
    ec_tasks::own_thread_locals().err().map(|why| why.to_string())
}
