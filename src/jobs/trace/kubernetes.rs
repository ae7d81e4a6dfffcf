//! Kubernetes: a list of pods as `kubectl get pods -A -o json` prints it, read pod by pod. Submission is
//! the time of creation; a pod lasts from its first container's start to its last one's end, and one that
//! has not ended is an error. Cards are the requests (or limits) of `nvidia.com/gpu`, `amd.com/gpu`,
//! `google.com/tpu` or `aws.amazon.com/neuron` over all containers, MIG slices those of
//! `nvidia.com/mig-1g.10gb` and the like: sevenths of a card. The queue is the label
//! `kueue.x-k8s.io/queue-name`, or else the namespace. The place that messages name is the pod's, not a
//! line.

use std::fmt;
use std::io::BufRead;

use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::columns::{Row, Sink};
use super::slurm::size_mib;

const CARDS: [&str; 4] = ["nvidia.com/gpu", "amd.com/gpu", "google.com/tpu", "aws.amazon.com/neuron"];

/// Compute slices of a card that can be cut (NVIDIA MIG user guide, profiles of A100 and H100).
const SLICES: u32 = 7;

/// Hands every pod to `sink`, with its place in the list.
pub(super) fn pods(reader: Box<dyn BufRead>, sink: Sink<'_>) -> Result<(), serde_json::Error> {
    let mut json = serde_json::Deserializer::from_reader(reader);
    List(sink).deserialize(&mut json)?;
    json.end()
}

/// The list: its `items`, one at a time; everything else is passed over.
struct List<'a, 'b>(&'a mut (dyn FnMut(u64, Result<Row, String>) + 'b));

impl<'de> DeserializeSeed<'de> for List<'_, '_> {
    type Value = ();
    fn deserialize<D: serde::Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for List<'_, '_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of pods, as `kubectl get pods -o json` prints it")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            if key == "items" {
                map.next_value_seed(Items(&mut *self.0))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

struct Items<'a, 'b>(&'a mut (dyn FnMut(u64, Result<Row, String>) + 'b));

impl<'de> DeserializeSeed<'de> for Items<'_, '_> {
    type Value = ();
    fn deserialize<D: serde::Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Items<'_, '_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("pods")
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let mut place = 0;
        while let Some(pod) = list.next_element::<Value>()? {
            place += 1;
            (self.0)(place, row(&pod));
        }
        Ok(())
    }
}

fn row(pod: &Value) -> Result<Row, String> {
    let text = |path: &str| pod.pointer(path).and_then(Value::as_str).unwrap_or_default();
    let (name, namespace) = (text("/metadata/name"), text("/metadata/namespace"));
    let submit = super::columns::date("creationTimestamp", text("/metadata/creationTimestamp"))?;
    let states = pod.pointer("/status/containerStatuses").and_then(Value::as_array);
    let (mut begin, mut end) = (f64::INFINITY, f64::NEG_INFINITY);
    for state in states.into_iter().flatten() {
        let ended = state.pointer("/state/terminated").or_else(|| state.pointer("/lastState/terminated"));
        let Some(ended) = ended else { return Err(format!("pod `{name}` has not ended")) };
        let time = |key: &str| {
            let text = ended.get(key).and_then(Value::as_str).unwrap_or_default();
            super::columns::date(key, text)
        };
        begin = begin.min(time("startedAt")?);
        end = end.max(time("finishedAt")?);
    }
    if end < begin {
        return Err(format!("pod `{name}` never ran"));
    }
    let (mut cards, mut slices, mut slice_size, mut cpus, mut memory) = (0.0, 0.0, 0, 0.0, 0.0);
    let containers = pod.pointer("/spec/containers").and_then(Value::as_array);
    for container in containers.into_iter().flatten() {
        let of = |kind: &str| container.pointer(&format!("/resources/{kind}")).and_then(Value::as_object);
        let (requests, limits) = (of("requests"), of("limits"));
        let mut wanted = limits.cloned().unwrap_or_default();
        wanted.extend(requests.cloned().unwrap_or_default());
        for (resource, amount) in &wanted {
            let amount = quantity(amount).ok_or_else(|| format!("pod `{name}`: `{resource}` is {amount}"))?;
            match resource.as_str() {
                "cpu" => cpus += amount,
                "memory" => memory += amount / 1_048_576.0,
                card if CARDS.contains(&card) => cards += amount,
                slice => {
                    if let Some(profile) = slice.strip_prefix("nvidia.com/mig-") {
                        let size = profile.split('g').next().and_then(|size| size.parse().ok());
                        slice_size = size.filter(|size| (1..=SLICES).contains(size)).ok_or_else(|| {
                            format!("pod `{name}`: `{resource}` is no profile such as mig-1g.10gb")
                        })?;
                        slices += amount;
                    }
                }
            }
        }
    }
    let whole = cards as u32;
    let (cards, card_milli) = match (whole, slices as u32) {
        (cards, 0) => (cards, 0),
        (0, slices) if slice_size < SLICES => (slices, (slice_size * 1000).div_ceil(SLICES) as u16),
        (0, slices) => (slices, 0),
        _ => return Err(format!("pod `{name}` asks for whole cards and slices at once")),
    };
    let queue = pod.pointer("/metadata/labels/kueue.x-k8s.io~1queue-name").and_then(Value::as_str);
    let priority = pod.pointer("/spec/priority").and_then(Value::as_i64).unwrap_or(0);
    let product = pod.pointer("/spec/nodeSelector/nvidia.com~1gpu.product").and_then(Value::as_str);
    Ok(Row {
        id: name.to_owned(),
        submit_s: submit,
        duration_s: end - begin,
        cards,
        card_milli,
        user: namespace.to_owned(),
        queue: queue.unwrap_or(namespace).to_owned(),
        priority: priority.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32,
        accelerator_type: product.unwrap_or_default().to_owned(),
        cpus,
        memory_mib: memory,
        hosts: cards == 0,
        ..Row::default()
    })
}

/// A quantity as Kubernetes writes them: `2`, `500m`, `64Gi`, `1e3`; memory in bytes.
fn quantity(value: &Value) -> Option<f64> {
    let text = match value {
        Value::Number(number) => return number.as_f64(),
        Value::String(text) => text.as_str(),
        _ => return None,
    };
    if let Some(milli) = text.strip_suffix('m') {
        return milli.parse::<f64>().ok().map(|milli| milli / 1e3);
    }
    if let Ok(number) = text.parse() {
        return Some(number);
    }
    if text.ends_with('i') {
        return size_mib(text).map(|mib| mib * 1_048_576.0);
    }
    let factor = match text.chars().last()? {
        'k' | 'K' => 1e3,
        'M' => 1e6,
        'G' => 1e9,
        'T' => 1e12,
        _ => return None,
    };
    text[..text.len() - 1].parse::<f64>().ok().map(|number| number * factor)
}
