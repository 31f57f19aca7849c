//! The engine as the connections see it: requests go in, progress comes out, one driver task
//! keeps it in step with the clock.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    task::{Context, Poll},
};

use futures_util::task::AtomicWaker;
use tokio::sync::Notify;

use super::{clock::Clock, recorder::Recorder};
use crate::engine::{
    AdapterId, Engine, EngineConfig, Event, Nanos, Refusal, RequestId, Submission,
};

/// One engine with its clock and its books. The lock is held for one submission, one abort, one
/// scrape or the booking of due steps, never across an await; a guard's `drop` needs to abort
/// synchronously, which a task that owns the engine could not offer without a queue.
#[derive(Debug)]
pub(super) struct Core {
    clock: Clock,
    state: Mutex<State>,
    /// Tells the driver that an idle engine has work.
    work: Notify,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) engine: Engine,
    pub(super) recorder: Recorder,
    mailboxes: HashMap<RequestId, Mailbox>,
    /// Kept for its capacity.
    events: Vec<Event>,
}

#[derive(Debug)]
struct Mailbox {
    progress: Arc<Progress>,
    last_token: Nanos,
    /// Whether the output ends at a limit rather than by itself.
    limited: bool,
}

/// What a connection needs to know of its request. Only counts: a client that reads slowly
/// neither holds up the engine nor fills a queue.
#[derive(Debug, Default)]
struct Progress {
    emitted: AtomicU32,
    cached: AtomicU32,
    done: AtomicBool,
    waker: AtomicWaker,
}

/// A submitted request. Dropping it before it is done aborts the request.
#[derive(Debug)]
pub(super) struct Ticket {
    core: Arc<Core>,
    id: RequestId,
    progress: Arc<Progress>,
}

impl Core {
    pub(super) fn new(engine: EngineConfig, time_scale: f64) -> Self {
        let clock = Clock::new(time_scale);
        let state = State {
            engine: Engine::new(engine),
            recorder: Recorder::default(),
            mailboxes: HashMap::new(),
            events: Vec::new(),
        };
        Self {
            clock,
            state: Mutex::new(state),
            work: Notify::new(),
        }
    }

    /// The state as it is. A panic elsewhere cannot leave it half-changed in a way that matters
    /// more than going on.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands a request to the engine. `limited` says that its output ends at a limit; the books
    /// tell the two apart.
    pub(super) fn submit(
        self: &Arc<Self>,
        submission: Submission,
        limited: bool,
    ) -> Result<Ticket, Refusal> {
        let mut state = self.state();
        let now = self.clock.now();
        let id = state.engine.submit(now, submission)?;
        let progress = Arc::new(Progress::default());
        let mailbox = Mailbox {
            progress: Arc::clone(&progress),
            last_token: now,
            limited,
        };
        state.mailboxes.insert(id, mailbox);
        if !state.engine.is_busy() {
            self.work.notify_one();
        }
        drop(state);
        Ok(Ticket {
            core: Arc::clone(self),
            id,
            progress,
        })
    }

    fn abort(&self, id: RequestId) {
        let mut state = self.state();
        if let Some(summary) = state.engine.abort(self.clock.now(), id) {
            state.recorder.ended(&summary, false);
            state.mailboxes.remove(&id);
        }
    }

    pub(super) fn set_slow_factor(&self, factor: f64) {
        let now = self.clock.now();
        self.state().engine.set_slow_factor(now, factor);
    }

    pub(super) fn unload_adapter(&self, adapter: AdapterId) {
        self.state().engine.unload_adapter(adapter);
    }

    /// Runs the engine until the task is aborted.
    pub(super) async fn drive(self: Arc<Self>) {
        loop {
            match self.tick() {
                None => self.work.notified().await,
                Some(due) => {
                    tokio::select! {
                        () = tokio::time::sleep_until(self.clock.deadline(due)) => {}
                        () = self.work.notified() => {}
                    }
                }
            }
        }
    }

    /// Books what is due; returns when to come back.
    fn tick(&self) -> Option<Nanos> {
        let mut state = self.state();
        let State {
            engine,
            recorder,
            mailboxes,
            events,
        } = &mut *state;
        let now = self.clock.now();
        while let Some(due) = engine.next_event().filter(|due| *due <= now) {
            if engine.is_busy() {
                recorder.lag(self.clock.real(now - due));
            }
            engine.advance(due, events);
            for event in events.drain(..) {
                deliver(event, mailboxes, recorder);
            }
            recorder.adapters(engine.gauges());
        }
        engine.next_event()
    }
}

fn deliver(event: Event, mailboxes: &mut HashMap<RequestId, Mailbox>, recorder: &mut Recorder) {
    match event {
        Event::Scheduled {
            id, cached_tokens, ..
        } => {
            if let Some(mailbox) = mailboxes.get(&id) {
                mailbox
                    .progress
                    .cached
                    .store(cached_tokens, Ordering::Relaxed);
            }
        }
        Event::Fetching { .. } => {}
        Event::Token { id, at, index } => {
            let Some(mailbox) = mailboxes.get_mut(&id) else {
                return;
            };
            recorder.token(at - mailbox.last_token, index == 0);
            mailbox.last_token = at;
            mailbox.progress.emitted.store(index + 1, Ordering::Release);
            mailbox.progress.waker.wake();
        }
        Event::Finished { id, summary } => {
            let mailbox = mailboxes.remove(&id);
            recorder.ended(
                &summary,
                mailbox.as_ref().is_some_and(|mailbox| mailbox.limited),
            );
            if let Some(mailbox) = mailbox {
                mailbox.progress.done.store(true, Ordering::Release);
                mailbox.progress.waker.wake();
            }
        }
    }
}

impl Ticket {
    /// Tokens emitted so far, and whether that is all. Registers the task to be woken at the next
    /// change.
    pub(super) fn poll_progress(&self, context: &Context<'_>) -> (u32, bool) {
        self.progress.waker.register(context.waker());
        let done = self.progress.done.load(Ordering::Acquire);
        (self.progress.emitted.load(Ordering::Acquire), done)
    }

    /// Waits for the last token; returns how many there were.
    pub(super) async fn done(&self) -> u32 {
        let poll = |context: &mut Context<'_>| match self.poll_progress(context) {
            (emitted, true) => Poll::Ready(emitted),
            (_, false) => Poll::Pending,
        };
        std::future::poll_fn(poll).await
    }

    /// Prompt tokens found in the cache; known from the first token on.
    pub(super) fn cached_tokens(&self) -> u32 {
        self.progress.cached.load(Ordering::Relaxed)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.progress.done.load(Ordering::Acquire) {
            self.core.abort(self.id);
        }
    }
}
