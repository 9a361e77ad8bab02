//! The znodes and sessions as one server has applied them (`DataTree`, `SessionTracker`). Every server applies the same
//! transactions in the same order, and so has the same tree at the same transaction.
//!
//! What we leave out: the empty znodes between a path's ends (`/brokers/topics/T/partitions` and the like): a znode here
//! needs no parent, and a parent's children are what begins with its path.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::rc::Rc;

use crate::kafka::ids::{BrokerId, Name};
use crate::kafka::message::ensemble::{
    SessionId, Stat, WatchKind, ZkChange, ZkError, ZkFailure, ZkOp, ZkReply, ZkResult, ZkTxn, ZnodeData, Zxid,
};
use crate::time::Duration;

/// One znode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Znode {
    pub data: Rc<ZnodeData>,
    pub stat: Stat,
}

/// A client's session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session {
    pub client: BrokerId,
    pub timeout: Duration,
}

/// Everything the transactions up to `applied` have made.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    znodes: Rc<BTreeMap<Name, Znode>>,
    /// When the children of a path last came or went, and the next number for a sequential one.
    parents: Rc<BTreeMap<Name, (Zxid, u32)>>,
    sessions: BTreeMap<SessionId, Session>,
    applied: Zxid,
}

/// A znode that a transaction touched: its path, its version now (`None` where it is gone), whether it is ephemeral, and
/// whether its parent has other children now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Touched {
    pub path: Name,
    pub version: Option<i32>,
    pub ephemeral: bool,
    pub children_changed: bool,
}

impl Tree {
    /// The last transaction in it.
    pub fn applied(&self) -> Zxid {
        self.applied
    }

    pub fn get(&self, path: &str) -> Option<&Znode> {
        self.znodes.get(path)
    }

    /// How many znodes there are.
    pub fn len(&self) -> usize {
        self.znodes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.znodes.is_empty()
    }

    /// Every znode, by path.
    pub fn znodes(&self) -> impl Iterator<Item = (&Name, &Znode)> {
        self.znodes.iter()
    }

    pub fn session(&self, id: SessionId) -> Option<&Session> {
        self.sessions.get(&id)
    }

    /// Every session that has neither expired nor been closed.
    pub fn sessions(&self) -> impl Iterator<Item = (SessionId, &Session)> {
        self.sessions.iter().map(|(id, session)| (*id, session))
    }

    /// When the children of a path last changed.
    pub fn children_changed_at(&self, path: &str) -> Zxid {
        self.parents.get(path).map_or(Zxid::default(), |(zxid, _)| *zxid)
    }

    /// Answers what only reads.
    pub fn read(&self, op: &ZkOp) -> ZkResult {
        match op {
            ZkOp::GetData { path, .. } => match self.znodes.get(path) {
                Some(znode) => Ok(ZkReply::Node { data: znode.data.clone(), stat: znode.stat }),
                None => refuse(ZkError::NoNode),
            },
            ZkOp::GetChildren { path, .. } => Ok(ZkReply::Children(self.children(path).map(Name::from).collect())),
            _ => refuse(ZkError::NoNode),
        }
    }

    /// The last parts of the paths right below this one.
    pub fn children<'a>(&'a self, path: &str) -> impl Iterator<Item = &'a str> {
        let prefix = format!("{path}/");
        let range: (Bound<&str>, Bound<&str>) = (Bound::Included(&*prefix), Bound::Unbounded);
        let start = prefix.len();
        let below: Vec<&'a str> = self
            .znodes
            .range::<str, _>(range)
            .take_while(|(path, _)| path.starts_with(&prefix))
            .map(|(path, _)| &path[start..])
            .filter(|rest| !rest.contains('/'))
            .collect();
        below.into_iter()
    }

    /// Applies the next transaction. A write that is refused changes nothing.
    pub fn apply(&mut self, txn: &ZkTxn, touched: &mut Vec<Touched>) -> ZkResult {
        self.applied = txn.zxid;
        let session = txn.write.session;
        match &txn.write.change {
            ZkChange::OpenSession { client, timeout } => {
                let id = SessionId(txn.zxid.0);
                self.sessions.insert(id, Session { client: *client, timeout: *timeout });
                Ok(ZkReply::Done)
            }
            _ if !self.sessions.contains_key(&session) => refuse(ZkError::SessionExpired),
            ZkChange::MoveSession => Ok(ZkReply::Done),
            ZkChange::CloseSession { .. } | ZkChange::Op(ZkOp::CloseSession) => {
                self.close(session, txn.zxid, touched);
                Ok(ZkReply::Done)
            }
            ZkChange::Op(ZkOp::Multi(ops)) => {
                for (op, at) in ops.iter().zip(0..) {
                    self.check(op).map_err(|error| ZkFailure { at, error })?;
                }
                Ok(ZkReply::Multi(ops.iter().map(|op| self.write(op, session, txn.zxid, touched)).collect()))
            }
            ZkChange::Op(op) => {
                self.check(op).map_err(|error| ZkFailure { at: 0, error })?;
                Ok(self.write(op, session, txn.zxid, touched))
            }
        }
    }

    /// Whether an operation can be done. The parts of a multi are about different znodes in all that Kafka asks for, so
    /// each can be looked at before any is done.
    fn check(&self, op: &ZkOp) -> Result<(), ZkError> {
        let is_version = |path: &Name, version: Option<i32>| match (self.znodes.get(path), version) {
            (None, _) => Err(ZkError::NoNode),
            (Some(znode), Some(version)) if znode.stat.version != version => Err(ZkError::BadVersion),
            _ => Ok(()),
        };
        match op {
            ZkOp::Create { sequential: true, .. } => Ok(()),
            ZkOp::Create { path, .. } if self.znodes.contains_key(path) => Err(ZkError::NodeExists),
            ZkOp::SetData { path, version, .. } | ZkOp::Delete { path, version } => is_version(path, *version),
            ZkOp::Check { path, version } => is_version(path, Some(*version)),
            _ => Ok(()),
        }
    }

    fn write(&mut self, op: &ZkOp, session: SessionId, zxid: Zxid, touched: &mut Vec<Touched>) -> ZkReply {
        match op {
            ZkOp::Create { path, data, ephemeral, sequential } => {
                let number = self.touch_parent(path, zxid);
                let path = if *sequential { format!("{path}{number:010}").into() } else { path.clone() };
                let stat = Stat {
                    czxid: zxid,
                    mzxid: zxid,
                    pzxid: zxid,
                    version: 0,
                    ephemeral_owner: ephemeral.then_some(session),
                };
                self.put(&path, Znode { data: data.clone(), stat });
                let (version, ephemeral) = (Some(0), *ephemeral);
                touched.push(Touched { path: path.clone(), version, ephemeral, children_changed: true });
                ZkReply::Written { path, stat }
            }
            ZkOp::SetData { path, data, .. } => {
                let Some(znode) = Rc::make_mut(&mut self.znodes).get_mut(path) else { return ZkReply::Done };
                znode.data = data.clone();
                znode.stat.version += 1;
                znode.stat.mzxid = zxid;
                let stat = znode.stat;
                let ephemeral = stat.ephemeral_owner.is_some();
                let version = Some(stat.version);
                touched.push(Touched { path: path.clone(), version, ephemeral, children_changed: false });
                ZkReply::Written { path: path.clone(), stat }
            }
            ZkOp::Delete { path, .. } => {
                self.delete(path, zxid, touched);
                ZkReply::Done
            }
            _ => ZkReply::Done,
        }
    }

    fn delete(&mut self, path: &Name, zxid: Zxid, touched: &mut Vec<Touched>) {
        if let Some(znode) = Rc::make_mut(&mut self.znodes).remove(path) {
            self.touch_parent(path, zxid);
            let ephemeral = znode.stat.ephemeral_owner.is_some();
            touched.push(Touched { path: path.clone(), version: None, ephemeral, children_changed: true });
        }
    }

    /// The session ends, and its ephemeral znodes with it.
    fn close(&mut self, session: SessionId, zxid: Zxid, touched: &mut Vec<Touched>) {
        self.sessions.remove(&session);
        let owned = self.znodes.iter().filter(|(_, znode)| znode.stat.ephemeral_owner == Some(session));
        let owned: Vec<Name> = owned.map(|(path, _)| path.clone()).collect();
        for path in owned {
            self.delete(&path, zxid, touched);
        }
    }

    /// Returns how often the parent's children have changed before: the number of a sequential znode.
    fn touch_parent(&mut self, path: &Name, zxid: Zxid) -> u32 {
        let entry = Rc::make_mut(&mut self.parents).entry(parent(path).into()).or_default();
        let number = entry.1;
        *entry = (zxid, number + 1);
        number
    }

    fn put(&mut self, path: &Name, znode: Znode) {
        Rc::make_mut(&mut self.znodes).insert(path.clone(), znode);
    }
}

/// The path above.
pub fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

/// Which watches a touched znode fires.
pub fn fires(touched: &Touched) -> impl Iterator<Item = (&str, WatchKind)> {
    let children = touched.children_changed.then(|| (parent(&touched.path), WatchKind::Children));
    std::iter::once((&*touched.path, WatchKind::Data)).chain(children)
}

fn refuse(error: ZkError) -> ZkResult {
    Err(ZkFailure { at: 0, error })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::ids::ZooKeeperId;
    use crate::kafka::message::ensemble::ZkWrite;

    struct Desk {
        tree: Tree,
        counter: u32,
        touched: Vec<Touched>,
    }

    impl Desk {
        fn new() -> Self {
            let mut desk = Self { tree: Tree::default(), counter: 0, touched: Vec::new() };
            for client in [1, 2] {
                let change = ZkChange::OpenSession { client: BrokerId(client), timeout: Duration::secs(18) };
                desk.apply(0, change).expect("a session");
            }
            desk
        }

        fn apply(&mut self, session: u64, change: ZkChange) -> ZkResult {
            self.counter += 1;
            self.touched.clear();
            let session = SessionId(Zxid::new(1, session as u32).0);
            let write = ZkWrite { origin: ZooKeeperId(1), ticket: 0, session, change };
            self.tree.apply(&ZkTxn { zxid: Zxid::new(1, self.counter), write }, &mut self.touched)
        }

        fn op(&mut self, session: u64, op: ZkOp) -> Result<(), (u32, ZkError)> {
            self.apply(session, ZkChange::Op(op)).map(drop).map_err(|failure| (failure.at, failure.error))
        }

        fn paths(&self) -> Vec<String> {
            self.tree.znodes().map(|(path, _)| path.to_string()).collect()
        }
    }

    fn create(path: &str, ephemeral: bool) -> ZkOp {
        ZkOp::Create { path: path.into(), data: Rc::new(ZnodeData::Empty), ephemeral, sequential: false }
    }

    fn set(path: &str, version: i32) -> ZkOp {
        ZkOp::SetData { path: path.into(), data: Rc::new(ZnodeData::Empty), version: Some(version) }
    }

    #[test]
    fn who_creates_a_znode_first_has_it() {
        let mut desk = Desk::new();
        assert_eq!(desk.op(1, create("/controller", true)), Ok(()));
        assert_eq!(desk.op(2, create("/controller", true)), Err((0, ZkError::NodeExists)));
    }

    #[test]
    fn a_conditional_write_needs_the_version_that_is_there() {
        let mut desk = Desk::new();
        desk.op(1, create("/controller_epoch", false)).expect("created");
        assert_eq!(desk.op(1, set("/controller_epoch", 0)), Ok(()));
        assert_eq!(desk.op(2, set("/controller_epoch", 0)), Err((0, ZkError::BadVersion)));
        assert_eq!(desk.op(2, set("/controller_epoch", 1)), Ok(()));
    }

    #[test]
    fn a_multi_does_all_or_nothing_and_says_what_was_wrong() {
        let mut desk = Desk::new();
        desk.op(1, create("/controller_epoch", false)).expect("created");
        let stale = ZkOp::Check { path: "/controller_epoch".into(), version: 7 };
        let both = ZkOp::Multi(vec![create("/a", false), stale]);
        assert_eq!(desk.op(1, both), Err((1, ZkError::BadVersion)));
        assert_eq!(desk.paths(), ["/controller_epoch"]);
    }

    #[test]
    fn ephemeral_znodes_end_with_their_session() {
        let mut desk = Desk::new();
        desk.op(1, create("/brokers/ids/1", true)).expect("created");
        desk.op(2, create("/brokers/ids/2", true)).expect("created");
        desk.op(1, create("/brokers/topics/t", false)).expect("created");
        desk.apply(1, ZkChange::CloseSession { silent_for: None }).expect("closed");
        assert_eq!(desk.paths(), ["/brokers/ids/2", "/brokers/topics/t"]);
        assert_eq!(desk.op(1, create("/brokers/ids/1", true)), Err((0, ZkError::SessionExpired)));
    }

    #[test]
    fn children_are_what_lies_right_below() {
        let mut desk = Desk::new();
        for path in
            ["/brokers/topics/a", "/brokers/topics/a/partitions/0/state", "/brokers/topics/b", "/brokers/topicsx"]
        {
            desk.op(1, create(path, false)).expect("created");
        }
        assert_eq!(desk.tree.children("/brokers/topics").collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn a_write_touches_the_znode_and_a_birth_its_parent_too() {
        let mut desk = Desk::new();
        desk.op(1, create("/brokers/ids/1", true)).expect("created");
        let fired: Vec<_> = desk.touched.iter().flat_map(fires).collect();
        assert_eq!(fired, [("/brokers/ids/1", WatchKind::Data), ("/brokers/ids", WatchKind::Children)]);
        desk.op(1, set("/brokers/ids/1", 0)).expect("written");
        let fired: Vec<_> = desk.touched.iter().flat_map(fires).collect();
        assert_eq!(fired, [("/brokers/ids/1", WatchKind::Data)]);
    }

    #[test]
    fn sequential_znodes_are_numbered() {
        let mut desk = Desk::new();
        let sequential = || ZkOp::Create {
            path: "/config/changes/config_change_".into(),
            data: Rc::new(ZnodeData::Empty),
            ephemeral: false,
            sequential: true,
        };
        desk.op(1, sequential()).expect("created");
        desk.op(2, sequential()).expect("created");
        let expected = ["/config/changes/config_change_0000000000", "/config/changes/config_change_0000000001"];
        assert_eq!(desk.paths(), expected);
    }
}
