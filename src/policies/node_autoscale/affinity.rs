//! What keeps a pod off a node or asks for one: selectors, node affinity, taints and tolerations, by the rules of
//! the Kubernetes scheduler (`staging/src/k8s.io/component-helpers/scheduling/corev1`).

use std::collections::BTreeMap;

use super::Pod;

/// A taint of a node.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Taint {
    /// Its key.
    pub key: String,
    /// Its value; often none.
    pub value: String,
    /// What it does: `NoSchedule`, `NoExecute`, or `PreferNoSchedule` (which keeps nobody off).
    pub effect: String,
}

/// A pod's toleration of taints.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Toleration {
    /// The key; empty for all keys, with `exists`.
    pub key: String,
    /// Any value will do (`operator: Exists`).
    pub exists: bool,
    /// The value, where one is asked for.
    pub value: String,
    /// The effect; empty for all.
    pub effect: String,
}

impl Toleration {
    fn covers(&self, taint: &Taint) -> bool {
        (self.effect.is_empty() || self.effect == taint.effect)
            && (self.key == taint.key || self.key.is_empty() && self.exists)
            && (self.exists || self.value == taint.value)
    }
}

/// A requirement on labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    /// The label.
    pub key: String,
    /// How it is compared.
    pub operator: Operator,
    /// With what.
    pub values: Vec<String>,
    /// How many values the instance types that are left must have between them (Karpenter's `minValues`).
    pub min_values: Option<u32>,
}

/// Operators of requirements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// One of the values.
    In,
    /// None of the values.
    NotIn,
    /// There is such a label.
    Exists,
    /// There is none.
    DoesNotExist,
    /// A number greater than the value.
    Gt,
    /// A number less than the value.
    Lt,
}

impl Operator {
    /// The words of Kubernetes.
    pub const ALL: [(&'static str, Self); 6] = [
        ("In", Self::In),
        ("NotIn", Self::NotIn),
        ("Exists", Self::Exists),
        ("DoesNotExist", Self::DoesNotExist),
        ("Gt", Self::Gt),
        ("Lt", Self::Lt),
    ];
}

impl Requirement {
    /// Whether a label's value fulfils it.
    pub fn allows(&self, value: Option<&str>) -> bool {
        let number = |text: &str| text.parse::<f64>().ok();
        let bound = self.values.first().and_then(|text| number(text));
        match (self.operator, value) {
            (Operator::In, Some(value)) => self.values.iter().any(|other| other == value),
            (Operator::NotIn, Some(value)) => self.values.iter().all(|other| other != value),
            (Operator::Exists, value) => value.is_some(),
            (Operator::DoesNotExist, value) => value.is_none(),
            (Operator::NotIn, None) => true,
            (Operator::Gt, Some(value)) => number(value).zip(bound).is_some_and(|(a, b)| a > b),
            (Operator::Lt, Some(value)) => number(value).zip(bound).is_some_and(|(a, b)| a < b),
            (Operator::In | Operator::Gt | Operator::Lt, None) => false,
        }
    }
}

impl Pod {
    /// Whether its selector and node affinity allow a node with these labels.
    pub fn wants<'a>(&self, label: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.selector.iter().all(|(key, value)| label(key) == Some(value.as_str()))
            && self.requirements.iter().all(|requirement| requirement.allows(label(&requirement.key)))
    }

    /// Whether it tolerates what keeps others off.
    pub fn tolerates(&self, taints: &[Taint]) -> bool {
        let hard = taints.iter().filter(|taint| taint.effect != "PreferNoSchedule");
        hard.into_iter().all(|taint| self.tolerations.iter().any(|toleration| toleration.covers(taint)))
    }

    /// Both.
    pub fn suits(&self, labels: &BTreeMap<String, String>, taints: &[Taint]) -> bool {
        self.tolerates(taints) && self.wants(|key| labels.get(key).map(String::as_str))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taints_and_tolerations() {
        let taint = |key: &str, value: &str, effect: &str| Taint {
            key: key.to_owned(),
            value: value.to_owned(),
            effect: effect.to_owned(),
        };
        let pod = |key: &str, exists, value: &str, effect: &str| Pod {
            tolerations: vec![Toleration {
                key: key.to_owned(),
                exists,
                value: value.to_owned(),
                effect: effect.to_owned(),
            }],
            ..Pod::default()
        };
        let gpu = [taint("gpu", "yes", "NoSchedule")];
        assert!(!Pod::default().tolerates(&gpu));
        assert!(Pod::default().tolerates(&[taint("gpu", "yes", "PreferNoSchedule")]));
        assert!(pod("gpu", false, "yes", "").tolerates(&gpu));
        assert!(!pod("gpu", false, "no", "").tolerates(&gpu));
        assert!(pod("gpu", true, "", "NoSchedule").tolerates(&gpu));
        assert!(!pod("gpu", true, "", "NoExecute").tolerates(&gpu));
        assert!(pod("", true, "", "").tolerates(&gpu));
        assert!(!pod("gpu", true, "", "").tolerates(&[taint("other", "", "NoExecute")]));
    }
}
