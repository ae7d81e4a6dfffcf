//! Node autoscalers: which nodes to buy and which to give back.

pub mod affinity;
pub mod cluster_autoscaler;
pub mod karpenter;
pub mod observation;
pub mod pending;

pub use affinity::{Operator, Requirement, Taint, Toleration};
pub use observation::{InstanceType, Node, NodeObservation, Offering, Pod, Resources};

/// What a node autoscaler wants done.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Make a node group larger.
    ScaleUp {
        /// The group.
        group: String,
        /// By how many nodes.
        count: u32,
        /// For which pods.
        pods: Vec<String>,
    },
    /// Ask a node group for less, because what was asked for never came.
    GiveUp {
        /// The group.
        group: String,
        /// By how many nodes.
        count: u32,
    },
    /// Buy one node.
    Create {
        /// The node pool.
        pool: String,
        /// The instance type that is bought.
        instance_type: String,
        /// `spot`, `on-demand` or `reserved`.
        capacity_type: String,
        /// Where.
        zone: String,
        /// Dollars per hour.
        price: f64,
        /// For which pods.
        pods: Vec<String>,
    },
    /// Give nodes back.
    Delete {
        /// Their names.
        nodes: Vec<String>,
        /// Why.
        why: &'static str,
        /// The pods that have to move, by name.
        pods: Vec<String>,
    },
}

/// What a node autoscaler answers: actions in order, and what held others back.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct NodeDecision {
    /// What is to be done.
    pub actions: Vec<Action>,
    /// What was held back, and by what.
    pub limits: Vec<String>,
}
