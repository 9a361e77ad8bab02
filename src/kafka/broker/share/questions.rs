//! What is asked of share coordinators, here or at other brokers, until it is answered (`PersisterStateManager`); and this
//! broker's own share coordinator.

use super::Broker;
use crate::kafka::broker::Purpose;
use crate::kafka::coordinator::ShareAsk;
use crate::kafka::effects::{Effects, Timer};
use crate::kafka::error::ErrorCode;
use crate::kafka::ids::{LeaderEpoch, Node, Offset, SHARE_STATE_TOPIC, TopicPartition};
use crate::kafka::message::share::{
    DescribeShareGroupOffsetsRequest, DescribeShareGroupOffsetsResponse, DescribedSharePartition,
    InitializeShareGroupStateRequest, ReadShareGroupStateRequest, ReadShareGroupStateSummaryRequest, SharePartitionKey,
};
use crate::kafka::message::{Request, Response};
use crate::kafka::share::state::{self, Answer, Asker, Outcome};
use crate::time::{Duration, Instant};

/// `PersisterStateManager.REQUEST_BACKOFF_MS`.
const BACKOFF: Duration = Duration::secs(1);
/// `PersisterStateManager.MAX_FIND_COORD_ATTEMPTS`.
const ATTEMPTS: u32 = 5;
/// How long another broker may take (`request.timeout.ms` of a broker's own clients).
const TIMEOUT: Duration = Duration::secs(30);

/// Something that a share coordinator is asked.
#[derive(Clone, Debug)]
pub(super) struct Question {
    request: Request,
    attempts: u32,
    /// It goes out again then.
    retry_at: Option<Instant>,
    /// The request of a tool that it belongs to.
    summary: Option<u64>,
    /// The group whose coordinator asks.
    ask: Option<ShareAsk>,
    heed: Heed,
}

/// Who cares whether a share coordinator refuses a question because somebody has opened a newer window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heed {
    /// What a member acknowledged, or a broken session released: the window is fenced.
    Fencing,
    /// That the time of a lock is over holds, written or not (`releaseAcquisitionLockOnTimeout`).
    Nobody,
}

/// A tool asks where a group stands; the answer is being gathered.
#[derive(Clone, Debug)]
pub(super) struct Summary {
    pub(super) from: Node,
    correlation_id: u32,
    request: DescribeShareGroupOffsetsRequest,
    left: u32,
    found: Vec<DescribedSharePartition>,
}

impl Question {
    fn new(request: Request) -> Self {
        Self { request, attempts: 0, retry_at: None, summary: None, ask: None, heed: Heed::Nobody }
    }
}

impl Broker {
    pub(super) fn ask_where_group_stands(
        &mut self,
        now: Instant,
        key: &SharePartitionKey,
        id: u64,
        leader_epoch: LeaderEpoch,
        out: &mut Effects,
    ) {
        let request = Request::ReadShareGroupState(ReadShareGroupStateRequest { key: key.clone(), leader_epoch });
        self.ask_share_coordinator(now, id, request, Heed::Nobody, out);
    }

    pub(super) fn ask_share_coordinator(
        &mut self,
        now: Instant,
        id: u64,
        request: Request,
        heed: Heed,
        out: &mut Effects,
    ) {
        let question = Question { heed, ..Question::new(request) };
        self.share.questions.insert(id, question);
        self.put_question(now, id, out);
    }

    /// What the group coordinator wants share coordinators to know.
    pub(in crate::kafka::broker) fn initialize_share_partitions(&mut self, now: Instant, out: &mut Effects) {
        for ask in self.coordinator.take_share_asks() {
            let key = SharePartitionKey { group: ask.group.clone(), partition: ask.partition };
            let request = InitializeShareGroupStateRequest { key, state_epoch: ask.epoch, start_offset: -1 };
            let id = self.share.next_id();
            let request = Request::InitializeShareGroupState(request);
            let question = Question { ask: Some(ask), ..Question::new(request) };
            self.share.questions.insert(id, question);
            self.put_question(now, id, out);
        }
    }

    /// A tool asks for a group's offsets; the share coordinators know them (`describeShareGroupOffsets`).
    pub(super) fn on_describe_share_offsets(
        &mut self,
        now: Instant,
        from: Node,
        correlation_id: u32,
        request: &DescribeShareGroupOffsetsRequest,
        out: &mut Effects,
    ) {
        let partitions = match self.coordinator.share_partitions(&request.group) {
            Ok(partitions) if !partitions.is_empty() => partitions,
            empty => {
                let (error, group) = (empty.err().unwrap_or(ErrorCode::None), request.group.clone());
                let response = DescribeShareGroupOffsetsResponse { error, group, partitions: Vec::new() };
                return out.respond(from, correlation_id, Response::DescribeShareGroupOffsets(response));
            }
        };
        let summary = self.share.next_id();
        let left = u32::try_from(partitions.len()).unwrap_or(u32::MAX);
        let gathered = Summary { from, correlation_id, request: request.clone(), left, found: Vec::new() };
        self.share.summaries.insert(summary, gathered);
        for partition in partitions {
            let key = SharePartitionKey { group: request.group.clone(), partition };
            let request = Request::ReadShareGroupStateSummary(ReadShareGroupStateSummaryRequest { key });
            let id = self.share.next_id();
            let question = Question { summary: Some(summary), ..Question::new(request) };
            self.share.questions.insert(id, question);
            self.put_question(now, id, out);
        }
    }

    /// Asks the share coordinator: whoever leads the partition of `__share_group_state`, as this broker knows it.
    fn put_question(&mut self, now: Instant, id: u64, out: &mut Effects) {
        let Some(question) = self.share.questions.get_mut(&id) else { return };
        question.retry_at = None;
        let request = question.request.clone();
        let Some(key) = state::key_of(&request) else { return };
        let Some((_, topic)) = self.observer.image().topic(SHARE_STATE_TOPIC) else {
            let (partitions, factor) =
                (self.config.share_state_topic_partitions, self.config.share_state_topic_replication_factor);
            self.create_topic(now, SHARE_STATE_TOPIC.into(), partitions, factor, out);
            return self.put_off(now, id, ErrorCode::CoordinatorNotAvailable, out);
        };
        let partition = state::partition_of(key, topic.partitions.len() as u32);
        match topic.partitions.get(partition as usize).and_then(|registration| registration.leader) {
            None => self.put_off(now, id, ErrorCode::CoordinatorNotAvailable, out),
            Some(broker) if broker == self.id => self.decide_share_state(now, Asker::Own { id }, &request, out),
            Some(broker) => {
                let purpose = Purpose::ShareState { id };
                self.in_flight.send(now, Node::Broker(broker), request, TIMEOUT, purpose, out);
            }
        }
    }

    /// The question could not be answered: it is put again after a pause, or given up.
    fn put_off(&mut self, now: Instant, id: u64, error: ErrorCode, out: &mut Effects) {
        let Some(question) = self.share.questions.get_mut(&id) else { return };
        question.attempts += 1;
        if question.attempts < ATTEMPTS {
            let at = now + BACKOFF * u64::from(1_u32 << (question.attempts - 1));
            question.retry_at = Some(at);
            return self.arm_questions(out);
        }
        let refused = state::key_of(&question.request).cloned();
        let refused = refused.and_then(|key| state::error_response(&question.request, &key, error));
        if let Some(response) = refused {
            self.take_answer(now, id, &response, out);
        }
    }

    fn arm_questions(&self, out: &mut Effects) {
        if let Some(at) = self.share.questions.values().filter_map(|question| question.retry_at).min() {
            out.set_timer(at, Timer::ShareState);
        }
    }

    /// [`Timer::ShareState`] came.
    pub(super) fn ask_again(&mut self, now: Instant, out: &mut Effects) {
        let due = self.share.questions.iter().filter(|(_, of)| of.retry_at.is_some_and(|at| at <= now));
        let due: Vec<u64> = due.map(|(id, _)| *id).collect();
        for id in due {
            self.put_question(now, id, out);
        }
        self.arm_questions(out);
    }

    /// Another broker did not answer.
    pub(in crate::kafka::broker) fn share_question_lost(&mut self, now: Instant, id: u64, out: &mut Effects) {
        self.put_off(now, id, ErrorCode::CoordinatorNotAvailable, out);
    }

    pub(super) fn on_share_answer(&mut self, now: Instant, id: u64, response: &Response, out: &mut Effects) {
        let error = state::error_of(response);
        let passing = [
            ErrorCode::NotCoordinator,
            ErrorCode::CoordinatorNotAvailable,
            ErrorCode::CoordinatorLoadInProgress,
            ErrorCode::UnknownServerError,
        ];
        if passing.contains(&error) {
            return self.put_off(now, id, error, out);
        }
        self.take_answer(now, id, response, out);
    }

    /// A question is settled: whoever asked goes on.
    fn take_answer(&mut self, now: Instant, id: u64, response: &Response, out: &mut Effects) {
        let Some(question) = self.share.questions.remove(&id) else { return };
        match response {
            Response::ReadShareGroupState(answer) => self.window_loaded(now, &answer.key, id, answer, out),
            Response::WriteShareGroupState(answer) => {
                let Request::WriteShareGroupState(written) = &question.request else { return };
                self.window_written(now, written, id, (answer.error, question.heed), out);
            }
            Response::InitializeShareGroupState(answer) => {
                let Some(ask) = question.ask else { return };
                let is_known = answer.error.is_none();
                let appends = self.coordinator.share_partition_initialized(now, &ask, is_known, out);
                self.append_group_records(now, appends, out);
            }
            Response::ReadShareGroupStateSummary(answer) => {
                let Some(summary) = question.summary else { return };
                let Some(gathered) = self.share.summaries.get_mut(&summary) else { return };
                gathered.left -= 1;
                // What cannot be read counts as not there yet, and is no error.
                gathered.found.push(DescribedSharePartition {
                    partition: answer.key.partition,
                    start_offset: answer.start_offset,
                    leader_epoch: answer.leader_epoch,
                    delivery_complete_count: answer.delivery_complete_count,
                });
                if gathered.left == 0
                    && let Some(mut gathered) = self.share.summaries.remove(&summary)
                {
                    gathered.found.sort_by_key(|found| found.partition);
                    let (error, group) = (ErrorCode::None, gathered.request.group);
                    let response = DescribeShareGroupOffsetsResponse { error, group, partitions: gathered.found };
                    let response = Response::DescribeShareGroupOffsets(response);
                    out.respond(gathered.from, gathered.correlation_id, response);
                }
            }
            _ => {}
        }
    }

    /// Another broker asks this one's share coordinator.
    pub(super) fn on_share_state_request(
        &mut self,
        now: Instant,
        from: Node,
        correlation_id: u32,
        request: &Request,
        out: &mut Effects,
    ) {
        let asker = Asker::Peer { node: from, correlation_id };
        self.decide_share_state(now, asker, request, out);
    }

    fn decide_share_state(&mut self, now: Instant, asker: Asker, request: &Request, out: &mut Effects) {
        let Some(key) = state::key_of(request) else { return };
        let topic = self.observer.image().topic(SHARE_STATE_TOPIC).map(|(id, topic)| (id, topic.partitions.len()));
        let (topic, partitions) = topic.unwrap_or_default();
        let partition = state::partition_of(key, u32::try_from(partitions.max(1)).unwrap_or(1));
        let updates = self.config.share_updates_per_snapshot;
        match self.share.coordinator.on_request(now, asker, partition, request, updates) {
            None | Some(Outcome::Waits) => {}
            Some(Outcome::Answer(answer)) => self.give_share_answer(now, answer, out),
            Some(Outcome::Append(append)) => {
                let of = TopicPartition::new(topic, append.partition);
                let result = match self.replicas.get_mut(&of) {
                    Some(replica) => {
                        let count = Offset::from(append.batch.last_offset_delta) + 1;
                        replica.append_as_leader(now, append.batch.clone(), false, out).map(|base| base + count)
                    }
                    None => Err(ErrorCode::NotLeaderOrFollower),
                };
                if let Some(answer) = self.share.coordinator.appended(*append, result) {
                    self.give_share_answer(now, answer, out);
                }
                if result.is_ok() {
                    self.after_append(now, of, out);
                }
            }
        }
    }

    fn give_share_answer(&mut self, now: Instant, (asker, response): Answer, out: &mut Effects) {
        match asker {
            Asker::Peer { node, correlation_id } => out.respond(node, correlation_id, response),
            Asker::Own { id } => self.on_share_answer(now, id, &response, out),
        }
    }

    /// The high watermark of a partition of `__share_group_state` has moved.
    pub(in crate::kafka::broker) fn on_share_state_committed(
        &mut self,
        now: Instant,
        partition: TopicPartition,
        out: &mut Effects,
    ) {
        let Some(high_watermark) = self.replicas.get(&partition).map(|replica| replica.high_watermark()) else {
            return;
        };
        for answer in self.share.coordinator.committed(partition.partition, high_watermark) {
            self.give_share_answer(now, answer, out);
        }
    }

    /// This broker leads a partition of `__share_group_state`, or does so no longer.
    pub(in crate::kafka::broker) fn keep_share_states(
        &mut self,
        now: Instant,
        partition: TopicPartition,
        out: &mut Effects,
    ) {
        let number = partition.partition;
        let refused = match self.replicas.get(&partition).filter(|replica| replica.is_leader()) {
            Some(replica) => {
                let batches: Vec<_> = replica.log().batches().cloned().collect();
                let (epoch, high_watermark) = (replica.leader_epoch(), replica.high_watermark());
                self.share.coordinator.load(number, epoch, &batches, high_watermark)
            }
            None => self.share.coordinator.unload(number),
        };
        for answer in refused {
            self.give_share_answer(now, answer, out);
        }
    }
}
