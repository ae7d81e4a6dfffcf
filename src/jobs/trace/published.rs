//! Traces in the forms in which they were published: Philly, Helios, Alibaba 2020 and 2023, Gavel.

use super::columns::{Fields, Row, date};

pub(super) const PHILLY: [&str; 4] = ["timestamp", "duration", "num_gpus", "cluster"];

pub(super) fn philly(fields: &Fields<'_>) -> Result<Row, String> {
    Ok(Row {
        id: (fields.line - 1).to_string(),
        submit_s: date("timestamp", fields.text("timestamp"))?,
        duration_s: fields.number("duration")?,
        cards: fields.whole("num_gpus")?,
        queue: fields.text("cluster").to_owned(),
        ..Row::default()
    })
}

pub(super) const HELIOS: [&str; 5] = ["job_id", "vc", "submit_s", "duration", "gpu_num"];

pub(super) fn helios(fields: &Fields<'_>) -> Result<Row, String> {
    Ok(Row {
        id: fields.text("job_id").to_owned(),
        submit_s: fields.number("submit_s")?,
        duration_s: fields.number("duration")?,
        cards: fields.whole("gpu_num")?,
        queue: fields.text("vc").to_owned(),
        ..Row::default()
    })
}

pub(super) const OPENB: [&str; 9] = [
    "name",
    "cpu_milli",
    "memory_mib",
    "num_gpu",
    "gpu_milli",
    "gpu_spec",
    "creation_time",
    "deletion_time",
    "scheduled_time",
];

/// Alibaba's trace of 2023 (OpenB): a pod lasts from when it was scheduled to when it was deleted.
pub(super) fn openb(fields: &Fields<'_>) -> Result<Row, String> {
    let (cards, milli) = (fields.whole("num_gpu")?, fields.number("gpu_milli")?);
    if cards > 0 && !(1.0..=1000.0).contains(&milli) {
        return Err(format!("`gpu_milli` is {milli}, not from 1 to 1000"));
    }
    let scheduled =
        fields.optional("scheduled_time")?.ok_or("it was never scheduled (`scheduled_time` is empty)")?;
    Ok(Row {
        id: fields.text("name").to_owned(),
        submit_s: fields.number("creation_time")?,
        duration_s: fields.number("deletion_time")? - scheduled,
        cards,
        card_milli: if cards > 0 && milli < 1000.0 { milli as u16 } else { 0 },
        queue: fields.text("qos").to_owned(),
        accelerator_type: fields.text("gpu_spec").to_owned(),
        cpus: fields.number("cpu_milli")? / 1e3,
        memory_mib: fields.number("memory_mib")?,
        hosts: cards == 0,
        ..Row::default()
    })
}

/// The columns of `pai_task_table.csv`, which has no header of its own.
pub(super) const ALIBABA_2020: [&str; 10] = [
    "job_name",
    "task_name",
    "inst_num",
    "status",
    "start_time",
    "end_time",
    "plan_cpu",
    "plan_mem",
    "plan_gpu",
    "gpu_type",
];

/// Alibaba's trace of 2020 (PAI): a task of so many instances, all at once; CPUs and cards in hundredths,
/// memory in GiB, each of an instance. An instance with more than a card has whole ones, rounded up.
pub(super) fn alibaba_2020(fields: &Fields<'_>) -> Result<Row, String> {
    let instances = fields.whole("inst_num").unwrap_or(1).max(1);
    let percent = fields.optional("plan_gpu")?.unwrap_or(0.0);
    let start = fields.optional("start_time")?.ok_or("it never started (`start_time` is empty)")?;
    let end = fields.optional("end_time")?.ok_or("it has not ended (`end_time` is empty)")?;
    let each = if percent < 100.0 { u32::from(percent > 0.0) } else { (percent / 100.0).ceil() as u32 };
    let cards = instances.saturating_mul(each);
    let all = |name: &str| Ok::<_, String>(fields.optional(name)?.unwrap_or(0.0) * f64::from(instances));
    Ok(Row {
        id: format!("{}/{}", fields.text("job_name"), fields.text("task_name")),
        submit_s: start,
        duration_s: end - start,
        cards,
        card_milli: if (0.0..100.0).contains(&percent) && cards > 0 {
            (percent * 10.0).max(1.0) as u16
        } else {
            0
        },
        queue: fields.text("status").to_owned(),
        accelerator_type: match fields.text("gpu_type") {
            "CPU" | "MISC" => String::new(),
            kind => kind.to_owned(),
        },
        cpus: all("plan_cpu")? / 100.0,
        memory_mib: all("plan_mem")? * 1024.0,
        hosts: cards == 0,
        ..Row::default()
    })
}

pub(super) const GAVEL: [&str; 7] =
    ["job_id", "job_type", "submit_time", "scale_factor", "dur_v100", "dur_p100", "dur_k80"];

/// Gavel's accelerators, in the order of [`Row::durations`].
pub(super) const GAVEL_TYPES: [&str; 3] = ["v100", "p100", "k80"];

/// Gavel's jobs with how long each takes on each accelerator; an empty cell where it cannot run.
pub(super) fn gavel(fields: &Fields<'_>) -> Result<Row, String> {
    let mut durations = Vec::new();
    for (kind, column) in GAVEL_TYPES.iter().zip(&GAVEL[4..]) {
        durations.extend(fields.optional(column)?.map(|seconds| ((*kind).to_owned(), seconds)));
    }
    let first = durations.first().map(|(_, seconds)| *seconds).ok_or("it runs on no accelerator")?;
    Ok(Row {
        id: fields.text("job_id").to_owned(),
        submit_s: fields.number("submit_time")?,
        duration_s: first,
        cards: fields.whole("scale_factor")?,
        queue: fields.text("job_type").to_owned(),
        durations,
        ..Row::default()
    })
}
