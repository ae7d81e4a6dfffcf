//! What `fleetsim policy` prints and refuses.

#![allow(clippy::unwrap_used)]

use std::fs;

use assert_cmd::Command;
use tempfile::TempDir;

/// Runs the program; exit status, standard output, standard error.
fn policy(arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fleetsim"));
    let output = command.arg("policy").args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// Replays lines on a specification; the directory's name is cut out of what is said.
fn replay(spec: &str, observations: &str) -> (i32, String, String) {
    let dir = TempDir::new().unwrap();
    let (spec_file, file) = (dir.path().join("spec.yaml"), dir.path().join("seen.jsonl"));
    fs::write(&spec_file, spec).unwrap();
    fs::write(&file, observations).unwrap();
    let arguments = ["replay", spec_file.to_str().unwrap(), "--observations", file.to_str().unwrap()];
    let (status, out, err) = policy(&arguments);
    (status, out, err.replace(&format!("{}/", dir.path().display()), ""))
}

/// The answers of a replay that works.
fn answers(spec: &str, observations: &str) -> String {
    let (status, out, err) = replay(spec, observations);
    assert_eq!((status, err.as_str()), (0, ""));
    out
}

const HPA: &str = "apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: chat}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: chat}
  minReplicas: 2
  maxReplicas: 10
  metrics:
  - type: Resource
    resource: {name: cpu, target: {type: Utilization, averageUtilization: 50}}
  - type: External
    external: {metric: {name: queue}, target: {type: AverageValue, averageValue: \"4\"}}
";

#[test]
fn the_list() {
    let (status, out, err) = policy(&["list"]);
    assert_eq!((status, err.as_str()), (0, ""));
    insta::assert_snapshot!(out);
    let (_, json, _) = policy(&["list", "--json"]);
    let laws: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert!(laws.as_array().unwrap().iter().all(|law| law["rule"].is_string()));
}

#[test]
fn an_hpa_from_its_own_manifest() {
    let pods = |cpu: &str| {
        format!(
            "\"pods\": [{{\"name\": \"a\", \"requests\": {{\"cpu\": \"1\"}}, \"metrics\": {{\"cpu\": {{\"value\": \
             {cpu}, \"at_s\": 0, \"window_s\": 30}}}}}}, {{\"name\": \"b\", \"phase\": \"Running\", \"ready\": true, \
             \"start_s\": -900, \"ready_since_s\": -800, \"requests\": {{\"cpu\": 1}}, \"metrics\": {{\"cpu\": {cpu}}}}}]"
        )
    };
    let lines = [
        format!("{{\"t_s\": 0, \"replicas\": 2, {}, \"metrics\": {{\"queue\": 8}}}}", pods("0.9")),
        format!(
            "{{\"t_s\": 15, \"replicas\": 2, {}, \"metrics\": {{\"queue\": {{\"value\": 30}}}}}}",
            pods("0.5")
        ),
        format!("{{\"t_s\": 30, \"replicas\": 4, {}, \"missing\": [\"queue\"]}}", pods("0.1")),
        "{\"t_s\": 45.5, \"metrics\": {\"cpu\": 10, \"queue\": 0}}".to_owned(),
        "{\"t_s\": 400, \"metrics\": {\"cpu\": 10, \"queue\": 0}}".to_owned(),
    ];
    insta::assert_snapshot!(answers(HPA, &lines.join("\n")));
}

#[test]
fn history_presets_the_state() {
    let line = "{\"t_s\": 0, \"replicas\": 8, \"metrics\": {\"cpu\": 50, \"queue\": 4}, \"history\": \
                {\"recommendations\": [{\"t_s\": -100, \"replicas\": 6}], \"events\": [{\"t_s\": -5, \"change\": 2}]}}";
    assert!(answers(HPA, line).contains("\"desired\":8"));
    // cpu holds at 8; without it the queue asks for 1, and the recommendation of 6 counts.
    let only_queue = HPA.replace("  - type: Resource\n    resource: {name: cpu, target: {type: Utilization, averageUtilization: 50}}\n", "");
    let out = answers(&only_queue, line);
    assert!(out.contains("\"desired\":6") && out.contains("\"raw\":1"), "{out}");
    assert!(out.contains("ScaleDownStabilized"), "{out}");
}

#[test]
fn flags_of_the_controller() {
    let flags = "---\npolicy: kube-controller-manager\nflags:\n  horizontal-pod-autoscaler-tolerance: 0.5\n";
    let line = "{\"t_s\": 0, \"replicas\": 4, \"metrics\": {\"cpu\": 70, \"queue\": 4}}";
    assert!(answers(HPA, line).contains("\"desired\":6"));
    assert!(answers(&format!("{HPA}{flags}"), line).contains("\"desired\":4"));
}

#[test]
fn knative_from_its_own_files() {
    let spec = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: config-autoscaler}\ndata:\n  \
                container-concurrency-target-default: '10'\n  container-concurrency-target-percentage: '100'\n";
    let lines = "{\"t_s\": 0, \"ready\": 1, \"metrics\": {\"concurrency\": {\"stable\": 50, \"panic\": 100}}}\n\
                 {\"t_s\": 2, \"ready\": 10, \"metrics\": {\"concurrency\": {\"stable\": 1, \"panic\": 1}}}\n\
                 {\"t_s\": 61, \"ready\": 10, \"metrics\": {\"concurrency\": {\"stable\": 1, \"panic\": 1}}}\n\
                 {\"t_s\": 63, \"ready\": 5}\n";
    insta::assert_snapshot!(answers(spec, lines));
}

#[test]
fn keda_from_zero_to_the_hpa_and_back() {
    let spec = "apiVersion: keda.sh/v1alpha1\nkind: ScaledObject\nmetadata: {name: chat}\nspec:\n  scaleTargetRef: \
                {name: chat}\n  cooldownPeriod: 60\n  triggers:\n  - {type: prometheus, name: queue, metadata: \
                {serverAddress: http://p, query: sum(q), threshold: '10'}}\n";
    let lines = "{\"t_s\": 0, \"replicas\": 0, \"metrics\": {\"queue\": 0}}\n\
                 {\"t_s\": 30, \"metrics\": {\"queue\": 35}}\n{\"t_s\": 60, \"metrics\": {\"queue\": 35}}\n\
                 {\"t_s\": 90, \"metrics\": {\"queue\": 0}}\n{\"t_s\": 121, \"metrics\": {\"queue\": 0}}\n";
    insta::assert_snapshot!(answers(spec, lines));
}

#[test]
fn settings_of_other_systems() {
    let ray = "applications:\n- name: app\n  deployments:\n  - name: llm\n    autoscaling_config: {max_replicas: 9, \
               upscale_delay_s: 0}\n";
    let line = "{\"t_s\": 0, \"replicas\": 2, \"metrics\": {\"ongoing_requests\": 9}}";
    assert!(answers(ray, line).contains("\"desired\":5"));
    let sky = "service:\n  readiness_probe: /\n  replica_policy: {min_replicas: 1, max_replicas: 9, \
               target_qps_per_replica: 2.5, upscale_delay_seconds: 0}\n";
    assert!(
        answers(sky, "{\"t_s\": 0, \"replicas\": 2, \"metrics\": {\"qps\": 9}}").contains("\"desired\":4")
    );
    let wva = "policy: wva\nkvSpareTrigger: 0.2\n";
    let line = "{\"t_s\": 0, \"replicas\": 1, \"pods\": [{\"metrics\": {\"kv\": 0.7, \"queue\": 0}}]}";
    assert!(answers(wva, line).contains("\"desired\":2"));
    let llumnix = "policy: llumnix\nenable_scaling: true\nmax_instances: 4\n";
    let line = "{\"t_s\": 0, \"replicas\": 1, \"metrics\": {\"remaining_steps\": 5}}";
    assert!(answers(llumnix, line).contains("\"desired\":2"));
    let job = "apiVersion: keda.sh/v1alpha1\nkind: ScaledJob\nspec:\n  jobTargetRef: {}\n  triggers: [{type: \
                 x, name: q, \
               metadata: {value: '1'}}]\n";
    let line = "{\"t_s\": 0, \"replicas\": 0, \"running\": 2, \"metrics\": {\"q\": 5}}";
    assert!(answers(job, line).contains("\"desired\":3"));
}

#[test]
fn node_autoscalers_answer_with_actions() {
    let groups = "policy: cluster-autoscaler\nflags: {expander: least-waste}\nnodeGroups:\n- {name: l40s, min: \
                 0, max: 4, \
                  resources: {cpu: 32, memory: 256Gi, nvidia.com/gpu: 4}}\n- {name: h100, min: 0, max: 2, resources: \
                  {cpu: 192, memory: 2Ti, nvidia.com/gpu: 8}}\n";
    let waiting = "{\"t_s\": 0, \"nodes\": [], \"pods\": [{\"name\": \"a\", \"requests\": {\"cpu\": 8, \"memory\": \
                   \"64Gi\", \"nvidia.com/gpu\": 2}}, {\"name\": \"b\", \"requests\": {\"nvidia.com/gpu\": 4}}]}";
    let pool = "apiVersion: karpenter.sh/v1\nkind: NodePool\nmetadata: {name: \
                 gpu}\nspec:\n  template:\n    spec:\n      \
                requirements: [{key: karpenter.sh/capacity-type, operator: In, values: [spot, on-demand]}]\n";
    let kinds = "\"instance_types\": [{\"name\": \"g6\", \"resources\": {\"cpu\": 48, \"memory\": \"192Gi\", \
                 \"nvidia.com/gpu\": 4}, \"offerings\": [{\"capacity_type\": \"spot\", \"zone\": \"a\", \"price\": 4}, \
                 {\"capacity_type\": \"on-demand\", \"zone\": \"a\", \"price\": 9}]}]";
    let tick = |t: u32, rest: &str| format!("{{\"t_s\": {t}, {kinds}, {rest}}}");
    let bought = "\"nodes\": [{\"name\": \"n\", \"group\": \"gpu\", \"instance_type\": \"g6\", \"capacity_type\": \
                  \"spot\", \"zone\": \"a\", \"created_s\": 60, \"resources\": {\"nvidia.com/gpu\": 4}}]";
    let lines = [
        tick(0, "\"pods\": [{\"name\": \"a\", \"requests\": {\"nvidia.com/gpu\": 4}}]"),
        tick(1, "\"pods\": [{\"name\": \"a\", \"requests\": {\"nvidia.com/gpu\": 4}}]"),
        tick(100, bought),
        tick(115, bought),
    ];
    let out = format!("{}{}", answers(groups, waiting), answers(pool, &lines.join("\n")));
    insta::assert_snapshot!(out);
}

#[test]
fn what_is_refused() {
    let good = "{\"t_s\": 0, \"replicas\": 1}";
    let mut said = String::new();
    let mut refused = |spec: &str, lines: &str| {
        let (status, out, err) = replay(spec, lines);
        assert_eq!((status, out.as_str()), (2, ""), "{spec} {lines}");
        said.push_str(&err);
    };
    refused("", good);
    refused("kind: [", good);
    refused("policy: hpaa\n", good);
    refused("policy: dynamo\nload_predictor: prophet\n", good);
    refused("policy: llumnix\nmin_instance: 2\n", good);
    refused("apiVersion: autoscaling/v1\nkind: HorizontalPodAutoscaler\n", good);
    refused(&HPA.replace("maxReplicas: 10", "maxReplicas: 1\n  maxReplica: 3"), good);
    refused(&HPA.replace("averageValue: \"4\"", "averageValue: \"0\""), good);
    refused(HPA, "{\"t_s\": 0, \"replicas\": 1}\n{\"t_s\"");
    refused(HPA, "{\"replicas\": 1}");
    refused(HPA, "{\"t_s\": 5, \"replicas\": 1}\n{\"t_s\": 4, \"replicas\": 1}");
    refused(HPA, "{\"t_s\": 5, \"replicas\": -1}");
    refused(HPA, "{\"t_s\": 5, \"replicas\": 1, \"pods\": [{\"phase\": \"Runing\"}]}");
    insta::assert_snapshot!(said);
}

#[test]
fn observations_from_prometheus_are_replayed() {
    let dir = TempDir::new().unwrap();
    let (export, seen, spec) =
        (dir.path().join("export.json"), dir.path().join("seen.jsonl"), dir.path().join("hpa.yaml"));
    let series = |name: &str, values: [&str; 2]| {
        format!(
            r#"{{"metric": {{"__name__": "{name}"}}, "values": [[1700000000, "{}"], [1700000015, "{}"]]}}"#,
            values[0], values[1]
        )
    };
    let (replicas, qps) =
        (series("kube_deployment_spec_replicas", ["4", "4"]), series("qps", ["400", "900"]));
    let text = format!(
        r#"{{"status": "success", "data": {{"resultType": "matrix", "result": [{replicas}, {qps}]}}}}"#
    );
    fs::write(&export, text).unwrap();
    let hpa = "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nspec:\n  scaleTargetRef: {kind: Deployment, \
               name: x}\n  maxReplicas: 20\n  metrics:\n  - {type: External, external: {metric: {name: qps}, target: \
               {type: AverageValue, averageValue: 100}}}\n";
    fs::write(&spec, hpa).unwrap();
    let run = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_fleetsim")).args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    run(&["trace", "convert", export.to_str().unwrap(), "--out", seen.to_str().unwrap()]);
    let answers =
        run(&["policy", "replay", spec.to_str().unwrap(), "--observations", seen.to_str().unwrap()]);
    let desired: Vec<u64> = answers
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["desired"].as_u64().unwrap())
        .collect();
    // 400 over 4 is the target; 900 wants 9, and twice the replicas is the most without behavior.
    assert_eq!(desired, [4, 8]);
    // What is no export is refused.
    fs::write(&export, "{\"data\": {\"resultType\": \"vector\"}}").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_fleetsim"));
    let output = command.args(["trace", "convert", export.to_str().unwrap()]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("not matrix"));
}
