//! tracing: the stack of entered spans, and the default subscriber, are in thread-locals.

use crate::check::Check;
use crate::support::{hop, hops, many, tasks};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Span, Subscriber, info, info_span};
use tracing_subscriber::registry::LookupSpan;

/// What the suite counts.
pub const CHECKS: &[Check] = &[
    Check::new("an_entered_span_is_its_tasks_over_hops", entered_spans),
    Check::new("spans_of_a_task_nest_and_end_in_any_order", spans_in_any_order),
    Check::new("a_default_subscriber_is_its_tasks", default_subscribers),
];

/// As many live tasks as record spans: the registry itself has room for 4,096 threads.
const TASKS: usize = 1000;

fn entered_spans() {
    tracing::subscriber::set_global_default(tracing_subscriber::registry()).expect("the only one");
    for _ in 0..3 {
        tasks(many(TASKS), |me| {
            assert_eq!(Span::current().id(), None, "another task's span");
            let span = info_span!("task", me);
            let entered = span.enter();
            for _ in 0..10 {
                hop();
                assert_eq!(Span::current().id(), span.id());
                let inner = info_span!("inner").entered();
                assert_eq!(parent_of(&inner), span.id());
                hop();
                assert_eq!(Span::current().id(), inner.id());
                drop(inner);
                assert_eq!(Span::current().id(), span.id());
            }
            drop(entered);
            hop();
            assert_eq!(Span::current().id(), None);
        });
    }
}

fn parent_of(span: &Span) -> Option<Id> {
    span.with_subscriber(|(id, dispatch)| {
        let registry = dispatch.downcast_ref::<tracing_subscriber::Registry>().expect("the registry");
        registry.span(id).expect("it is alive").parent().map(|parent| parent.id())
    })
    .expect("it is recorded")
}

fn spans_in_any_order() {
    tracing::subscriber::set_global_default(tracing_subscriber::registry()).expect("the only one");
    tasks(many(TASKS), |me| {
        let spans: Vec<_> = (0..5).map(|n| info_span!("one of five", me, n)).collect();
        let mut entered: Vec<_> = Vec::new();
        for span in &spans {
            entered.push(Some(span.enter()));
            hop();
        }
        assert_eq!(Span::current().id(), spans[4].id());
        for (left, current) in [(2, 4), (4, 3), (0, 3), (3, 1)] {
            drop(entered[left].take());
            hop();
            assert_eq!(Span::current().id(), spans[current].id());
        }
        drop(entered);
        hop();
        assert_eq!(Span::current().id(), None);
    });
}

/// Counts events, and gives spans numbers.
#[derive(Default)]
struct Counts {
    events: AtomicUsize,
    spans: AtomicU64,
}

struct Counter(Arc<Counts>);

impl Subscriber for Counter {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(self.0.spans.fetch_add(1, Ordering::Relaxed) + 1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {
        self.0.events.fetch_add(1, Ordering::Relaxed);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

fn default_subscribers() {
    tasks(many(300), |me| {
        let counts = Arc::new(Counts::default());
        let default = tracing::subscriber::set_default(Counter(counts.clone()));
        for n in 0..10 {
            info!(me, n, "counted by this task's subscriber");
            hop();
            let _span = info_span!("numbered").entered();
            hop();
        }
        drop(default);
        hops(2);
        info!("counted by nobody");
        assert_eq!(counts.events.load(Ordering::Relaxed), 10);
        assert_eq!(counts.spans.load(Ordering::Relaxed), 10);
    });
}
