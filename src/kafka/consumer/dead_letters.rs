//! Dead letters: what an application cannot work on it sends to another topic, with a producer of its own, and waits for
//! the acknowledgement before it goes on. So the record is safe there before the group commits past it.
//!
//! The producer lives in the consumer's process: what it asks for leaves under the consumer's name, and what comes back
//! for it is told by its correlation ids and its timers.

use bytes::Bytes;

use super::Consumer;
use super::application::Next;
use crate::kafka::config::ProducerConfig;
use crate::kafka::effects::{Effect, Effects, Input, Timer};
use crate::kafka::fact::Fact;
use crate::kafka::ids::Name;
use crate::kafka::message::Message;
use crate::kafka::producer::{HandRecord, Producer, ProducerSetup};
use crate::kafka::workload::Workload;
use crate::rng::Rng;
use crate::time::Instant;

/// Set in the correlation ids of the producer's requests.
const OF_PRODUCER: u32 = 1 << 31;

/// The producer, and the record that it was given last.
#[derive(Clone, Debug)]
pub(super) struct DeadLetters {
    pub(super) producer: Producer,
    /// Its acknowledgement is waited for.
    letter: Option<HandRecord>,
}

/// Whether a correlation id belongs to the producer, and the one that it knows.
pub(super) fn of_producer(correlation_id: u32) -> Option<u32> {
    (correlation_id & OF_PRODUCER != 0).then_some(correlation_id & !OF_PRODUCER)
}

impl DeadLetters {
    pub(super) fn new(producer: Producer) -> Self {
        Self { producer, letter: None }
    }
}

impl Consumer {
    /// What is left of the producer when the process ends: it goes on counting its records.
    pub fn into_dead_letters(self) -> Option<Producer> {
        self.dead_letters.map(|letters| letters.producer)
    }

    /// The application goes on, or does what it cannot do by itself.
    pub(super) fn follow(&mut self, now: Instant, next: Next, out: &mut Effects) {
        match next {
            Next::Poll | Next::Work => {}
            Next::Crash => self.crash(out),
            Next::DeadLetter(key, value) => self.send_dead_letter(now, key, value, out),
        }
    }

    fn send_dead_letter(&mut self, now: Instant, key: Option<Bytes>, value: Option<Bytes>, out: &mut Effects) {
        let Some(topic) = self.application.task().failing.as_ref().and_then(|failing| failing.dead_letters.clone())
        else {
            return;
        };
        let text = |bytes: Option<Bytes>| bytes.map(|bytes| Name::from(String::from_utf8_lossy(&bytes)));
        let letter = HandRecord { key: text(key), value: text(value), partition: None };
        if self.dead_letters.as_ref().is_none_or(|letters| letters.producer.workload().topic != topic) {
            let producer = Producer::new(ProducerSetup {
                id: self.id,
                name: self.name.clone(),
                workload: Workload { rate: 0, ..Workload::new(topic) },
                config: ProducerConfig::default(),
                bootstrap: self.bootstrap.clone(),
                rng: Rng::new(self.rng.next_u64(), 0),
            });
            self.dead_letters = Some(DeadLetters::new(producer));
        }
        if let Some(letters) = &mut self.dead_letters {
            letters.producer.send_by_hand(letter.clone());
            letters.letter = Some(letter);
        }
        self.step_producer(now, Input::Timer(Timer::Application), out);
    }

    /// Gives the producer its input, and passes on what it asks for.
    pub(super) fn step_producer(&mut self, now: Instant, input: Input, out: &mut Effects) {
        let Some(letters) = &mut self.dead_letters else { return };
        let mut asked = Effects::default();
        letters.producer.step(now, input, &mut asked);
        let mut over = None;
        for effect in asked.drain() {
            match effect {
                Effect::Send { to, message: Message::Request { correlation_id, request } } => {
                    out.request(to, correlation_id | OF_PRODUCER, request);
                }
                Effect::SetTimer { at, timer } => out.set_timer(at, Timer::DeadLetters(Box::new(timer))),
                Effect::CancelTimer(timer) => out.cancel_timer(Timer::DeadLetters(Box::new(timer))),
                Effect::Note(fact) => {
                    match &fact {
                        Fact::BatchAcked { .. } => over = Some(true),
                        Fact::BatchFailed { .. } | Fact::SendFailed { .. } => over = Some(false),
                        _ => {}
                    }
                    out.note(fact);
                }
                Effect::CloseConnection { peer } => out.close_connection(peer),
                Effect::Busy(lasting) => out.busy(lasting),
                // It answers nobody, and its process is the consumer's.
                Effect::Send { .. } | Effect::Exit | Effect::Halt => {}
            }
        }
        match (over, letters.letter.take()) {
            (Some(true), Some(_)) => {
                let next = self.application.dead_lettered(now, self.group.as_ref(), out);
                self.follow(now, next, out);
            }
            // The record must not be lost: it is sent again.
            (Some(false), Some(letter)) => {
                letters.producer.send_by_hand(letter.clone());
                letters.letter = Some(letter);
                self.step_producer(now, Input::Timer(Timer::Application), out);
            }
            (_, letter) => letters.letter = letter,
        }
    }
}
