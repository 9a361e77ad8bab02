//! What will happen, in order. Two events never tie: equal times run in the order they were scheduled.

use std::collections::BTreeMap;

use crate::time::Instant;

/// Where an event stands in the queue; taking it out needs it.
pub type Ticket = (Instant, u64);

/// Events by the time they are due.
#[derive(Clone, Debug)]
pub struct Queue<E> {
    events: BTreeMap<Ticket, E>,
    next_id: u64,
}

impl<E> Default for Queue<E> {
    fn default() -> Self {
        Self { events: BTreeMap::new(), next_id: 0 }
    }
}

impl<E> Queue<E> {
    /// Adds an event behind all others of the same time.
    pub fn schedule(&mut self, at: Instant, event: E) -> Ticket {
        let ticket = (at, self.next_id);
        self.next_id += 1;
        self.events.insert(ticket, event);
        ticket
    }

    /// Takes an event out before its time; one that has happened is not there any more.
    pub fn cancel(&mut self, ticket: Ticket) -> Option<E> {
        self.events.remove(&ticket)
    }

    /// When the next event is due.
    pub fn next_at(&self) -> Option<Instant> {
        self.events.first_key_value().map(|((at, _), _)| *at)
    }

    /// Takes out the next event.
    pub fn pop(&mut self) -> Option<(Instant, E)> {
        self.events.pop_first().map(|((at, _), event)| (at, event))
    }

    /// Every event that is to come, in order.
    pub fn iter(&self) -> impl Iterator<Item = (Instant, &E)> {
        self.events.iter().map(|((at, _), event)| (*at, event))
    }

    /// Takes out every event that `goes`, in order.
    pub fn extract(&mut self, mut goes: impl FnMut(&E) -> bool) -> Vec<E> {
        let gone: Vec<Ticket> =
            self.events.iter().filter(|(_, event)| goes(event)).map(|(ticket, _)| *ticket).collect();
        gone.into_iter().filter_map(|ticket| self.events.remove(&ticket)).collect()
    }

    /// How many events are to come.
    pub fn len(&self) -> usize {
        self.events.len()
    }

    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_times_run_in_the_order_they_were_scheduled() {
        let mut queue = Queue::default();
        for (at, event) in [(2, 'c'), (1, 'a'), (2, 'd'), (1, 'b')] {
            queue.schedule(Instant::from_micros(at), event);
        }
        let order: String = std::iter::from_fn(|| queue.pop()).map(|(_, event)| event).collect();
        assert_eq!(order, "abcd");
    }

    #[test]
    fn a_cancelled_event_does_not_happen() {
        let mut queue = Queue::default();
        let ticket = queue.schedule(Instant::from_micros(1), 'a');
        queue.schedule(Instant::from_micros(2), 'b');
        assert_eq!(queue.cancel(ticket), Some('a'));
        assert_eq!(queue.pop(), Some((Instant::from_micros(2), 'b')));
        assert!(queue.is_empty());
    }
}
