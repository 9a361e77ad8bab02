//! Elections: who may lead next, and how a leader says that it begins or ends.
//!
//! | receiver | Vote | pre-vote |
//! |---|---|---|
//! | Unattached, Prospective | once an epoch, if no leader is known and the candidate's log is up to date | if the log is up to date |
//! | Follower | no | if the log is up to date, and it has not fetched from its leader yet |
//! | Candidate, Resigned | no | if the log is up to date |
//! | Leader | no | no |
//!
//! A log is up to date if its last epoch is higher than ours, or is the same and it is at least as long: so the winner
//! holds every committed record. A request of a higher epoch makes the receiver Unattached in that epoch before it
//! answers.

use std::collections::BTreeSet;

use super::super::effects::{Effects, Timer};
use super::super::error::ErrorCode;
use super::super::fact::Fact;
use super::super::ids::{ControllerId, LeaderEpoch};
use super::super::message::{
    BeginQuorumEpochRequest, EndQuorumEpochRequest, QuorumEpochResponse, Request, VoteRequest, VoteResponse,
};
use super::{Quorum, Role};
use crate::time::{Duration, Instant};

/// A voter's own election, or its rehearsal (`EpochElection`).
#[derive(Clone, Debug)]
pub struct Election {
    /// The leader it had when it began to ask.
    leader: Option<ControllerId>,
    granted: BTreeSet<ControllerId>,
    rejected: BTreeSet<ControllerId>,
    until: Instant,
}

impl Election {
    /// One that begins: the voter is for itself.
    pub(super) fn new(id: ControllerId, leader: Option<ControllerId>, until: Instant) -> Self {
        Self { leader, granted: [id].into(), rejected: BTreeSet::new(), until }
    }

    pub(super) const fn leader(&self) -> Option<ControllerId> {
        self.leader
    }

    pub(super) const fn until(&self) -> Instant {
        self.until
    }

    /// Who is for it so far.
    pub fn granted(&self) -> &BTreeSet<ControllerId> {
        &self.granted
    }

    fn is_won(&self, voters: usize) -> bool {
        self.granted.len() > voters / 2
    }

    /// Whether there is no majority left to win.
    pub(super) fn is_lost(&self, voters: usize) -> bool {
        voters - self.rejected.len() <= voters / 2
    }

    fn is_open(&self, voter: ControllerId) -> bool {
        !self.granted.contains(&voter) && !self.rejected.contains(&voter)
    }
}

impl Quorum {
    /// Asks whether it could win (`transitionToProspective`).
    pub(super) fn stand(&mut self, now: Instant, out: &mut Effects) {
        let until = now + self.random_election_timeout();
        let election = Election::new(self.id, self.leader(), until);
        self.become_role(Role::Prospective(election), now, out);
        self.count_votes(now, out);
    }

    /// Takes the next epoch and votes for itself (`transitionToCandidate`).
    fn run(&mut self, now: Instant, out: &mut Effects) {
        let until = now + self.random_election_timeout();
        self.disk.epoch = LeaderEpoch(self.disk.epoch.0 + 1);
        (self.disk.voted, self.disk.leader) = (Some(self.id), None);
        self.become_role(Role::Candidate(Election::new(self.id, None, until)), now, out);
        self.count_votes(now, out);
    }

    /// Goes back to the leader it had, if any: it may only have been slow (`prospectiveTransitionAfterElectionLoss`).
    pub(super) fn give_up_standing(&mut self, now: Instant, out: &mut Effects) {
        match self.leader() {
            Some(leader) => self.follow(leader, self.disk.epoch, now, out),
            None => self.detach(self.disk.epoch, now, out),
        }
    }

    /// Goes on as the votes so far allow. A candidate that has lost waits for the end of its time, so that the others
    /// get a chance.
    fn count_votes(&mut self, now: Instant, out: &mut Effects) {
        let voters = self.voters.len();
        match &self.role {
            Role::Prospective(election) if election.is_won(voters) => self.run(now, out),
            Role::Prospective(election) if election.is_lost(voters) => self.give_up_standing(now, out),
            Role::Candidate(election) if election.is_won(voters) => self.lead(now, out),
            _ => {}
        }
    }

    /// Asks every voter that has not answered yet.
    pub(super) fn ask_for_votes(&mut self, now: Instant, out: &mut Effects) {
        let (Role::Prospective(election) | Role::Candidate(election)) = &self.role else { return };
        if election.is_lost(self.voters.len()) {
            return;
        }
        let open: Vec<ControllerId> = self.voters.iter().copied().filter(|voter| election.is_open(*voter)).collect();
        let request = VoteRequest {
            candidate: self.id,
            epoch: self.disk.epoch,
            last_epoch: self.disk.log.last_epoch().unwrap_or_default(),
            last_offset: self.disk.log.end(),
            pre_vote: matches!(self.role, Role::Prospective(_)),
        };
        self.ask_each(now, open, || Request::Vote(request), out);
    }

    /// A voter wants to lead, or to know whether it could.
    pub(super) fn on_vote(&mut self, now: Instant, request: &VoteRequest, out: &mut Effects) -> VoteResponse {
        let answer = |quorum: &Self, error, vote_granted| VoteResponse {
            error,
            leader: quorum.leader(),
            epoch: quorum.disk.epoch,
            vote_granted,
        };
        if request.epoch < self.disk.epoch {
            return answer(self, ErrorCode::FencedLeaderEpoch, false);
        }
        if request.epoch > self.disk.epoch {
            self.detach(request.epoch, now, out);
        }
        let granted = self.grants(request);
        if granted && !request.pre_vote && self.disk.voted.is_none() {
            self.note_vote(request.candidate, now, out);
        }
        let VoteRequest { candidate, epoch, pre_vote, .. } = *request;
        out.note(Fact::Voted { candidate, epoch, pre_vote, granted });
        answer(self, ErrorCode::None, granted)
    }

    /// The table above (`EpochState.canGrantVote`).
    fn grants(&self, request: &VoteRequest) -> bool {
        let own = (self.disk.log.last_epoch().unwrap_or_default(), self.disk.log.end());
        let is_up_to_date = (request.last_epoch, request.last_offset) >= own;
        match &self.role {
            Role::Leader(_) => false,
            Role::Follower { has_fetched, .. } => request.pre_vote && is_up_to_date && !has_fetched,
            _ if request.pre_vote => is_up_to_date,
            Role::Candidate(_) | Role::Resigned { .. } => false,
            Role::Unattached { .. } | Role::Prospective(_) => match self.disk.voted {
                Some(voted) => voted == request.candidate || (self.settings.votes_again && is_up_to_date),
                None => self.leader().is_none() && is_up_to_date,
            },
        }
    }

    /// The vote goes to disk before it is told. Whoever voted gives the candidate time.
    fn note_vote(&mut self, candidate: ControllerId, now: Instant, out: &mut Effects) {
        self.disk.voted = Some(candidate);
        let later = now + self.random_election_timeout();
        match &mut self.role {
            Role::Unattached { until } => *until = later,
            Role::Prospective(election) => *election = Election::new(self.id, election.leader, later),
            _ => return,
        }
        out.set_timer(later, Timer::Election);
    }

    /// A voter answered.
    pub(super) fn on_voted(&mut self, now: Instant, from: ControllerId, answer: &VoteResponse, out: &mut Effects) {
        let before = self.round;
        if self.learn(answer.error, answer.leader, answer.epoch, now, out) || self.round != before {
            return;
        }
        let (Role::Prospective(election) | Role::Candidate(election)) = &mut self.role else { return };
        if answer.vote_granted {
            election.granted.insert(from);
        } else {
            election.rejected.insert(from);
        }
        self.count_votes(now, out);
    }

    /// Tells voters that do not fetch that it leads: at once, and every half fetch timeout.
    pub(super) fn begin_epoch(&mut self, now: Instant, out: &mut Effects) {
        let interval = self.settings.fetch_timeout / 2;
        let Role::Leader(leadership) = &mut self.role else { return };
        let Some(silent) = leadership.take_silent(now, interval) else { return };
        out.set_timer(now + interval, Timer::BeginQuorumEpoch);
        let request = BeginQuorumEpochRequest { leader: self.id, epoch: self.disk.epoch };
        let ready: Vec<ControllerId> = silent.into_iter().filter(|voter| self.is_ready(now, *voter)).collect();
        ready.into_iter().for_each(|voter| self.ask(now, voter, Request::BeginQuorumEpoch(request), out));
    }

    /// A new leader says so.
    pub(super) fn on_begin_epoch(
        &mut self,
        now: Instant,
        request: &BeginQuorumEpochRequest,
        out: &mut Effects,
    ) -> QuorumEpochResponse {
        if request.epoch < self.disk.epoch {
            return self.epoch_response(ErrorCode::FencedLeaderEpoch);
        }
        self.hear_of(Some(request.leader), request.epoch, now, out);
        self.epoch_response(ErrorCode::None)
    }

    /// Tells the others that it leads no longer, until each has answered.
    pub(super) fn end_epoch(&mut self, now: Instant, out: &mut Effects) {
        let Role::Resigned { unacked, successors, .. } = &self.role else { return };
        let (unacked, preferred_successors) = (unacked.clone(), successors.clone());
        let request = EndQuorumEpochRequest { leader: self.id, epoch: self.disk.epoch, preferred_successors };
        self.ask_each(now, unacked, || Request::EndQuorumEpoch(request.clone()), out);
    }

    /// The leader ends its epoch: a follower stands for election after a pause that depends on its place among the
    /// successors.
    pub(super) fn on_end_epoch(
        &mut self,
        now: Instant,
        request: &EndQuorumEpochRequest,
        out: &mut Effects,
    ) -> QuorumEpochResponse {
        if request.epoch < self.disk.epoch {
            return self.epoch_response(ErrorCode::FencedLeaderEpoch);
        }
        self.hear_of(Some(request.leader), request.epoch, now, out);
        let successors = &request.preferred_successors;
        let place = successors.iter().position(|voter| *voter == self.id).unwrap_or(successors.len());
        let pause = successor_backoff(place, successors.len(), self.settings.election_backoff_max);
        if let Role::Follower { leader, until, .. } = &mut self.role
            && *leader == request.leader
        {
            *until = now + pause;
            out.set_timer(*until, Timer::QuorumFetchTimeout);
        }
        self.epoch_response(ErrorCode::None)
    }

    fn epoch_response(&self, error: ErrorCode) -> QuorumEpochResponse {
        QuorumEpochResponse { error, leader: self.leader(), epoch: self.disk.epoch }
    }
}

/// None for the first successor, and the longest for who is not on the list (`strictExponentialElectionBackoffMs`).
fn successor_backoff(place: usize, successors: usize, longest: Duration) -> Duration {
    if place == 0 {
        return Duration::ZERO;
    }
    if place >= successors {
        return longest;
    }
    let shortest = longest.as_millis() >> (successors - 1);
    Duration::millis(shortest << (place - 1)).min(longest)
}

#[cfg(test)]
mod tests {
    use super::super::super::config::BrokerConfig;
    use super::super::super::ids::Voters;
    use super::super::super::metadata::{MetadataBatch, MetadataRecord};
    use super::super::ControllerDisk;
    use super::*;
    use crate::rng::Rng;

    /// Controller 101 of three, in epoch 5, whose log ends at 2 with a record of epoch 4.
    fn quorum(role: Role) -> Quorum {
        let voters: Voters = [101, 102, 103].map(ControllerId).into();
        let mut disk = ControllerDisk { epoch: LeaderEpoch(5), ..ControllerDisk::default() };
        let records = [MetadataRecord::NoOp, MetadataRecord::NoOp].into();
        disk.log.append(MetadataBatch { base_offset: 0, epoch: LeaderEpoch(4), records });
        let rng = Rng::new(1, 1);
        Quorum { role, ..Quorum::new(ControllerId(101), voters, &BrokerConfig::default(), disk, rng) }
    }

    const LATER: Instant = Instant::from_micros(1_000_000);

    fn unattached() -> Role {
        Role::Unattached { until: LATER }
    }

    fn following(has_fetched: bool) -> Role {
        Role::Follower { leader: ControllerId(103), until: LATER, has_fetched, snapshot: None }
    }

    fn standing(leader: Option<i32>) -> Election {
        Election::new(ControllerId(101), leader.map(ControllerId), LATER)
    }

    fn ask(
        quorum: &mut Quorum,
        candidate: i32,
        epoch: i32,
        (last_epoch, last_offset): (i32, i64),
        pre_vote: bool,
    ) -> bool {
        let (candidate, epoch, last_epoch) = (ControllerId(candidate), LeaderEpoch(epoch), LeaderEpoch(last_epoch));
        let request = VoteRequest { candidate, epoch, last_epoch, last_offset, pre_vote };
        quorum.on_vote(Instant::ZERO, &request, &mut Effects::default()).vote_granted
    }

    const SAME: (i32, i64) = (4, 2);

    /// `KafkaRaftClientPreVoteTest` and `QuorumStateTest.testCanGrantVote…`.
    #[test]
    fn who_knows_a_leader_or_stands_itself_grants_no_vote_in_its_epoch() {
        let resigned = Role::Resigned { until: LATER, successors: Vec::new(), unacked: BTreeSet::new() };
        for (role, vote, pre_vote) in [
            (unattached(), true, true),
            (Role::Prospective(standing(None)), true, true),
            (Role::Prospective(standing(Some(103))), false, true),
            (Role::Candidate(standing(None)), false, true),
            (resigned, false, true),
            (following(false), false, true),
            (following(true), false, false),
        ] {
            let phase = role.phase();
            assert_eq!(ask(&mut quorum(role.clone()), 102, 5, SAME, false), vote, "vote, {phase:?}");
            assert_eq!(ask(&mut quorum(role), 102, 5, SAME, true), pre_vote, "pre-vote, {phase:?}");
        }
    }

    #[test]
    fn only_a_log_that_is_up_to_date_gets_a_vote() {
        for (log, granted) in [((4, 1), false), ((3, 9), false), ((4, 2), true), ((4, 3), true), ((5, 1), true)] {
            assert_eq!(ask(&mut quorum(unattached()), 102, 6, log, false), granted, "{log:?}");
            assert_eq!(ask(&mut quorum(unattached()), 102, 6, log, true), granted, "{log:?}");
        }
    }

    #[test]
    fn a_vote_is_kept_for_the_epoch_and_a_pre_vote_is_not() {
        let mut quorum = quorum(unattached());
        assert!(ask(&mut quorum, 103, 5, SAME, true) && ask(&mut quorum, 102, 5, SAME, true));
        assert!(ask(&mut quorum, 102, 5, SAME, false));
        assert!(!ask(&mut quorum, 103, 5, SAME, false), "it has voted");
        assert!(ask(&mut quorum, 102, 5, SAME, false), "the answer may have been lost");
        assert!(ask(&mut quorum, 103, 6, SAME, false), "another epoch");
        assert!(!ask(&mut quorum, 102, 5, SAME, false), "an epoch that is over");
        let disk = quorum.into_disk();
        assert_eq!((disk.epoch, disk.voted), (LeaderEpoch(6), Some(ControllerId(103))));
    }

    #[test]
    fn a_candidate_goes_on_after_a_crash_as_one() {
        let mut before = quorum(unattached());
        before.stand(Instant::ZERO, &mut Effects::default());
        let answer = |granted| VoteResponse {
            error: ErrorCode::None,
            leader: None,
            epoch: LeaderEpoch(5),
            vote_granted: granted,
        };
        before.on_voted(Instant::ZERO, ControllerId(102), &answer(true), &mut Effects::default());
        assert_eq!((before.epoch(), before.voted()), (LeaderEpoch(6), Some(ControllerId(101))));
        let mut after = Quorum { disk: before.into_disk(), ..quorum(unattached()) };
        after.start(Instant::ZERO, &mut Effects::default());
        assert!(matches!(after.role(), Role::Candidate(_)) && after.epoch() == LeaderEpoch(6));
        assert!(!ask(&mut after, 103, 6, SAME, false), "it voted for itself");
    }

    /// `KafkaRaftClientTest`: with `controller.quorum.election.backoff.max.ms=1000`.
    #[test]
    fn the_first_successor_stands_at_once_and_the_others_wait_exponentially() {
        let pauses = |successors: usize| -> Vec<u64> {
            let pause = |place| successor_backoff(place, successors, Duration::secs(1)).as_millis();
            (0..=successors).map(pause).collect()
        };
        assert_eq!(pauses(2), [0, 500, 1000]);
        assert_eq!(pauses(4), [0, 125, 250, 500, 1000]);
        assert_eq!(pauses(0), [0], "a leader that was restarted names nobody");
    }

    #[test]
    fn an_election_is_lost_when_no_majority_is_left() {
        let mut election = Election::new(ControllerId(101), None, Instant::ZERO);
        assert!(election.is_won(1) && !election.is_won(3) && !election.is_lost(3));
        election.rejected.insert(ControllerId(102));
        assert!(!election.is_lost(3));
        election.rejected.insert(ControllerId(103));
        assert!(election.is_lost(3) && !election.is_lost(5));
    }
}
