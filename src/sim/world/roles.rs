//! Combined mode (`process.roles=broker,controller`): the first broker and the first voter are one process on one host,
//! and so on down both lists. Each keeps its own machine, messages and card; what befalls one befalls the other.
//!
//! What we leave out: one process time for both, and messages that stay within a process: they cross the network here.

use super::World;
use crate::kafka::effects::Input;
use crate::kafka::fact::NodeState;
use crate::kafka::ids::{ControllerId, Node};
use crate::sim::command::Command;
use crate::sim::scenario::Roles;
use crate::sim::spec::{FIRST_CONTROLLER, NodeName};

impl World {
    /// The other part of a node's process.
    pub(super) fn twin(&self, node: Node) -> Option<Node> {
        if self.scenario.roles != Roles::Combined {
            return None;
        }
        let brokers = self.scenario.brokers.iter().map(|broker| broker.id);
        let voters = (FIRST_CONTROLLER..).take(self.scenario.controllers as usize).map(ControllerId);
        let mut pairs = brokers.zip(voters).map(|(broker, voter)| (Node::Broker(broker), Node::Controller(voter)));
        pairs.find_map(|(broker, voter)| match node {
            _ if node == broker => Some(voter),
            _ if node == voter => Some(broker),
            _ => None,
        })
    }

    /// What a command means for the other part. How a process ends is settled where it ends.
    pub(super) fn command_of_twin(&self, command: &Command) -> Option<Command> {
        let named = |name: &NodeName| match self.twin(self.find(name).ok()?)? {
            Node::Broker(id) => Some(NodeName::Broker(id)),
            Node::Controller(id) => Some(NodeName::Controller(id)),
            _ => None,
        };
        Some(match command {
            Command::Start { node } => Command::Start { node: named(node)? },
            Command::Pause { node, lasting } => Command::Pause { node: named(node)?, lasting: *lasting },
            Command::Resume { node } => Command::Resume { node: named(node)? },
            Command::Slow { node, times, lasting } => {
                Command::Slow { node: named(node)?, times: *times, lasting: *lasting }
            }
            Command::Wipe { node } => Command::Wipe { node: named(node)? },
            _ => return None,
        })
    }

    /// The part of a process that is asked to stop: the broker, which needs controllers to let it go
    /// (`KafkaRaftServer.shutdown`).
    pub(super) fn first_to_stop(&self, node: Node) -> Node {
        match self.twin(node) {
            Some(broker @ Node::Broker(_)) if self.is_up(broker) => broker,
            _ => node,
        }
    }

    /// A part of a process has ended. After a clean end of the broker the voter is asked to stop; any other end is one
    /// of both.
    pub(super) fn end_twin(&mut self, node: Node, state: NodeState, dark: bool, cause: u64) {
        let Some(twin) = self.twin(node).filter(|twin| self.is_up(*twin)) else { return };
        if state != NodeState::Stopped {
            if let Some(slot) = self.slot_mut(twin) {
                slot.dark = dark;
            }
            self.end_process(twin, state, cause);
        } else if matches!(twin, Node::Controller(_)) {
            self.resume(twin, cause);
            self.change_state(twin, NodeState::Stopping, cause);
            self.give(twin, Input::Shutdown, cause);
        }
    }
}
